"""A script with no event loop of its own; the server has one, on a thread. Run ``python examples/script.py``."""

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Thread

from lunora_rx.blocking import LunoraClient
from lunora_rx.devserver import App

app = App()
app.query("words:list")(lambda ctx: ctx.db.table("words").take(100))
app.mutation("words:add")(lambda ctx, text: ctx.db.insert("words", text=text))
url = Future()


async def serve():
    async with app.serve() as address:
        url.set_result(address)
        await asyncio.Event().wait()


Thread(target=asyncio.run, args=(serve(),), daemon=True).start()
with LunoraClient(url.result()) as client, ThreadPoolExecutor() as pool:
    pool.map(lambda text: client.mutation("words:add", {"text": text}), ["moon", "earth", "sun"])
    for words in client.live("words:list").iter(timeout=10):  # the newest list; no await, no callback
        print(sorted(word["text"] for word in words))
        if len(words) == 3:
            break
    print(f"{len(client.query('words:list'))} words, written by threads and watched by a for loop.")
