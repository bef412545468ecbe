"""Measures one full-screen program, for scripts/peers.sh, and prints a line of its table.

Usage: peers.py CONTAINERS NAME SECONDS PROGRAM ARGUMENT…

start: the median of five, from the call until "peer" (the containers' name) is on the screen; then what the
program and all its children use and write in SECONDS in which no key is pressed. The screen has 160 columns and
48 rows. Exit code: 1 when it showed no container within 30 seconds.
"""

import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import sys
import termios
import time

import pyte

COLUMNS, ROWS, STARTS, PATIENCE = 160, 48, 5, 30.0
TICKS = os.sysconf("SC_CLK_TCK")


class Program:
    def __init__(self, words):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm-256color"
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
            os.execvp(words[0], words)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self.stream = pyte.ByteStream(self.screen)
        self.written = 0

    def read(self, seconds, draw=True):
        """Takes what comes for so long, or the next piece of it when it is to be drawn."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.terminal], [], [], left)[0]:
                return
            try:
                piece = os.read(self.terminal, 65536)
            except OSError:
                return
            self.written += len(piece)
            # What a terminal is asked for, it answers: where the cursor is, and what it is.
            if b"\x1b[6n" in piece:
                os.write(self.terminal, b"\x1b[1;1R")
            if b"\x1b[c" in piece or b"\x1b[0c" in piece:
                os.write(self.terminal, b"\x1b[?62;c")
            if draw:
                self.stream.feed(piece)
                return

    def shows(self, text):
        return any(text in line for line in self.screen.display)

    def wait_for(self, text):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            self.read(0.5)
            if self.shows(text):
                return True
        return False

    def family(self):
        """The program and what it started, as far as that has not left it."""
        parents = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat") as stat:
                    parents[int(pid)] = int(stat.read().rsplit(")", 1)[1].split()[1])
            except OSError:
                pass
        found = [self.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def processor_seconds(self):
        ticks = 0
        for pid in self.family():
            try:
                with open(f"/proc/{pid}/stat") as stat:
                    fields = stat.read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            # Its own, and that of its children which have ended.
            ticks += sum(map(int, fields[11:15]))
        return ticks / TICKS

    def resident_mib(self):
        pages = 0
        for pid in self.family():
            try:
                with open(f"/proc/{pid}/statm") as statm:
                    pages += int(statm.read().split()[1])
            except OSError:
                pass
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def end(self):
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.kill(self.pid, sign)
            except ProcessLookupError:
                pass
            for _ in range(40):
                self.read(0.05, draw=False)
                if os.waitpid(self.pid, os.WNOHANG)[0]:
                    os.close(self.terminal)
                    return


def main():
    count, name, seconds, words = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4:]
    starts = []
    for turn in range(STARTS):
        begun = time.monotonic()
        program = Program(words)
        if not program.wait_for("peer"):
            print("\n".join(line.rstrip() for line in program.screen.display if line.strip()), file=sys.stderr)
            program.end()
            print(f"peers: {name} showed no container within {PATIENCE:.0f} s", file=sys.stderr)
            return 1
        starts.append(time.monotonic() - begun)
        if turn < STARTS - 1:
            program.end()
    program.read(10, draw=False)
    before, written = program.processor_seconds(), program.written
    begun = time.monotonic()
    program.read(seconds, draw=False)
    took = time.monotonic() - begun
    used = 100 * (program.processor_seconds() - before) / took
    rate = (program.written - written) / took
    memory = program.resident_mib()
    program.end()
    print(
        f"| {count} | {name} | {statistics.median(starts):.2f} s | {used:.2f} % | {rate:.0f} | {memory:.0f} MiB |",
        flush=True,
    )
    return 0


sys.exit(main())
