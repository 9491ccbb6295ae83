"""Real readings of this machine, for the dashboards beside this file: a server with a feed, in a process of its own.

``LUNORA_URL`` in the environment names another server that has the same functions.
"""

import asyncio
import os
import subprocess
import sys
import time
from functools import cache

from lunora_rx import Backoff, LunoraClient
from lunora_rx.cli.demo.readings import Feed
from lunora_rx.cli.demo.server import app
from lunora_rx.cli.text import counted

READINGS = {"limit": 240}  # one minute
CUT_SECONDS = 4.0
EMPTY = {"_id": "", "at": 0.0, "cpu": 0.0, "memory": 0.0, "disk": 0.0, "network": 0.0}
# A dashboard that is cut off for seconds need not wait long for its next attempt. Polling would keep it live
# without a socket, and there would be nothing to see.
OPTIONS = {"reconnect": Backoff(maximum=1.0), "polling": None}
_SECOND = 4  # readings


@cache
def start():
    """Return the URL of a server that is fed; it is started once a process, and ends with it."""
    if url := os.environ.get("LUNORA_URL"):
        return url
    command = [sys.executable, __file__]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
    start.process = process  # or its pipe would close, and with it the server
    return process.stdout.readline().strip()


def series(rows):
    """Return readings as a chart wants them: oldest first, local time in milliseconds, kilobytes a second."""
    ordered = rows[::-1]
    return [
        {
            "_id": row["_id"],
            "at": (row["at"] + time.localtime(row["at"]).tm_gmtoff) * 1000,
            "cpu": row["cpu"],
            "memory": row["memory"],
            "disk": speed(before, row, "disk"),
            "network": speed(before, row, "network"),
        }
        for before, row in zip(ordered, ordered[_SECOND:], strict=False)
    ]


def audience(client):
    """Return how many observers share the client."""
    return f"1 client, {counted(client.cache.observer_count, 'observer')}"


def speed(before, row, column):
    """Return how fast a counter of bytes grew between two readings, in kilobytes a second."""
    return max(0.0, row[column] - before[column]) / max(0.001, row["at"] - before["at"]) / 1000


async def main():
    """Serve and feed until standard input closes."""
    async with app.serve() as url, LunoraClient(url, reconnect=Backoff(maximum=1.0)) as client:
        feeding = asyncio.create_task(Feed(client).run(until=None))
        print(url, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        feeding.cancel()


if __name__ == "__main__":
    asyncio.run(main())
