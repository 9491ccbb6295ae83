# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A first look
#
# A server, a client, and a table that stays current, in one notebook. The server is the embedded one and runs right
# here; with a deployment of your own, give the client its URL and leave the first cell out.

# %%
import asyncio
import math
from contextlib import AsyncExitStack

from lunora_rx import LunoraClient, api
from lunora_rx.devserver import App

app = App()


@app.query("readings:list")
def list_readings(ctx):
    return ctx.db.table("readings").order("desc").take(500)


@app.mutation("readings:add")
def add_reading(ctx, sensor: str, celsius: float):
    return ctx.db.insert("readings", sensor=sensor, celsius=celsius)


before = asyncio.all_tasks()
running = AsyncExitStack()
url = await running.enter_async_context(app.serve())

# %% [markdown]
# A client needs no more than a URL, and connects when somebody watches. `linger` keeps a query open for a while after
# its last observer has left, which suits cells.

# %%
client = await running.enter_async_context(LunoraClient(url, linger=60))

# %% [markdown]
# Something has to happen on the server. Three sensors write ten readings a second:


# %%
async def write():
    step = 0
    while not stopped.is_set():
        for phase, sensor in enumerate(["cellar", "kitchen", "roof"]):
            celsius = round(18 + 4 * phase + 3 * math.sin(step / 9 + phase), 2)
            await client.mutation(api.readings.add, {"sensor": sensor, "celsius": celsius})
        await asyncio.sleep(0.3)
        step += 1


stopped = asyncio.Event()
writing = asyncio.create_task(write())

# %% [markdown]
# ## A live query
#
# `client.live` returns an Observable of values. It can be awaited for its first value, and iterated over:

# %%
readings = client.live(api.readings.list)
await readings.first(lambda rows: len(rows) >= 12)

async for rows in readings.aiter():
    print(len(rows), "readings, the newest:", rows[0]["sensor"], rows[0]["celsius"])
    if len(rows) > 20:
        break

# %% [markdown]
# And it displays itself. With `pip install "lunora-rx[jupyter]"` this is a grid that can be sorted, grouped and made a
# chart of; the badge tells whether it is current, and the slider looks back at what was shown. Where nothing is live,
# as on a page that only shows notebooks, it is the table below, as it was at that moment.

# %%
readings

# %% [markdown]
# ## Observers
#
# What an observer prints lands in the cell that subscribed. `dispose` ends it.

# %%
warmest = readings.map(lambda rows: max(rows, key=lambda row: row["celsius"])).map(lambda row: row["celsius"])
watching = warmest.distinct_until_changed().subscribe(lambda celsius: print("warmest so far:", celsius))
await asyncio.sleep(2)
watching.dispose()

# %% [markdown]
# ## The connection
#
# The status and the number of waiting writes display themselves, too.

# %%
client.status

# %%
client.pending

# %% [markdown]
# ## The end
#
# Closing the client ends everything that it has begun. This cell also checks that nothing went wrong unseen.

# %%
stopped.set()
await writing
await running.aclose()
await asyncio.sleep(0)
left = [task for task in asyncio.all_tasks() - before if "/ipykernel/" not in repr(task)]
assert left == [], left
