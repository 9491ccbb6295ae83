"""A script with no event loop of its own; the server has one, on a thread. Run ``python examples/script.py``."""

from concurrent.futures import ThreadPoolExecutor

from lunora_rx.blocking import LunoraClient
from lunora_rx.devserver import App

app = App()
app.query("words:list")(lambda ctx: ctx.db.table("words").take(100))
app.mutation("words:add")(lambda ctx, text: ctx.db.insert("words", text=text))

with app.serve_in_thread() as url, LunoraClient(url) as client, ThreadPoolExecutor() as pool:
    pool.map(lambda text: client.mutation("words:add", {"text": text}), ["moon", "earth", "sun"])
    for words in client.live("words:list").iter(timeout=10):  # the newest list; no await, no callback
        print(sorted(word["text"] for word in words))
        if len(words) == 3:
            break
    print(f"{len(client.query('words:list'))} words, written by threads and watched by a for loop.")
