"""An endless list: pages are loaded while somebody scrolls, and rows come and go on all of them.

Run it with ``python examples/endless_list.py``.
"""

import asyncio
import random
import sys
from itertools import pairwise

import reactivex.operators as ops

from lunora_rx import LunoraClient, api
from lunora_rx.devserver import App

app = App()


# The client asks for ranges of cursors, each as a live query of its own; ``paginate`` is the other end of that.
@app.query("news:latest")
def latest(ctx, paginationOpts: dict):
    lower, upper, count = (paginationOpts[name] for name in ("lower", "upper", "numItems"))
    return ctx.db.table("news").order("desc").paginate(lower, count, upper=upper)


@app.query("news:all")
def everything(ctx):
    return ctx.db.table("news").order("desc").collect()


@app.mutation("news:write")
def write(ctx, count: int):
    first = ctx.db.table("news").count() + 1
    return [ctx.db.insert("news", number=first + index) for index in range(count)]


@app.mutation("news:retract")
def retract(ctx, ids: list[str]):
    for row_id in ids:
        ctx.db.delete("news", row_id)


class Screen:
    """What somebody who scrolls sees."""

    def __init__(self):
        self.lists = self.flaws = 0

    def show(self, rows):
        self.lists += 1
        times = [row["_creationTime"] for row in rows]
        # Each row newer than the next: none is twice, and none is out of place.
        self.flaws += any(newer <= older for newer, older in pairwise(times))
        print(f"{len(rows):4} rows {'▪' * (len(rows) // 3)}")


async def scroll(news):
    """Reach for the end of the list; it moves on as long as there is more."""
    while True:
        status = await news.statuses.pipe(ops.filter(lambda status: not status.startswith("Loading")), ops.first())
        if status == "Exhausted":
            return
        news.load_more()
        await asyncio.sleep(0.2)


async def edit(client, ids):
    """Write and retract news, on any page."""
    for _ in range(10):
        ids += await client.mutation(api.news.write, {"count": random.randint(1, 5)})
        gone = [ids.pop(random.randrange(len(ids))) for _ in range(random.randint(1, 5))]
        await client.mutation(api.news.retract, {"ids": gone})
        await asyncio.sleep(0.15)


async def main():
    async with app.serve() as url, LunoraClient(url) as client, LunoraClient(url) as editor:
        ids = await editor.mutation(api.news.write, {"count": 150})
        screen, news = Screen(), client.paginate(api.news.latest, page_size=20)
        news.subscribe(screen.show)
        await asyncio.gather(scroll(news), edit(editor, ids))
        everything = await client.query(api.news.all)
        await news.first(lambda rows: rows == everything)
        print(f"\nall {len(everything)} rows are there; {screen.lists} lists were shown, {screen.flaws} with a flaw.")
        return screen.flaws == 0


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main()) else 1)
