"""What is logged: nothing that is secret, at levels that can be acted on, and all of it documented."""

from __future__ import annotations

import ast
import io
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lunora_rx import Backoff, LunoraClient, LunoraError, Status, TransportError
from lunora_rx.adapters import opentelemetry
from lunora_rx.devserver import App
from lunora_rx.transport.memory_transport import MemoryTransport
from tests.support import Recorder, until
from tests.test_docs import section, table

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")
CANARY = "canary-4711"
BRIEF = Backoff(initial=0.01, maximum=0.02)
LEVELS = {"exception": "ERROR", "log": "WARNING or DEBUG"}
PROMISED = ("connected 0 None", "1 1\n1 0", "['messages/send', 'messages/list']", "True")


def loggers_in(tree):
    """Return the variables of a module that are loggers, to their names."""
    made = [each for each in tree.body if isinstance(each, ast.Assign) and "getLogger" in ast.unparse(each.value)]
    return {ast.unparse(each.targets[0]): each.value.args[0].value for each in made if isinstance(each.value, ast.Call)}


def messages_in(source):
    """Yield logger, level and message of each call that logs something."""
    tree = ast.parse(source)
    loggers = loggers_in(tree)
    for function in [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]:
        texts = {
            ast.unparse(each.targets[0]): each.value for each in ast.walk(function) if isinstance(each, ast.Assign)
        }
        for call in [each for each in ast.walk(function) if isinstance(each, ast.Call)]:
            name, _, method = ast.unparse(call.func).rpartition(".")
            if name in loggers and method != "isEnabledFor":
                message = call.args[method == "log"]
                message = texts.get(ast.unparse(message), message)
                yield loggers[name], LEVELS.get(method, method.upper()), ast.literal_eval(message)


def test_messages_of_the_code_are_those_of_the_page():
    """A message that is added, or changes its level, is documented."""
    sources = [path for path in (ROOT / "lunora_rx").rglob("*.py") if not {"devserver", "cli"} & {*path.parts}]
    made = {each for path in sources for each in messages_in(path.read_text(encoding="utf-8"))}
    told = {(row[0].strip("`"), row[1], row[2].strip("`")) for row in table(section("Messages", PAGE))}
    assert len(made) > 30
    assert made == told


def test_loggers_of_the_code_are_those_of_the_page():
    """One tree, each branch with its purpose."""
    made = set()
    for path in (ROOT / "lunora_rx").rglob("*.py"):
        made |= set(loggers_in(ast.parse(path.read_text(encoding="utf-8"))).values())
    assert made == {row[0].strip("`") for row in table(section("Logs", PAGE))}


def test_metrics_and_attributes_of_the_code_are_those_of_the_page():
    """What a dashboard is built on does not change unsaid."""
    source = Path(opentelemetry.__file__).read_text(encoding="utf-8")
    attributes = set(re.findall(r'"((?:rpc|server|error|http|network|lunora)\.[a-z_.]+)"', source))
    attributes = {each for each in attributes if not each.startswith("lunora.client.")}
    cells = "".join("".join(row) for name in ("Spans", "Metrics") for row in table(section(name, PAGE)))
    assert len(attributes) > 12
    assert {each for each in re.findall(r"`([a-z]+\.[a-z_.]+)`", cells) if "client" not in each} == attributes

    class Meter:
        """Notes the names of instruments."""

        def __init__(self):
            self.names = []

        def __getattr__(self, method):
            return lambda name, *args, **options: self.names.append(name)

    meter = Meter()
    opentelemetry._Instruments(meter)
    assert {row[0].strip("`") for row in table(section("Metrics", PAGE))} == set(meter.names)


def test_page_runs_as_it_stands(tmp_path):
    """Its blocks together are one program, which prints what its comments say."""
    program = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert [each for each in PROMISED if each not in done.stdout] == []
    assert "lunora_rx.frames DEBUG [] shard '': sent connect -, " in done.stderr
    assert "lunora_rx.socket INFO [] shard '': connected; 1 live queries, 0 of them resume" in done.stderr


@pytest.mark.parametrize(
    ("configure", "said"),
    [
        ("", ["W", "E"]),
        ("logging.basicConfig(level='ERROR', format='%(message)s')", ["E"]),
        ("logging.getLogger('lunora_rx').addHandler(logging.NullHandler())", []),
    ],
)
def test_program_without_logging_sees_what_somebody_should_act_on(configure, said):
    """Python's last resort says warnings and errors, and the package puts nothing in its way."""
    program = f"import logging, lunora_rx\n{configure}\nlog = logging.getLogger('lunora_rx.socket')\n"
    program += "log.info('I')\nlog.warning('W')\nlog.error('E')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.split() == said


# --- levels


def levels(caplog, part):
    """Return the levels of the records whose message holds a text."""
    return [each.levelname for each in caplog.records if part in each.getMessage()]


async def test_connection_is_told_at_info(server, no_tasks_left, caplog):
    """Connected, lost and connected again, with what resumes."""
    caplog.set_level(logging.INFO, "lunora_rx")
    async with server.client() as client:
        client.live("a:b").subscribe(Recorder())
        socket, sub = await server.subscribed()
        await socket.push("data", id=sub, data=CANARY, cursor=3, epoch="e")
        socket.cut(4001)
        await server.subscribed()
    told = [each.getMessage() for each in caplog.records if each.name == "lunora_rx.socket"]
    wanted = ("connected; 1 live queries, 0", "(code 4001)", "token of the socket has", "1 of them resume", "with 1000")
    assert [sum(part in each for each in told) for part in wanted] == [1] * 5
    assert {each.levelname for each in caplog.records} == {"INFO"}
    assert {each.shard for each in caplog.records if "shard" in each.getMessage()} == {""}


async def test_frames_are_told_at_debug_without_payload(server, no_tasks_left, caplog):
    """Type, id and size, as fields too."""
    caplog.set_level(logging.DEBUG, "lunora_rx.frames")
    async with server.client() as client:
        client.live("a:b", {"secret": CANARY}).subscribe(Recorder())
        socket, sub = await server.subscribed()
        await socket.push("data", id=sub, data=CANARY)
        await socket.push_text(CANARY)
    frames = [(each.frame_type, each.frame_id) for each in caplog.records if each.name == "lunora_rx.frames"]
    assert frames == [("connect", None), ("subscribe", sub), ("ack", sub), ("data", sub), ("unknown", None)]
    assert CANARY not in caplog.text


async def test_calls_are_told_at_debug_without_payload(server, no_tasks_left, caplog):
    """Path, number of calls, status or reason, and the function as a field."""
    caplog.set_level(logging.DEBUG, "lunora_rx.http")
    async with server.client(auth_token=CANARY) as client:
        first, second = client.query("a:b", {"secret": CANARY}), client.query("a:c")
        (await server.call()).reply({"result": CANARY})
        (await server.call()).break_off()
        await first
        with pytest.raises(TransportError):
            await second
    told = [(each.getMessage().partition(" ms")[0].rpartition(",")[0], each.function) for each in caplog.records]
    assert told == [
        ("POST /_lunora/rpc with 1 calls: 200", "a:b"),
        ("POST /_lunora/rpc with 1 calls: the connection broke", "a:c"),
    ]
    assert CANARY not in caplog.text


async def test_replay_and_rejection_are_told_to_whoever_should_act(server, no_tasks_left, caplog):
    """A summary for information; a rejection that nobody awaits is a warning, with its code and not its text."""
    caplog.set_level(logging.DEBUG, "lunora_rx.queue")
    async with server.client() as client:
        client.live("a:b").subscribe(Recorder())
        socket, _ = await server.subscribed()
        server.refusal = TransportError("nobody there", transient=True)
        socket.cut()
        await until(lambda: client.status.value is not Status.CONNECTED)
        mutation = client.mutation("a:w", {"x": CANARY}, mutation_id="m1")
        server.refusal = None
        (await server.call()).refuse("CONFLICT", CANARY)
        await until(lambda: client.pending.value == 0 and levels(caplog, "is over"))
        mutation.subscribe(on_error=lambda error: None)
    assert levels(caplog, "the write m1 waits") == ["DEBUG"]
    assert levels(caplog, "the write m1 of 'a:w' is rejected: CONFLICT") == ["WARNING"]
    assert levels(caplog, "a replay of 1 queued writes is over: 1 have a verdict, 0 are kept") == ["INFO"]
    assert CANARY not in caplog.text


# --- secrets


class Session:
    """A board over real sockets, whose tokens all hold the canary."""

    def __init__(self):
        self.app = App()
        self.tokens = 0

        @self.app.query("notes:list")
        def notes(ctx, secret: str):
            return ctx.db.table("notes").collect()

        @self.app.mutation("notes:add")
        def add(ctx, text: str):
            return ctx.db.insert("notes", text=text)

        @self.app.authenticate
        def subject(token):
            return "ana" if token.startswith(CANARY) else None

    def token(self):
        """Give a new token each time, and none the second."""
        self.tokens += 1
        if self.tokens == 2:
            raise ValueError(f"no token, {CANARY}-{self.tokens} has expired")
        return f"{CANARY}-{self.tokens}"


async def test_session_with_everything_logged_shows_no_secret(no_tasks_left, caplog, tmp_path):
    """Tokens that rotate, 4001, a provider that fails, calls that fail, whispers and the queue: no canary anywhere."""
    caplog.set_level(logging.DEBUG)
    session, output = Session(), io.StringIO()
    async with session.app.serve() as url:
        options = {"auth_token": f"{CANARY}-0", "auth_subject": "ana", "ws_token": session.token, "storage": tmp_path}
        async with LunoraClient(url, reconnect=BRIEF, polling=None, **options) as client:
            seen, told = Recorder(), Recorder()
            client.live("notes:list", {"secret": CANARY}).subscribe(seen)
            client.whispers("room").subscribe(told)
            await client.mutation("notes:add", {"text": CANARY})
            session.app.faults.close_sockets(4001)
            await until(lambda: session.tokens >= 3 and client.status.value is Status.CONNECTED)
            client.set_ws_token(f"{CANARY}-fixed")
            client.set_auth_token(f"{CANARY}-next", "ana")
            await until(lambda: seen.values and len(seen.last) == 1)
            session.app.faults.refuse_calls(2, code="FORBIDDEN", data=CANARY)
            for call in (client.query("notes:list", {"secret": CANARY}), client.action("notes:none", {"s": CANARY})):
                with pytest.raises(LunoraError):
                    await call
            session.app.faults.refuse_sockets()
            session.app.faults.drop_sockets()
            await until(lambda: client.status.value is not Status.CONNECTED)
            kept = client.mutation("notes:add", {"text": CANARY})
            await until(lambda: client.pending.value == 1)
            session.app.faults.release()
            await kept
            session.app.faults.send_text(f'{{"type":"{CANARY}","id":"{CANARY}"}}')
            session.app.faults.send_text(CANARY)
            await until(lambda: client.counts().frames_ignored == 2)
            client.set_auth_token(f"{CANARY}-other", "bo")
            print(client, client.debug()["queue"], client.debug()["storage"], file=output)
    ours = [each for each in caplog.records if each.name.startswith("lunora_rx.") and "devserver" not in each.name]
    names = {each.name.rpartition(".")[2] for each in ours}
    assert names >= {"socket", "frames", "http", "queue", "identity"}
    assert CANARY not in "\n".join(map(caplog.handler.format, ours)) + output.getvalue()
    assert CANARY not in str([vars(each) for each in ours if each.exc_info is None])


async def test_redirects_and_pages_of_errors_show_no_secret(server, no_tasks_left, caplog):
    """What a server or a proxy says instead of a reply stays out of the log."""
    caplog.set_level(logging.DEBUG)
    async with server.client(auth_token=CANARY) as client:
        for status in (307, 401, 404, 500, 503):
            call = client.query("a:b", {"secret": CANARY})
            (await server.call()).reply(CANARY.encode(), status=status, location=f"http://x.test/?token={CANARY}")
            with pytest.raises(LunoraError):
                await call
    assert len([each for each in caplog.records if each.name == "lunora_rx.http"]) == 5
    assert CANARY not in caplog.text


@pytest.mark.parametrize("where", ["receive", "handler"])
async def test_defect_is_logged_with_its_place_and_without_its_text(server, no_tasks_left, caplog, where, monkeypatch):
    """An exception of a transport may name a URL with a token, one of ours a payload: where it was raised is told."""

    class Broken(MemoryTransport):
        async def connect(self, url, headers):
            socket = await super().connect(url, headers)
            if len(server.urls) == 1:
                socket.receive = self.fail
            return socket

        async def fail(self):
            raise LookupError(CANARY)

    def fail(event):
        raise KeyError(CANARY)

    transport = Broken(server._accept, server._respond) if where == "receive" else server.transport
    async with server.client(transport=transport) as client:
        client.live("a:b").subscribe(Recorder())
        if where == "handler":
            socket = await server.socket()
            monkeypatch.setitem(client._driver.core.sessions[""]._handlers, "data", lambda frame, tagged: fail(frame))
            await socket.push("data", data=1)
        await until(lambda: [each for each in caplog.records if each.levelno == logging.ERROR])
    assert "in fail" in caplog.text
    assert "its text is left out" in caplog.text
    assert CANARY not in re.sub(r"raise \w+\(CANARY\)", "", caplog.text)
