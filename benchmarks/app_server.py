"""The embedded server in a process of its own, for rows that need a server which really carries writes out.

Run as ``python -m benchmarks.app_server``: it prints its URL and serves until its standard input closes.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from typing import Any

from benchmarks import processes
from lunora_rx.devserver import App

app = App()


@app.mutation("readings:add")
def add(ctx: Any, sensor: str, value: float, note: str, number: int) -> None:
    """Insert one row."""
    ctx.db.insert("readings", sensor=sensor, value=value, note=note, number=number)


def running() -> AbstractContextManager[str]:
    """Run the server in a process of its own; yields its URL."""
    return processes.running("benchmarks.app_server")


if __name__ == "__main__":
    asyncio.run(processes.serve(app))
