#!/venv/bin/python
"""Makes an account of Radicale, or gives one another password: radicale-user NAME, the password on the first line of
the standard input. Ends with 1 where one of them can't be used."""

import os
import shutil
import sys

import bcrypt

USERS = "/data/users"

name = sys.argv[1] if len(sys.argv) == 2 else ""
password = sys.stdin.readline().rstrip("\r\n")
if not name or name != name.strip() or any(c in name for c in ":#/\n"):
    sys.exit("radicale-user NAME: a name without blanks around it, colon, # and /")
# What is longer counts for bcrypt no more.
if not 1 <= len(password.encode()) <= 72:
    sys.exit("the password has 1 to 72 bytes, on the first line of the input")
lines = []
if os.path.exists(USERS):
    with open(USERS, encoding="utf-8") as users:
        lines = [line for line in users if not line.startswith(name + ":")]
lines.append(f"{name}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt()).decode()}\n")
descriptor = os.open(USERS + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
with open(descriptor, "w", encoding="utf-8") as users:
    users.writelines(lines)
shutil.chown(USERS + ".new", "radicale", "radicale")
os.replace(USERS + ".new", USERS)
