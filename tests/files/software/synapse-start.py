#!/usr/local/bin/python
"""What the published image of Synapse starts with: as root it goes to 991:991, with the file of SYNAPSE_CONFIG_PATH."""
import os
import sys

config = os.environ.get("SYNAPSE_CONFIG_PATH", "/data/homeserver.yaml")
if not os.path.exists(config):
    sys.exit("Config file '%s' does not exist." % config)
args = [sys.executable, "-m", "synapse.app.homeserver", "--config-path", config]
if os.getuid() == 0:
    args = ["gosu", "%s:%s" % (os.environ.get("UID", "991"), os.environ.get("GID", "991"))] + args
os.execvp(args[0], args)
