"""What stands on pages that are no programs of their own: it is run, or compared with the code."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import subprocess
import sys
import threading
from functools import cache
from types import SimpleNamespace

import pytest
import reactivex.operators as ops

from lunora_rx import LunoraClient, LunoraError
from lunora_rx.blocking import LunoraClient as BlockingClient
from lunora_rx.core.connection import TRANSITIONS
from lunora_rx.devserver import App
from lunora_rx.functions import api
from lunora_rx.protocol import rpc
from lunora_rx.protocol.sse import Chunk, EventParser, StreamEnd, chunk_of
from lunora_rx.testing import ScriptedServer
from tests.docs.blocks import blocks_of
from tests.support import Recorder, until

URL = "http://127.0.0.1:8787"


def block(page, heading, language="python"):
    """Return the one block of a language under a heading of a page."""
    (found,) = [each for each in blocks_of(page) if (each.heading, each.language) == (heading, language)]
    return found.text


def messages():
    """Return an app with messages."""
    app = App()
    app.query("messages:list")(lambda ctx, channel="general": ctx.db.table("messages").where(channel=channel).collect())
    app.mutation("messages:send")(lambda ctx, channel, text: ctx.db.insert("messages", channel=channel, text=text))
    app.query("tasks:list")(lambda ctx: [{"_id": "1", "text": "write"}])
    return app


async def test_first_page_runs_as_it_stands(tmp_path):
    """It counts the messages of the channel, before and after its own, and ends."""
    program = block("docs/index.md", "lunora_rx")
    app = messages()
    async with app.serve() as url:
        assert URL in program
        command = [sys.executable, "-W", "error", "-c", program.replace(URL, url)]
        run = {"capture_output": True, "text": True, "cwd": tmp_path}
        done = await asyncio.to_thread(subprocess.run, command, **run)
        async with LunoraClient(url) as client:
            assert [row["text"] for row in await client.query(api.messages.list)] == ["hi"]
    assert (done.returncode, done.stderr) == (0, "")
    assert set(done.stdout.splitlines()) <= {"0 messages", "1 messages"}


async def test_semantics_calm_keeps_to_the_loop_of_the_client(server, client):
    """Of values in a burst the last comes, on the thread of the loop."""
    names: dict = {}
    exec(block("docs/semantics.md", "Time"), names)
    live, threads, seen = client.live("a:b"), set(), Recorder()
    live.subscribe(lambda value: None)
    names["calm"](client, live).pipe(ops.do_action(lambda value: threads.add(threading.get_ident()))).subscribe(seen)
    socket, sub = await server.subscribed()
    for value in (1, 2, 3):
        await socket.push("data", id=sub, data=value)
    await until(lambda: seen.values)
    assert (seen.values, threads) == ([3], {threading.get_ident()})


@pytest.mark.parametrize("is_refused", [False, True])
async def test_guarantees_wait_until_a_write_is_safe(server, client, is_refused):
    """The lines go on once there is a verdict, whichever."""
    sent = client.mutation("a:w")
    names = {"sent": sent, "ops": ops}
    lines = block("docs/guarantees.md", 'What "queued" means')
    waiting = asyncio.ensure_future(eval(compile(lines, "<page>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names))
    call = await server.call()
    assert not waiting.done()
    call.refuse("FORBIDDEN") if is_refused else call.reply({"result": None})
    await asyncio.wait_for(waiting, 5)
    assert (await sent.phases.pipe(ops.last())) == ("rejected" if is_refused else "committed")
    sent.subscribe(on_error=lambda error: None)


async def test_blocking_in_streamlit_shows_the_rows():
    """With a stand-in for Streamlit: the fragment shows what the query has, and one client does for all its runs."""
    shown, clients = [], []

    def connect(url):
        clients.append(BlockingClient(url))
        return clients[-1]

    async with messages().serve() as url:
        streamlit = SimpleNamespace(
            cache_resource=cache,
            dataframe=shown.append,
            fragment=lambda *, run_every: lambda function: function,
            secrets={"url": url},
        )
        names = {"LunoraClient": connect, "api": api, "st": streamlit}
        exec(block("docs/blocking.md", "Streamlit", ""), names)
        while not shown or not shown[-1]:
            await asyncio.to_thread(names["table"])
        await asyncio.to_thread(clients[0].close)
    assert (shown[-1], len(clients)) == ([{"_id": "1", "text": "write"}], 1)


def test_states_of_the_protocol_are_the_cores():
    """The diagram has the transitions of the table that the core goes by, and its end."""
    diagram = block("docs/protocol.md", "Connection states", "mermaid")
    drawn = set(re.findall(r"^ +([\w\[\]*]+) --> ([\w\[\]*]+)", diagram, re.MULTILINE))
    made = {(before.__name__, after.__name__) for (before, _), after in TRANSITIONS.items()}
    assert drawn == made | {("[*]", "Idle"), ("Closed", "[*]")}


def test_events_of_the_protocol_can_be_read():
    """A chunk, and the end."""
    events = EventParser(1000).feed((block("docs/protocol.md", "Server-sent events", "text") + "\n").encode())
    assert [chunk_of(each) for each in events] == [Chunk({"progress": 0.5}), StreamEnd()]


def test_batch_has_the_members_that_the_protocol_names():
    """What the scheme of a batch names is what the code writes and reads."""
    named = set(re.findall(r'"(\w+)"\??:', block("docs/protocol.md", "Batch", "text")))
    assert len(named) > 8
    assert {each for each in named if f'"{each}"' not in inspect.getsource(rpc)} == set()


async def test_message_of_the_test_kit_is_that_of_the_page(lunora_time):
    """Wrapped, but word by word."""
    server = ScriptedServer()
    server.push("messages:list", [], {"c": 1})
    client = server.client()
    with pytest.raises(LunoraError):
        await client.live("messages:list", {"c": 2}).first()
    await server.aclose()
    told = " ".join(block("docs/testing.md", "What is scripted, and what is not", "text").split())
    assert told in server.problems
