"""Processes that can be killed at any moment, by the handle that the system gives for exactly that process."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

_ROOT = Path(__file__).parents[2]


class Child:
    """One process of a run."""

    def __init__(self, pid: int) -> None:
        self._handle = os.pidfd_open(pid)
        self._end = select.poll()
        self._end.register(self._handle, select.POLLIN)

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return not self._end.poll(0)

    def kill(self) -> bool:
        """Kill it with SIGKILL, wait until it is gone, and tell whether it was alive until then."""
        was_alive = self.is_alive
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        self._end.poll()
        return was_alive

    def close(self) -> None:
        """Let the handle go."""
        os.close(self._handle)


class Nursery:
    """Starts processes; all of them end with it.

    Args:
        complaints: The directory that their standard error goes to, a file for each program.
    """

    def __init__(self, complaints: Path) -> None:
        self._complaints = complaints
        self._children: list[Child] = []
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.nursery"], cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()
        for child in self._children:
            child.close()

    def start(self, program: str, *arguments: object) -> Child:
        """Start a program; it runs when this returns."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        words = [program, self._complaints / f"{program}.txt", *arguments]
        self._process.stdin.write(json.dumps([str(word) for word in words]).encode() + b"\n")
        self._process.stdin.flush()
        child = Child(int(self._process.stdout.readline()))
        self._children.append(child)
        return child
