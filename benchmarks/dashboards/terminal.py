"""A view in a terminal of 120 columns and 40 lines: when the marker is written to it."""

import fcntl
import os
import pty
import re
import struct
import termios
import threading
import time
from contextlib import contextmanager

COLUMNS, LINES = 120, 40
_STEERING = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")
_MARKER = re.compile(rb"tick (\d{13})")
_KEPT = 4096


def terminal():
    """Return both ends of a new terminal: ours, and that of the program."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    return ours, theirs


class Screen:
    """Reads what a program writes to its terminal."""

    def __init__(self, ours):
        self._ours = ours
        self._seen = []
        self._written = 0
        self._first = threading.Event()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def take(self):
        """Return what was seen since it was asked last."""
        seen, self._seen = self._seen, []
        written, self._written = self._written, 0
        return {"seen": seen, "written": written}

    def sizes(self):
        """Return nothing: there is no page."""
        return {}

    def wait(self, seconds):
        """Let time pass."""
        time.sleep(seconds)

    def wait_for_marker(self, patience):
        """Wait until the marker was there."""
        if not self._first.wait(patience):
            raise TimeoutError("the terminal never showed the marker")

    def _read(self):
        rest, newest = b"", 0
        while True:
            try:
                part = os.read(self._ours, 65536)
            except OSError:  # the program has ended
                return
            now = time.time() * 1000
            self._written += len(part)
            rest = (rest + part)[-_KEPT - len(part) :]
            for match in _MARKER.finditer(_STEERING.sub(b"", rest)):
                if int(match[1]) > newest:
                    newest = int(match[1])
                    self._seen.append([newest, now - newest])
                    self._first.set()


@contextmanager
def opened(ours):
    """Read the terminal, and wait until it shows the marker."""
    screen = Screen(ours)
    screen.wait_for_marker(60)
    yield screen
