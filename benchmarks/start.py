"""START: from the first line of a program to the first value of a live query."""

import os
import statistics
import subprocess
import sys

from benchmarks.frame_server import running
from benchmarks.measure import Row, interleave

# Both programs print the seconds since their first line, and those since their imports.
_OURS = """
import time; start = time.perf_counter()
import asyncio, sys
from lunora_rx import LunoraClient
imported = time.perf_counter()

async def main(url):
    async with LunoraClient(url) as client:
        await client.live("bench:rows", {"frames": 1, "rows": 0, "tagged": False}).first()
        print(time.perf_counter() - start, time.perf_counter() - imported)

asyncio.run(main(sys.argv[1]))
"""
_BARE = """
import time; start = time.perf_counter()
import asyncio, sys
import aiohttp, orjson
imported = time.perf_counter()

async def main(url):
    query = {"functionPath": "bench:rows", "args": {"frames": 1, "rows": 0, "tagged": False}}
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/_lunora/ws") as socket:
        await socket.send_str(orjson.dumps({"type": "subscribe", "id": "sub_1", "query": query}).decode())
        orjson.loads((await socket.receive()).data)
        print(time.perf_counter() - start, time.perf_counter() - imported)

asyncio.run(main(sys.argv[1]))
"""


async def measure(*, rounds: int, quick: bool) -> Row:
    """Measure the row."""
    since_imports: dict[str, list[float]] = {_OURS: [], _BARE: []}

    def seconds(program: str) -> float:
        # From the second time on, as P13: from the bytecode that the first time left.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        output = subprocess.run(
            [sys.executable, "-c", program, url], check=True, capture_output=True, text=True, env=environment
        )
        whole, rest = map(float, output.stdout.split())
        since_imports[program].append(rest)
        return whole

    with running() as url:
        mine, theirs = await interleave(lambda: seconds(_OURS), lambda: seconds(_BARE), rounds=max(rounds, 7))
    ours, bare = (statistics.median(each) * 1000 for each in since_imports.values())
    remark = f"{statistics.median(mine) * 1000:.0f} ms; once imported {ours:.1f} ms against {bare:.1f} ms"
    work = "from the first line of a program to the first value of a live query"
    return Row("START", work, "`aiohttp` and `orjson` alone", mine, theirs, "none", is_speed=False, remark=remark)
