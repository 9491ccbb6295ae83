"""A server with 1,000 rows, of which 50 writes a second change 5 each; prints its URL."""

import asyncio
import random

from lunora_rx import LunoraClient, api
from lunora_rx.devserver import App

ROWS, WRITES, ROWS_A_WRITE = 1000, 50, 5
app = App()
writes = []


@app.query("cells:all")
def cells(ctx):
    """Return all rows."""
    return ctx.db.table("cells").collect()


@app.mutation("cells:fill")
def fill(ctx, count: int):
    """Make the rows."""
    return [ctx.db.insert("cells", x=number, y=random.random()) for number in range(count)]


@app.mutation("cells:change")
def change(ctx, ids: list[str]):
    """Change some rows."""
    writes.append(len(ids))
    for each in ids:
        ctx.db.update("cells", each, y=random.random())


@app.query("cells:writes")
def count_writes(ctx):
    """Return how many writes there were."""
    return len(writes)


async def main():
    """Serve until the process ends."""
    async with app.serve() as url, LunoraClient(url) as client:
        ids = await client.mutation(api.cells.fill, {"count": ROWS})
        print(url, flush=True)
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += 1 / WRITES
            # Not awaited: a busy machine falls behind, and the numbers say by how much.
            client.mutation(api.cells.change, {"ids": random.sample(ids, ROWS_A_WRITE)})
            await asyncio.sleep(max(0, due - loop.time()))


if __name__ == "__main__":
    asyncio.run(main())
