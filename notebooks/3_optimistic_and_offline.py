# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Optimistic and offline
#
# A write shows at once, survives a lost connection, and is applied exactly once. The network is cut in this notebook: the
# embedded server can misbehave on demand.

# %%
import asyncio
from contextlib import AsyncExitStack

from reactivex import operators as ops

from lunora_rx import LunoraClient, LunoraError, api
from lunora_rx.devserver import App, AppError

app = App()


@app.query("tasks:list")
def list_tasks(ctx):
    return ctx.db.table("tasks").collect()


@app.mutation("tasks:add")
def add_task(ctx, title: str):
    if not title.strip():
        raise AppError("EMPTY_TITLE", "a task needs a title")
    return ctx.db.insert("tasks", title=title)


before = asyncio.all_tasks()
running = AsyncExitStack()
url = await running.enter_async_context(app.serve())
client = await running.enter_async_context(LunoraClient(url, linger=60, polling=None))


def show_at_once(store, args):
    tasks = store.get_query("tasks:list", {}) or []
    store.set_query("tasks:list", {}, [*tasks, {"_id": f"new-{len(tasks)}", "title": args["title"]}])


def add(title):
    return client.mutation(api.tasks.add, {"title": title}, optimistic_update=show_at_once)


def titles():
    return [task["title"] for task in tasks.value]


# %%
tasks = client.live(api.tasks.list)
watching = tasks.snapshots.subscribe()
await tasks.first()
await add("water the plants")
titles()

# %% [markdown]
# ## At once
#
# The new row is there before `mutation()` returns, and the snapshot says that it is ours alone so far.

# %%
sent = add("feed the cat")
print(titles(), "optimistic:", tasks.snapshot.is_optimistic)
await sent
await tasks.snapshots.pipe(ops.filter(lambda snapshot: not snapshot.is_optimistic), ops.first())
print(titles(), "optimistic:", tasks.snapshot.is_optimistic)

# %% [markdown]
# A write that the server refuses takes its row along:

# %%
refused = add("   ")
print(len(titles()), "rows")
try:
    await refused
except LunoraError as error:
    print(error)
print(len(titles()), "rows")

# %% [markdown]
# ## Offline
#
# Pull the plug: sockets are reset, and no new one opens. Values stay; they are stale, and say so.

# %%
app.faults.refuse_sockets()
app.faults.drop_sockets()
await client.status.pipe(ops.filter(lambda status: status == "offline"), ops.first())
print("client:", client.status.value, "| query:", tasks.snapshot.status, "|", titles())

# %% [markdown]
# Writes go on, into a queue. With `storage=` it would be on disk, and outlive this process.

# %%
waiting = [add("buy bread"), add("call Ada")]
print(client.pending.value, "writes pending |", titles())
tasks

# %% [markdown]
# ## Back again
#
# Plug it in. The client reconnects by itself, sends what waits, in order, and each write counts once.

# %%
app.faults.release()
await asyncio.gather(*waiting)
await tasks.snapshots.pipe(ops.filter(lambda shown: shown.status == "live" and not shown.is_optimistic), ops.first())
print("client:", client.status.value, "|", client.pending.value, "writes pending |", titles())

# %%
tasks

# %%
assert titles() == ["water the plants", "feed the cat", "buy bread", "call Ada"]
watching.dispose()
await running.aclose()
await asyncio.sleep(0)
left = [task for task in asyncio.all_tasks() - before if "/ipykernel/" not in repr(task)]
assert left == [], left
