"""What the soaked client talks to: the embedded server, in a process of its own.

Run as ``python -m benchmarks.soak.server``: it prints its URL and serves until its standard input closes.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from typing import Any

from benchmarks import processes
from lunora_rx.devserver import App, AppError, Limits

ROWS = 20

app = App(limits=Limits(change_retention=500, reply_retention=5_000))


@app.query("notes:list")
def list_notes(ctx: Any, room: int, seen: int = 0) -> Any:
    """Return the notes of a room; ``seen`` only makes one query another."""
    return ctx.db.table("notes").where(room=room).collect()


@app.query("notes:refuse")
def refuse(ctx: Any, number: int) -> Any:
    """Fail."""
    raise AppError("ROOM_FULL", f"there is no room for {number}")


@app.mutation("notes:put")
def put(ctx: Any, room: int, number: int, text: str) -> Any:
    """Write a note; a room never has more than so many, and one in seven writes is refused."""
    if number % 7 == 6:
        raise AppError("ROOM_FULL", f"there is no room for {number}")
    note = f"{room}-{number % ROWS}"
    if number % 3 and ctx.db.get("notes", note) is not None:
        ctx.db.update("notes", note, number=number, text=text)
        return note
    ctx.db.delete("notes", note)
    return ctx.db.insert("notes", _id=note, room=room, number=number, text=text)


@app.shape("notes:of")
def notes_of(ctx: Any, room: int) -> Any:
    """Return the notes of a room, kept in step by rows."""
    return ctx.db.table("notes").where(room=room)


@app.stream("notes:count")
async def count(ctx: Any, to: int) -> Any:
    """Count."""
    for number in range(to):
        yield {"number": number, "text": "x" * 40}
        if number % 16 == 15:
            await asyncio.sleep(0)


@app.http_stream("/count/:to")
async def count_events(ctx: Any, to: int) -> Any:
    """Count, in server-sent events."""
    for number in range(to):
        yield number


@app.action("soak:cut")
async def cut(ctx: Any) -> int:
    """Reset every socket."""
    return app.faults.drop_sockets()


@app.action("soak:garble")
async def garble(ctx: Any, text: str) -> int:
    """Send a text that is no frame, or a wrong one."""
    return app.faults.send_text(text)


def running() -> AbstractContextManager[str]:
    """Run the server in a process of its own; yields its URL."""
    return processes.running("benchmarks.soak.server")


if __name__ == "__main__":
    asyncio.run(processes.serve(app))
