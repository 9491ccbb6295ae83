"""The embedded server in a process of its own, for rows that need a server which really carries writes out.

Run as ``python -m benchmarks.app_server``: it prints its URL and serves until its standard input closes.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lunora_rx.devserver import App

app = App()


@app.mutation("readings:add")
def add(ctx: Any, sensor: str, value: float, note: str, number: int) -> None:
    """Insert one row."""
    ctx.db.insert("readings", sensor=sensor, value=value, note=note, number=number)


@contextmanager
def running() -> Iterator[str]:
    """Run the server in a process of its own; yields its URL."""
    command = [sys.executable, "-m", "benchmarks.app_server"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(10)


async def main() -> None:
    """Serve until standard input closes."""
    async with app.serve() as url:
        print(url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
