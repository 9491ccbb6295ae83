# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From live query to chart
#
# A chart that follows a query, in two ways: Perspective, which is fed row by row, and a figure of one's own.

# %%
import asyncio
import math
from contextlib import AsyncExitStack

import matplotlib.pyplot as plt
from reactivex import operators as ops

from lunora_rx import LunoraClient, api
from lunora_rx import operators as lops
from lunora_rx.adapters.jupyter import show
from lunora_rx.devserver import App

app = App()


@app.query("readings:list")
def list_readings(ctx):
    return ctx.db.table("readings").collect()


@app.mutation("readings:add")
def add_reading(ctx, sensor: str, step: int, value: float):
    return ctx.db.insert("readings", sensor=sensor, step=step, value=value)


before = asyncio.all_tasks()
running = AsyncExitStack()
client = await running.enter_async_context(LunoraClient(await running.enter_async_context(app.serve()), linger=60))


async def measure():
    step = 0
    while not stopped.is_set():
        for sensor, pace in (("a", 11), ("b", 17)):
            value = round(math.sin(step / pace) + math.cos(step / 5) / 4, 3)
            await client.mutation(api.readings.add, {"sensor": sensor, "step": step, "value": value})
        await asyncio.sleep(0.02)
        step += 1


stopped = asyncio.Event()
measuring = asyncio.create_task(measure())
readings = client.live(api.readings.list)

# %% [markdown]
# ## Perspective
#
# Everything after the query is Perspective's own: `plugin`, `columns`, `group_by`, `split_by`, `aggregates`, `sort`. The
# chart needs the extra `jupyter` and a running kernel:
#
# ![The chart in JupyterLab](../docs/images/notebook_chart.png)
#
# Where this notebook is only stored, as on a web page, its output is a table.

# %%
await readings.first(lambda rows: len(rows) >= 10)
show(readings, plugin="Y Line", group_by=["step"], split_by=["sensor"], columns=["value"])

# %% [markdown]
# ## A figure of one's own
#
# `to_frame` makes a data frame of each list. Here is the first one with 60 steps:

# %%
frames = readings.pipe(lops.to_frame(columns=["step", "sensor", "value"]))
frame = await frames.pipe(ops.filter(lambda frame: len(frame) >= 120), ops.first())
frame.groupby("sensor")["value"].describe().round(2)


# %%
def draw(frame):
    figure, axes = plt.subplots(figsize=(6, 2.2), layout="constrained")
    for sensor, rows in frame.groupby("sensor"):
        axes.plot(rows["step"], rows["value"], label=sensor)
    axes.set(xlabel="step", ylabel="value")
    axes.legend(loc="lower left")
    plt.close(figure)
    return figure


draw(frame)

# %% [markdown]
# A figure that follows: `display` makes a place, and each frame updates it, four times a second at most. It works
# wherever images are shown.

# %%
from IPython.display import display

place = display(draw(frame), display_id=True)
watching = frames.pipe(lops.conflate(0.25)).subscribe(lambda frame: place.update(draw(frame)))
await asyncio.sleep(2)
watching.dispose()

# %%
stopped.set()
await measuring
await running.aclose()
await asyncio.sleep(0)
left = [task for task in asyncio.all_tasks() - before if "/ipykernel/" not in repr(task)]
assert left == [], left
