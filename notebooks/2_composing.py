# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Composing streams
#
# A live query is an Observable of RxPY: whatever RxPY can do with a stream, it can do with a query. `lunora_rx.operators`
# adds what tables of rows need.

# %%
import asyncio
import random
from contextlib import AsyncExitStack

from reactivex import operators as ops

from lunora_rx import LunoraClient, api
from lunora_rx import operators as lops
from lunora_rx.devserver import App

app = App()


@app.query("tariffs:list")
def list_tariffs(ctx):
    return ctx.db.table("tariffs").collect()


@app.query("readings:list")
def list_readings(ctx):
    return ctx.db.table("readings").collect()


@app.mutation("rows:insert")
def insert(ctx, table: str, row: dict):
    return ctx.db.insert(table, **row)


@app.mutation("rows:update")
def update(ctx, table: str, id: str, row: dict):
    ctx.db.update(table, id, **row)


before = asyncio.all_tasks()
running = AsyncExitStack()
client = await running.enter_async_context(LunoraClient(await running.enter_async_context(app.serve()), linger=60))

# %%
night = await client.mutation(api.rows.insert, {"table": "tariffs", "row": {"tariff": "night", "price": 0.2}})
await client.mutation(api.rows.insert, {"table": "tariffs", "row": {"tariff": "day", "price": 0.4}})


async def meter(dice=random.Random(7)):
    while not stopped.is_set():
        row = {"tariff": dice.choice(["day", "night"]), "kwh": dice.randint(1, 5)}
        await client.mutation(api.rows.insert, {"table": "readings", "row": row})
        await asyncio.sleep(0.05)


stopped = asyncio.Event()
metering = asyncio.create_task(meter())
readings, tariffs = client.live(api.readings.list), client.live(api.tariffs.list)

# %% [markdown]
# ## Row by row
#
# `changes` tells what is different, and costs the row that changed, not the list.

# %%
await readings.pipe(
    lops.changes(),
    ops.map(lambda told: [(row["tariff"], row["kwh"]) for row in told.added]),
    ops.do_action(lambda rows: print("added:", rows)),
    ops.take(5),
)

# %% [markdown]
# ## Two queries as one
#
# `join` puts the price beside each reading. It follows both: change a price, and the sum changes.

# %%
priced = readings.pipe(lops.join(tariffs, on="tariff"))
cost = priced.map(lambda rows: round(sum(row["kwh"] * row["price"] for row in rows), 2))
watching = cost.pipe(lops.conflate(0.5)).subscribe(lambda euros: print("cost so far:", euros))
await asyncio.sleep(1.2)
await client.mutation(api.rows.update, {"table": "tariffs", "id": night, "row": {"price": 2.0}})
print("the night has become dear")
await asyncio.sleep(1.2)
watching.dispose()

# %% [markdown]
# ## In time
#
# `rate` measures growth, `ewma` smooths it, `history` keeps the latest, `to_frame` makes a data frame of rows.

# %%
smooth = cost.pipe(
    lops.rate(seconds=1), lops.ewma(alpha=0.3), ops.map(lambda rate: {"euros_per_second": round(rate, 2)})
)
frames = smooth.pipe(lops.history(50), lops.to_frame(), lops.conflate(0.2))
frame = await frames.pipe(ops.filter(lambda frame: len(frame) >= 20), ops.first())
frame.tail()

# %% [markdown]
# ## Live, too
#
# `show` displays any Observable, not only live queries; `of` says what it is made of, which knows whether it is live.

# %%
from lunora_rx.adapters.jupyter import show

show(cost, of=readings, title="cost in euros", fps=4)

# %%
stopped.set()
await metering
await running.aclose()
await asyncio.sleep(0)
left = [task for task in asyncio.all_tasks() - before if "/ipykernel/" not in repr(task)]
assert left == [], left
