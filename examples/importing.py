"""An import with a progress bar: it is cut in the middle, run again, and no row is there twice.

Run it with ``python examples/importing.py``.
"""

import asyncio
import sys
from contextlib import asynccontextmanager

import reactivex.operators as ops

from lunora_rx import LunoraClient, api
from lunora_rx.devserver import App

ROWS = [{"name": f"song {number}", "seconds": 120 + number % 240} for number in range(20_000)]
WIDTH = 40
app = App()


@app.mutation("songs:add")
def add(ctx, rows: list[dict]):
    for row in rows:
        ctx.db.insert("songs", **row)


@app.query("songs:count")
def count(ctx):
    return ctx.db.table("songs").count()


def show(progress):
    full = progress.imported * WIDTH // progress.total
    # On a terminal each bar is drawn over the last one; in a file it has a line of its own.
    start, end = ("\r", "") if sys.stdout.isatty() else ("", "\n")
    print(f"{start}{'█' * full:░<{WIDTH}} {progress.imported:6,} of {progress.total:,} rows", end=end, flush=True)


@asynccontextmanager
async def importing(url):
    # The server knows a write again by its id and by whose it is: the user's, or without sign-in this client id's.
    async with LunoraClient(url, client_id="importer") as client:
        # Chunks are named after the import. To take one up again, give the same id, rows and chunk size.
        songs = client.import_rows(api.songs.add, ROWS, chunk_size=1000, import_id="songs-of-2026")
        steps = songs.pipe(ops.distinct_until_changed(lambda progress: progress.imported))
        steps.subscribe(show, on_error=lambda error: print(f"\nstopped: {error}"))
        yield songs


async def main():
    async with app.serve() as url, LunoraClient(url) as judge:
        async with importing(url) as songs:
            await songs.pipe(ops.filter(lambda progress: progress.imported >= len(ROWS) * 0.4), ops.first())
            # Leaving closes the client, with a chunk on its way that it will never hear of.
        print(f"the server has {await judge.query(api.songs.count):,} rows; once more, from the first row\n")
        async with importing(url) as songs:
            done = await songs
        held = await judge.query(api.songs.count)
        print(f"\n{done.imported:,} rows imported, and the server has {held:,}: {held - len(ROWS)} too many.")
        return held == len(ROWS)


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main()) else 1)
