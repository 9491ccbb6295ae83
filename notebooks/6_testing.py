# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Testing
#
# `lunora_rx.testing` brings marbles, a server that a test scripts, and time that a test moves.

# %%
import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

from reactivex import operators as ops
from reactivex.testing import TestScheduler

from lunora_rx.testing import assert_marbles, hot_live, record

before = asyncio.all_tasks()

# %% [markdown]
# ## A pipeline alone
#
# `hot_live` is a live query that shows what a marble text says: each character is a second, letters are values. Time is
# virtual, so that half a minute takes no time.

# %%
clock = TestScheduler()
typed = hot_live("a-b-c-----d|", scheduler=clock)
settled = record(typed.pipe(ops.debounce(3.0, scheduler=clock)), clock)
clock.start()
for message in settled.messages:
    print(f"{message.time:4.0f} s  {message.value}")
assert_marbles(settled, "-------c---(d,|)")

# %% [markdown]
# ## A program and its server
#
# The logic of a badge that forgives short losses of the connection, and its test. The fixtures come with the package;
# `advance` lets time pass.

# %%
program = '''
import reactivex
from reactivex import operators as ops

PATIENCE = 5.0


def badge(client, query):
    """``live``, or ``stale`` once that has lasted."""

    def badge_of(snapshot):
        if snapshot.status == "stale":
            return reactivex.timer(PATIENCE, scheduler=client.scheduler).pipe(ops.map(lambda _: "stale"))
        return reactivex.just(str(snapshot.status))

    return query.snapshots.pipe(ops.map(badge_of), ops.switch_latest(), ops.distinct_until_changed())
'''
test = """
from badge import badge

from lunora_rx.testing import record


async def test_badge_forgives_a_short_loss(lunora_server, lunora_client, lunora_time):
    lunora_server.push("orders:open", [])
    shown = record(badge(lunora_client, lunora_client.live("orders:open")))
    await lunora_time.settle()
    lunora_server.drop()
    await lunora_time.advance(60)
    assert shown.values == ["pending", "live"]


async def test_badge_tells_of_a_long_loss_and_of_its_end(lunora_server, lunora_client, lunora_time):
    lunora_server.push("orders:open", [])
    shown = record(badge(lunora_client, lunora_client.live("orders:open")))
    await lunora_time.settle()
    lunora_server.refuse()
    lunora_server.drop()
    await lunora_time.advance(10)
    assert shown.values == ["pending", "live", "stale"]
    lunora_server.accept()
    await lunora_time.advance(60)
    assert shown.values == ["pending", "live", "stale", "live"]
"""

# %%
with tempfile.TemporaryDirectory() as directory:
    (Path(directory) / "badge.py").write_text(program)
    (Path(directory) / "test_badge.py").write_text(test)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-v",
        "--color=no",
        "--no-header",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:cov",
        directory,
    ]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
print(*[line.split("::")[-1] for line in done.stdout.splitlines() if "::" in line], sep="\n")
assert done.returncode == 0, done.stdout

# %% [markdown]
# More than two minutes of time have passed in these tests, and less than a second of yours.

# %%
left = [task for task in asyncio.all_tasks() - before if "/ipykernel/" not in repr(task)]
assert left == [], left
