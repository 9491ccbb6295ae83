"""Servers in processes of their own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from lunora_rx.devserver import App


@contextmanager
def running(module: str) -> Iterator[str]:
    """Run a module that prints where it serves, and ends when its standard input closes; yields what it printed."""
    process = subprocess.Popen([sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(10)


async def serve(app: App) -> None:
    """Serve in this process, as ``running`` expects it: print the URL, and end when standard input closes."""
    async with app.serve() as url:
        print(url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        os._exit(0)
