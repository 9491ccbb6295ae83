"""A chat with presence: messages are a live query, "is typing" is a whisper, who is there is a table.

Run it with ``python examples/chat.py``: a server and two people in one process, seen on Ada's screen.
"""

import asyncio
import sys
from contextlib import asynccontextmanager

from lunora_rx import LunoraClient, api
from lunora_rx.devserver import App

app = App()


@app.query("messages:list")
def list_messages(ctx):
    return ctx.db.table("messages").collect()


@app.mutation("messages:send")
def send(ctx, author: str, text: str):
    ctx.db.insert("messages", author=author, text=text)


# The server calls these two when a socket says something new of itself, and when it is gone, however that happened.
@app.on_connect
def arrive(ctx):
    ctx.db.delete("people", ctx.connection)
    ctx.db.insert("people", _id=ctx.connection, name=ctx.client_id, doing=ctx.context)


@app.on_disconnect
def leave(ctx):
    ctx.db.delete("people", ctx.connection)


@app.query("people:list")
def list_people(ctx):
    return sorted(f"{row['name']} ({row['doing']})" for row in ctx.db.table("people").collect())


class Screen:
    """What one person sees, line by line."""

    def __init__(self):
        self.shown = self.typing = 0

    def show_people(self, people):
        print(f"[here: {', '.join(people)}]")

    def show_typing(self, whisper):
        self.typing += 1
        print(f"     {whisper.sender} is typing ...")

    def show_messages(self, rows):
        # A live query gives the whole list each time; the screen scrolls, so it prints what is new.
        for row in rows[self.shown :]:
            print(f"{row['author']:>4}: {row['text']}")
        self.shown = len(rows)


@asynccontextmanager
async def enter(url, name, doing):
    # Without sign-in a whisper comes from a client id; with @app.authenticate it would come from the user.
    async with LunoraClient(url, client_id=name) as client:
        # Presence comes with the socket, and the socket is there while something is watched.
        with client.presence(doing), client.live(api.people.list).subscribe(lambda names: None):
            yield client


async def say(client, name, text):
    client.whisper("typing")  # nothing is stored, and only the others hear it
    await asyncio.sleep(0.4)
    await client.mutation(api.messages.send, {"author": name, "text": text})


async def main():
    async with app.serve() as url, enter(url, "Ada", "at the desk") as ada:
        screen, people = Screen(), ada.live(api.people.list)
        ada.whispers("typing").subscribe(screen.show_typing)
        ada.live(api.messages.list).subscribe(screen.show_messages)
        people.subscribe(screen.show_people)
        await people.first(lambda names: len(names) == 1)
        async with enter(url, "Bo", "on the train") as bo:
            await people.first(lambda names: len(names) == 2)
            await say(ada, "Ada", "Bo! Are you there?")
            await say(bo, "Bo", "Almost. One more stop.")
            with bo.presence("at the door"):
                await say(bo, "Bo", "Let me in?")
        # Bo has left, and said so to nobody: the server saw the socket go.
        await people.first(lambda names: len(names) == 1)
        print(f"\n{screen.shown} messages, {screen.typing} times somebody else was typing, only Ada is left.")
        return (screen.shown, screen.typing, people.value) == (3, 2, ["Ada (at the desk)"])


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main()) else 1)
