# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Time travel
#
# A recording holds what passed between a client and its server. Its replay is a client that needs no server: pause it,
# step through it, jump. This notebook makes a recording, closes the server, and travels.

# %%
import asyncio
import tempfile
from pathlib import Path

from lunora_rx import LunoraClient, ServerError, replay
from lunora_rx.devserver import App

app = App()


@app.query("scores:list")
def list_scores(ctx):
    return ctx.db.table("scores").collect()


@app.mutation("scores:add")
def add_score(ctx, player: str, points: int):
    return ctx.db.insert("scores", player=player, points=points)


before = asyncio.all_tasks()
directory = tempfile.TemporaryDirectory()
path = Path(directory.name) / "game.jsonl.gz"

# %% [markdown]
# ## Record

# %%
async with app.serve() as url, LunoraClient(url) as client, client.record(path):
    scores = client.live("scores:list")
    watching = scores.subscribe(lambda rows: print("live:", sum(row["points"] for row in rows), "points"))
    for turn in range(6):
        await client.mutation("scores:add", {"player": "Ada" if turn % 2 else "Bo", "points": turn + 1})
        await scores.first(lambda rows, turn=turn: len(rows) > turn)
        await asyncio.sleep(0.1)
    watching.dispose()

# %% [markdown]
# ## Replay, by hand
#
# The server is gone. `paused=True` stands still until it is told to move; when `step` returns, what was played is shown.

# %%
client = replay(path, paused=True)
scores, playback = client.live("scores:list"), client.playback
watching = scores.subscribe()


def tell(rows):
    print(f"{playback.position:5.2f} s:", [row["points"] for row in rows])


while not (scores.snapshot.has_value and len(scores.value) == 3):
    if await playback.step() and scores.snapshot.has_value:
        tell(scores.value)

# %% [markdown]
# ## Jump
#
# To the end, and back to the middle. Nothing in between is shown.

# %%
await playback.seek(playback.duration)
tell(scores.value)
await playback.seek(playback.duration / 2)
scores

# %% [markdown]
# ## Watch it again, three times as fast

# %%
await playback.seek(0)
playback.speed = 3
with scores.subscribe(tell):
    playback.play()
    await playback.wait_end()

# %% [markdown]
# What was not recorded fails at once, and the error says what there is:

# %%
try:
    await client.live("players:list").first()
except ServerError as error:
    print(error.code, "|", list(client.contents.queries.values()))

# %%
watching.dispose()
await client.aclose()
directory.cleanup()
await asyncio.sleep(0)
left = [task for task in asyncio.all_tasks() - before if "/ipykernel/" not in repr(task)]
assert left == [], left
