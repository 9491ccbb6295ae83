"""A client in a process of its own: ``python -m tests.faults.writer URL DIRECTORY TASK NUMBER...``.

It queues numbers, does its task, says so, and waits until it is killed or told to close. Tasks are ``nothing``;
``fork`` or ``fork-loop``: let a child write with its parent's client, at once or in a loop of its own; and ``clocks``:
say what the clocks show, wall clock and monotonic, and again whenever it is told to go on, until all is settled.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from lunora_rx import LunoraClient
from tests.faults.customer import Customer, until
from tests.faults.rows import ADA, SOCKET
from tests.faults.shop import BRIEF


async def main(url: str, storage: str, task: str, *numbers: str) -> None:
    """Queue, and do what is asked."""
    options = {
        "auth_token": ADA,
        "auth_subject": "ada",
        "ws_token": SOCKET,
        "reconnect": BRIEF,
        "storage": Path(storage),
    }
    async with LunoraClient(url, **options) as client:
        customer = Customer(client)
        for number in numbers:
            customer.add(int(number))
        await until(lambda: all(customer.was_queued(int(number)) for number in numbers))
        if task == "clocks":
            await tell_the_time(customer)
        elif task != "nothing":
            say(write_in_a_child(client, in_loop=task == "fork-loop"))
        say("ready")
        await asyncio.to_thread(sys.stdin.readline)


async def tell_the_time(customer: Customer) -> None:
    """Say what the clocks show, whenever asked, until every write has its verdict."""
    while True:
        say(f"{time.time()} {time.monotonic()}")
        if all(write.is_settled for write in customer.writes.values()):
            return
        await asyncio.to_thread(sys.stdin.readline)


def write_in_a_child(client: LunoraClient, *, in_loop: bool) -> str:
    """Return what a forked child is told that writes with its parent's client."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        answer = "nothing"
        try:
            if in_loop:
                asyncio.run(write(client))
            else:
                client.mutation("rows:add", {"n": 66})
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        finally:
            os.write(writing, answer.encode())
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    answer = os.read(reading, 1000).decode()
    os.close(reading)
    return answer


async def write(client: LunoraClient) -> None:
    """Write from a coroutine."""
    client.mutation("rows:add", {"n": 66})


def say(text: str) -> None:
    """Tell the test."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
