"""The demo's server, in a process of its own.

Run as a module it prints its URL and serves until its standard input closes, so that it ends with its parent.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from lunora_rx.devserver import ActionContext, App, MutationContext, QueryContext

app = App(title="lunora_rx demo")


@app.mutation("readings:add")
def add_reading(
    ctx: MutationContext, tick: int, at: float, cpu: float, memory: float, disk: float, network: float
) -> str:
    """Store one reading of the machine; returns its id."""
    return ctx.db.insert("readings", tick=tick, at=at, cpu=cpu, memory=memory, disk=disk, network=network)


@app.query("readings:recent")
def recent_readings(ctx: QueryContext, limit: int = 240) -> list[dict[str, Any]]:
    """Return the newest readings, newest first."""
    return ctx.db.table("readings").order("desc").take(limit)


@app.query("readings:all")
def all_readings(ctx: QueryContext) -> list[list[Any]]:
    """Return id and tick of every reading in the table."""
    return [[row["_id"], row["tick"]] for row in ctx.db.table("readings").collect()]


@app.action("demo:cut")
def cut_connection(ctx: ActionContext, seconds: float) -> None:
    """Reset every socket, and refuse new ones for a while."""
    app.faults.refuse_sockets(seconds)
    app.faults.drop_sockets()


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """Run the server in a second process; yields its URL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __spec__.name, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url = (await process.stdout.readline()).decode().strip()
        if not url:
            raise RuntimeError("the demo's server did not start")
        yield url
    finally:
        process.stdin.close()
        await process.wait()


async def main() -> None:
    """Serve until standard input closes."""
    async with app.serve() as url:
        print(url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
