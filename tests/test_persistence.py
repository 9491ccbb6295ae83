"""What outlives a client: who composed, what waits to be sent, and what stores may do to that."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from contextlib import contextmanager
from hashlib import sha256

import orjson
import pytest

from lunora_rx import (
    ClientClosedError,
    LunoraClient,
    LunoraError,
    Phase,
    QueueError,
    Status,
    Storage,
    StorageError,
    TransportError,
)
from lunora_rx.protocol.tags import TAG
from lunora_rx.storage import StorageWorker
from lunora_rx.storage.browse import browse
from lunora_rx.storage.disk_store import DiskQueue
from lunora_rx.storage.memory_store import MemoryBookmarks, MemoryCache, MemoryQueue
from lunora_rx.testing import a_queued_mutation
from tests.contracts.test_stores import AsyncMapping, Mapping
from tests.storage.disk import needs_fork
from tests.support import Recorder, ScriptedServer, turn, until

NOBODY = TransportError("nobody there", transient=True)
KINDS = ["directory", "mapping", "async mapping"]
STORAGE_THREAD = "lunora-storage"


class SocketServer(ScriptedServer):
    """A server whose clients do not poll: without a socket they are offline."""

    def client(self, url="http://server.test", **options):
        """Return a client that has sockets or nothing."""
        return super().client(url, **{"polling": None, **options})


class Place:
    """Where clients keep their things, one after the other, and what a look there finds."""

    def __init__(self, kind, directory):
        self.directory = directory / "store"
        self._kind = kind
        self._kv = AsyncMapping() if kind == "async mapping" else Mapping()

    def storage(self):
        """What to give a client as ``storage``."""
        return self.directory if self._kind == "directory" else Storage.from_mapping(self._kv)

    @property
    def writes(self):
        """The records that are stored, in order, as stored."""
        if self._kind == "directory":
            lanes = browse(self.directory)
            return [orjson.loads(write.stored) for lane in lanes for write in lane.writes]
        texts = getattr(self._kv, "inner", self._kv).texts
        ids = orjson.loads(texts.get("lunora:queue", "[]"))
        return [orjson.loads(texts[f"lunora:queue:{each}"]) for each in ids]

    @property
    def ids(self):
        """Their mutation ids."""
        return [write["id"] for write in self.writes]


class Store(MemoryQueue):
    """A queue store that outlives its client, can be held up, and fails as told.

    Attributes:
        gate: While it is not set, whoever calls waits.
        faults: What an operation raises, by its name.
        commits: How many records each transaction took.
    """

    def __init__(self, *records):
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.faults = {}
        self.commits = []
        for record in records:
            super().append(record)

    @property
    def ids(self):
        """The mutation ids, oldest first."""
        return [record.mutation_id for record in super().load()]

    def load(self):
        self._check("load")
        return super().load()

    def append(self, record):
        self._check("append")
        super().append(record)

    def remove(self, ids):
        self._check("remove")
        super().remove(ids)

    def replace(self, record):
        self._check("replace")
        super().replace(record)

    def _check(self, operation):
        assert self.gate.wait(10)
        fault = self.faults.get(operation)
        if fault is not None:
            raise fault


@pytest.fixture(autouse=True)
def no_threads_left():
    """Fails a test that leaves a thread behind."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(2)
        assert not thread.is_alive(), thread


@pytest.fixture
async def server():
    """A server in memory that the test plays by hand."""
    return SocketServer()


@pytest.fixture(params=KINDS)
def any_place(request, tmp_path):
    """A directory, and key-value stores of both kinds."""
    return Place(request.param, tmp_path)


@pytest.fixture
def place(tmp_path):
    """A directory."""
    return Place("directory", tmp_path)


@pytest.fixture
def offline(server):
    """The server in memory, which cannot be reached yet."""
    server.refusal = NOBODY
    return server


@pytest.fixture
def quick_recovery(monkeypatch):
    """Lets stores that fail be tried again at once."""

    def opened(stores, **options):
        return StorageWorker(stores, retry_interval=0.01, **options)

    monkeypatch.setattr("lunora_rx.storage.StorageWorker", opened)


@pytest.fixture
def brief_close(monkeypatch):
    """Bounds the wait for a disk that hangs."""
    for module in ("driver", "persistence"):
        monkeypatch.setattr(f"lunora_rx.{module}.CLOSE_TIMEOUT", 0.05)


async def queued(*mutations):
    """Wait until writes wait durably."""
    await until(lambda: all(each.phases.latest is Phase.QUEUED for each in mutations))


async def introduced(server):
    """Return the frame by which the next socket introduces its client."""
    async with asyncio.timeout(5):
        socket = await server._sockets.get()
    return await socket.expect("connect")


def carried(call):
    """What a call or a batch carries: for each write its arguments, its id and its client's id."""
    if "calls" in call.body:
        return [(each["args"], each["mutationId"], each["clientId"]) for each in call.body["calls"]]
    headers = call.headers
    return [(call.body["args"], headers["x-lunora-mutation-id"], headers["x-lunora-client-id"])]


def commit(call):
    """Let every write of a call or a batch have happened."""
    results = [{"result": None} for _ in carried(call)]
    if "calls" in call.body:
        call.reply({"results": [{"id": index, "body": body} for index, body in enumerate(results)]})
    else:
        call.reply(results[0])


async def replayed(server, count):
    """Let that many writes happen; return what was carried, in order."""
    seen = []
    while len(seen) < count:
        call = await server.call()
        seen += carried(call)
        commit(call)
    return seen


async def leave(server, place, *numbers, **options):
    """Compose writes that cannot be sent, close the client, and return the writes and the client's id."""
    async with server.client(storage=place.storage(), **options) as client:
        writes = [client.mutation("a:set", {"n": number}) for number in numbers]
        await queued(*writes)
        return writes, client.debug()["client_id"]


def warnings(caplog):
    """What was said at level WARNING."""
    return [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]


async def _await(call):
    return await call


# --- the start


def test_client_made_with_a_directory_touches_nothing(place):
    """Constructing is no use: no loop, no thread and no file."""
    client = LunoraClient("http://server.test", storage=place.directory)
    client.live("a:b")
    assert (repr(client), client.debug()["client_id"]) == (
        "<LunoraClient http://server.test idle, 0 live, 0 calls>",
        "",
    )
    assert not place.directory.exists()
    assert not [each for each in threading.enumerate() if each.name == STORAGE_THREAD]


async def test_client_closed_before_its_first_use_touches_nothing(server, no_tasks_left, place):
    """There is nothing to load and nothing to flush."""
    client = server.client(storage=place.directory)
    await client.aclose()
    assert not place.directory.exists()


async def test_client_token_set_before_its_first_use_touches_nothing(server, no_tasks_left, place):
    """Somebody else may sign in before anything was read; what is used later is theirs."""
    client = server.client(storage=place.directory, auth_token="t1", auth_subject="ana")
    client.set_auth_token("t2", "bo")
    assert not place.directory.exists()
    call = client.query("a:b")
    request = await server.call()
    assert request.headers["authorization"] == "Bearer t2"
    request.reply({"result": 1})
    assert await call == 1
    await client.aclose()


async def test_client_first_use_loads_the_directory(server, no_tasks_left, place):
    """``async with`` is a use: the directory is made, and the id is known."""
    async with server.client(storage=place.directory) as client:
        assert client.debug()["client_id"] == ""
        await until(lambda: client.debug()["client_id"])
        assert (place.directory / "client_id").read_text().strip() == client.debug()["client_id"]


async def test_nothing_is_sent_before_the_client_id_is_known(server, no_tasks_left):
    """Neither a socket nor a call nor a probe goes out, nor is a token asked for; then all of them, under the id."""
    gate, asked = threading.Event(), []

    def keep(new_id):
        assert gate.wait(10)
        return "kept"

    def token():
        asked.append(1)

    async with server.client(storage=Storage(MemoryQueue(), keep_client_id=keep), ws_token=token) as client:
        client.live("a:b").subscribe(Recorder())
        calls = [client.query("a:b"), client.mutation("a:set"), client.current_user()]
        await turn(100)
        assert (server.urls, server.waiting_calls, asked, calls[1].phases.latest) == ([], 0, [], Phase.COMPOSED)
        gate.set()
        assert (await introduced(server))["clientId"] == "kept"
        for _ in calls:
            request = await server.call()
            assert request.headers.get("x-lunora-client-id", "kept") == "kept"
            request.reply({"result": 1})
        assert [await each for each in calls] == [1, 1, None]


async def test_storage_that_does_not_answer_at_the_start_is_done_without(server, no_tasks_left, monkeypatch):
    """Some seconds late it is reported, and requests go out under a new id, which the late answer does not change."""
    monkeypatch.setattr("lunora_rx.persistence.START_TIMEOUT", 0.02)
    gate, errors, bookmarks = threading.Event(), [], MemoryBookmarks()

    def keep(new_id):
        assert gate.wait(10)
        return "kept"

    storage = Storage(Store(), None, bookmarks, keep_client_id=keep)
    async with server.client(storage=storage, on_storage_error=errors.append) as client:
        client.live("a:b").subscribe(Recorder())
        client_id = (await introduced(server))["clientId"]
        assert client_id.startswith("client-")
        assert [each.data for each in errors] == [{"operation": "load", "mutation_id": None}]
        mutation = client.mutation("a:set")
        gate.set()
        call = await server.call()
        assert carried(call)[0][2] == client_id
        commit(call)
        await mutation
        assert client.debug()["client_id"] == client_id


async def test_client_id_is_the_same_after_a_restart_everywhere(server, no_tasks_left, any_place):
    """In the introduction, in the header and in the record; the next client of the place has it too."""
    seen = []
    for number in range(2):
        async with server.client(storage=any_place.storage()) as client:
            client.live("a:b").subscribe(Recorder())
            seen.append((await introduced(server))["clientId"])
            await until(lambda client=client: client.status.value is Status.CONNECTED)
            client.mutation("a:set", {"n": number})
            seen.append(carried(call := await server.call())[0][2])
            commit(call)
            server.refusal = NOBODY
            client.set_ws_token(f"t{number}")
            await until(lambda client=client: client.status.value is not Status.CONNECTED)
            await queued(client.mutation("a:set", mutation_id="left"))
            seen.append(any_place.writes[-1]["clientId"])
        server.refusal = None
        async with server.client(storage=any_place.storage()):
            seen += [each[2] for each in await replayed(server, 1)]
            await until(lambda: not any_place.ids)
            await server.socket()
    assert len(set(seen)) == 1
    assert seen[0].startswith("client-")


async def test_client_id_given_wins_over_the_kept_one(offline, no_tasks_left, any_place):
    """It is used everywhere; what another id composed keeps that one, and the kept id stays."""
    _, kept = await leave(offline, any_place, 0)
    offline.refusal = None
    async with offline.client(storage=any_place.storage(), client_id="given") as client:
        mutation = client.mutation("a:set", {"n": 1})
        assert (await introduced(offline))["clientId"] == "given"
        sent = await replayed(offline, 2)
        assert [each[2] for each in sent] == [kept, "given"]
        await mutation
    async with offline.client(storage=any_place.storage()) as client:
        await until(lambda: client.debug()["client_id"])
        assert client.debug()["client_id"] == kept


# --- composing


async def test_write_is_queued_only_after_its_record_is_committed(offline, no_tasks_left):
    """While the disk is busy the loop is not, and the write is composed and no more."""
    store = Store()
    async with offline.client(storage=Storage(store)) as client:
        await queued(client.mutation("a:set", mutation_id="first"))
        store.gate.clear()
        mutation, seen = client.mutation("a:set", mutation_id="second"), Recorder()
        mutation.phases.subscribe(lambda phase: seen.on_next((phase, list(store.ids))))
        offline.refusal = None
        await offline.socket()
        await replayed(offline, 1)
        assert (seen.values, client.pending.value) == ([(Phase.COMPOSED, ["first"])], 1)
        store.gate.set()
        await replayed(offline, 1)
        await mutation
    phases = dict(seen.values)
    assert list(phases) == [Phase.COMPOSED, Phase.QUEUED, Phase.SENT, Phase.COMMITTED]
    assert "second" in phases[Phase.QUEUED]


async def test_write_is_on_the_disk_when_it_is_queued(offline, no_tasks_left, place):
    """Whoever hears ``queued`` may pull the plug."""
    async with offline.client(storage=place.directory) as client:
        seen = []
        for name in "ab":
            mutation = client.mutation("a:set", mutation_id=name)
            mutation.phases.subscribe(lambda phase: phase is Phase.QUEUED and seen.append(place.ids))
            await queued(mutation)
    assert seen == [["a"], ["a", "b"]]


async def test_writes_composed_together_are_committed_together(offline, no_tasks_left, tmp_path):
    """A thousand writes that came while the disk was busy cost it a few commits, and are queued in order."""
    gate, commits = threading.Event(), []
    gate.set()

    class Counted(DiskQueue):
        @contextmanager
        def group(self):
            is_outermost = not self._is_in_group
            if is_outermost:
                assert gate.wait(10)
            with super().group():
                yield
            if is_outermost:
                commits.append(1)

    async with offline.client(storage=Storage(Counted(tmp_path, report=pytest.fail))) as client:
        await queued(client.mutation("a:set", mutation_id="first"))
        commits.clear()
        gate.clear()
        mutations = [client.mutation("a:set", mutation_id=str(number)) for number in range(999)]
        gate.set()
        await queued(*mutations)
    assert 1 <= len(commits) <= 3
    stored = [write.record.mutation_id for write in browse(tmp_path)[0].writes]
    assert stored == ["first", *map(str, range(999))]


async def test_writes_left_by_a_client_are_sent_by_the_next_as_they_were_composed(offline, no_tasks_left, any_place):
    """In order, under their ids and their client's, ahead of what the next client writes, and settled unattended."""
    left, client_id = await leave(offline, any_place, 0, 1, 2, auth_token="t1", auth_subject="ana")
    assert [(each["identity"], each["clientId"]) for each in any_place.writes] == [("subj:ana", client_id)] * 3
    offline.refusal = None
    settled = Recorder()
    async with offline.client(storage=any_place.storage(), auth_token="t2", auth_subject="ana") as client:
        client.settled.subscribe(settled)
        new = client.mutation("a:set", {"n": 3})
        sent = await replayed(offline, 4)
        await new
        await until(lambda: len(settled.values) == 4)
    ids = [each.mutation_id for each in (*left, new)]
    assert sent == [({"n": number}, name, client_id) for number, name in enumerate(ids)]
    assert [(each.mutation_id, each.status) for each in settled.values] == [(name, "committed") for name in ids]
    assert [each.had_awaiter for each in settled.values[:3]] == [False] * 3
    assert any_place.ids == []


async def test_write_left_in_a_shard_opens_that_shard_alone(offline, no_tasks_left, place):
    """Nobody watches anything: the record is reason enough."""
    async with offline.client(storage=place.directory) as client:
        await queued(client.mutation("a:set", shard="room"))
    offline.refusal = None
    offline.urls.clear()
    async with offline.client(storage=place.directory):
        assert (await replayed(offline, 1))[0][0] == {}
    assert offline.urls == ["ws://server.test/_lunora/ws?shard=room"]


async def test_write_left_by_one_user_is_rejected_for_another(offline, no_tasks_left, any_place):
    """It is reported, its record goes, and it is sent to nobody."""
    await leave(offline, any_place, 0, auth_token="t1", auth_subject="ana")
    offline.refusal = None
    settled = Recorder()
    async with offline.client(storage=any_place.storage(), auth_token="t2", auth_subject="bo") as client:
        client.settled.subscribe(settled)
        await until(lambda: settled.values)
        await turn(20)
        assert offline.waiting_calls == 0
    assert [(each.code, each.had_awaiter) for each in settled.values] == [("OFFLINE_IDENTITY_CHANGED", False)]
    assert any_place.ids == []


async def test_write_left_by_another_version_is_dropped_and_reported(offline, no_tasks_left, any_place):
    """It is neither sent nor settled; of the same version it is sent."""
    left, _ = await leave(offline, any_place, 0, storage_version="v1")
    await leave(offline, any_place, storage_version="v1")
    assert any_place.ids == [left[0].mutation_id]
    errors, settled = [], Recorder()
    options = {"storage_version": "v2", "on_storage_error": errors.append}
    async with offline.client(storage=any_place.storage(), **options) as client:
        client.settled.subscribe(settled)
        await until(lambda: errors)
        await turn(20)
        assert (client.pending.value, settled.values) == (0, [])
    assert [(type(each), each.data["mutation_id"]) for each in errors] == [(StorageError, left[0].mutation_id)]
    assert "'v1'" in str(errors[0])
    assert any_place.ids == []


async def test_write_left_with_arguments_that_cannot_be_read_is_rejected(server, no_tasks_left):
    """Its record goes, and the others are sent."""
    bad = a_queued_mutation("bad", args={"when": [TAG, "date"]}, identity=None)
    store, settled = Store(bad, a_queued_mutation("good", identity=None)), Recorder()
    async with server.client(storage=Storage(store)) as client:
        client.settled.subscribe(settled)
        assert [each[1] for each in await replayed(server, 1)] == ["good"]
        await until(lambda: len(settled.values) == 2)
    assert [(each.mutation_id, each.code) for each in settled.values] == [
        ("bad", "OFFLINE_WRITE_UNENCODABLE"),
        ("good", None),
    ]
    assert store.ids == []


async def test_queue_that_overflows_lets_the_oldest_record_go(offline, no_tasks_left, place):
    """A write of an earlier process gives way like any other, on the disk too."""
    left, _ = await leave(offline, place, 0, 1)
    settled = Recorder()
    async with offline.client(storage=place.directory, queue_limit=2) as client:
        client.settled.subscribe(settled)
        await until(lambda: client.pending.value == 2)
        new = client.mutation("a:set", {"n": 2})
        await queued(new)
    overflown = [(each.mutation_id, each.code, each.had_awaiter) for each in settled.values]
    assert overflown == [(left[0].mutation_id, "OFFLINE_QUEUE_OVERFLOW", False)]
    assert place.ids == [left[1].mutation_id, new.mutation_id]


@pytest.mark.parametrize("moment", ["queued", "composed"])
async def test_write_cancelled_leaves_no_record(offline, no_tasks_left, moment):
    """Also when it is cancelled while its record is being written."""
    store = Store()
    async with offline.client(storage=Storage(store)) as client:
        await queued(kept := client.mutation("a:set"))
        if moment == "composed":
            store.gate.clear()
        mutation = client.mutation("a:set")
        if moment == "queued":
            await queued(mutation)
        assert mutation.cancel() is True
        store.gate.set()
        with pytest.raises(LunoraError, match="cancelled"):
            await mutation
        await until(lambda: client.pending.value == 1)
    assert store.ids == [kept.mutation_id]


async def test_write_cancelled_before_the_queue_is_loaded_is_never_stored(offline, no_tasks_left):
    """It waited for the load, and nothing of it is left."""
    store = Store()
    store.gate.clear()
    async with offline.client(storage=Storage(store)) as client:
        mutation, kept = client.mutation("a:set"), client.mutation("a:set")
        await turn()
        assert mutation.cancel() is True
        store.gate.set()
        await queued(kept)
        with pytest.raises(LunoraError, match="cancelled"):
            await mutation
    assert store.ids == [kept.mutation_id]


async def test_write_made_again_while_the_queue_is_read_leaves_no_record_once_rejected(server, no_tasks_left):
    """It was told rejected: no later process may carry it out."""
    store = Store(a_queued_mutation("left", function_path="a:set", identity=None))
    store.gate.clear()
    async with server.client(storage=Storage(store)) as client:
        mutation = client.mutation("a:set", mutation_id="left")
        outcome = asyncio.ensure_future(mutation.first())
        await turn()
        store.gate.set()
        (await server.call()).refuse("CONFLICT")
        with pytest.raises(LunoraError) as refused:
            await outcome
        assert (refused.value.code, mutation.phases.latest) == ("CONFLICT", Phase.REJECTED)
    assert store.ids == []


async def test_second_client_of_a_directory_adopts_what_the_first_leaves(offline, no_tasks_left, place):
    """Each has a lane of its own; that of one that closed is taken over at the next connect, its writes unchanged."""
    async with offline.client(storage=place.directory, client_id="second") as second:
        own = second.mutation("a:set", {"n": 1})
        await queued(own)
        left, _ = await leave(offline, place, 0, client_id="first")
        assert len(browse(place.directory)) == 2
        assert second.pending.value == 1
        offline.refusal = None
        sent = await replayed(offline, 2)
        await own
        await until(lambda: not place.ids)
    expected = [(left[0].mutation_id, "first"), (own.mutation_id, "second")]
    assert sorted(each[1:] for each in sent) == sorted(expected)


async def test_client_does_not_touch_the_lane_of_a_living_one(server, no_tasks_left, place):
    """Of two clients of one process, too, each sends only what it composed."""
    server.refusal = NOBODY
    async with server.client(storage=place.directory) as first, server.client(storage=place.directory) as second:
        left = first.mutation("a:set", mutation_id="of-first")
        await queued(left)
        await queued(mutation := second.mutation("a:set", mutation_id="of-second"))
        assert (first.pending.value, second.pending.value) == (1, 1)
        server.refusal = None
        assert sorted(each[1] for each in await replayed(server, 2)) == ["of-first", "of-second"]
        await asyncio.gather(left, mutation)


# --- the bookmark


@pytest.mark.parametrize("kind", [*KINDS, "of the user"])
async def test_bookmark_is_kept_and_sent_by_the_next_client(server, no_tasks_left, tmp_path, kind):
    """The latest one goes with the first request of the next process."""
    bookmarks, place = MemoryBookmarks(), Place(kind, tmp_path)

    def storage():
        return Storage(MemoryQueue(), None, bookmarks) if kind == "of the user" else place.storage()

    async with server.client(storage=storage()) as client:
        for bookmark in ("b1", "b2"):
            call = client.query("a:b")
            (await server.call()).reply({"result": 1}, x_d1_bookmark=bookmark)
            await call
    async with server.client(storage=storage()) as client:
        call = client.query("a:b")
        request = await server.call()
        assert request.headers["x-d1-bookmark"] == "b2"
        request.reply({"result": 1})
        await call


async def test_bookmark_given_apart_wins_over_the_storage(server, no_tasks_left):
    """``bookmarks`` is read at once and written to; the storage's is left alone."""
    apart, stored = MemoryBookmarks(), MemoryBookmarks()
    apart.set("apart")
    stored.set("stored")
    async with server.client(storage=Storage(MemoryQueue(), None, stored), bookmarks=apart) as client:
        call = client.query("a:b")
        request = await server.call()
        assert request.headers["x-d1-bookmark"] == "apart"
        request.reply({"result": 1}, x_d1_bookmark="new")
        await call
    assert (apart.get(), stored.get()) == ("new", "stored")


# --- stores that fail


@pytest.mark.parametrize("is_disk_error", [True, False])
async def test_append_that_fails_is_reported_and_the_write_goes_on_in_memory(offline, no_tasks_left, is_disk_error):
    """It is queued all the same, and sent; the error names the operation and the write."""
    store, errors = Store(), []
    fault = OSError(28, "no space left") if is_disk_error else ValueError("of the user's store")
    store.faults["append"] = fault
    async with offline.client(storage=Storage(store), on_storage_error=errors.append) as client:
        mutation = client.mutation("a:set", {"n": 1})
        await queued(mutation)
        assert (store.ids, client.pending.value) == ([], 1)
        assert [(type(each), each.transient, each.data["mutation_id"]) for each in errors] == [
            (StorageError, True, mutation.mutation_id)
        ]
        assert errors[0].data["operation"].startswith("append")
        assert str(fault.args[-1]) in str(errors[0])
        assert isinstance(errors[0].__cause__, Exception)
        offline.refusal = None
        assert [each[1] for each in await replayed(offline, 1)] == [mutation.mutation_id]
        await mutation


@pytest.mark.parametrize("operation", ["append", "load", "remove", "replace"])
async def test_storage_error_names_the_operation_of_the_protocol(server, no_tasks_left, operation):
    """``docs/protocol.md``, section "Durable record": a program must be able to compare it."""
    digest = f"tok:{sha256(b'token-1').hexdigest()[:32]}"
    store, errors = Store(a_queued_mutation("left", shard="", identity=digest)), []
    store.faults[operation] = OSError("broken")
    server.refusal = NOBODY
    options = {"auth_token": "token-1", "on_storage_error": errors.append}
    async with server.client(storage=Storage(store), **options) as client:
        await queued(client.mutation("a:set"))
        client.set_auth_token("token-1", "ana")
        server.refusal = None
        await replayed(server, 1 if operation == "load" else 2)
        await until(lambda: errors and client.pending.value == 0)
    assert {each.data["operation"] for each in errors} >= {operation}


async def test_append_that_fails_once_is_made_good(offline, no_tasks_left, quick_recovery):
    """When the store works again it holds all that waits, in the order of composing."""
    store, errors = Store(), []
    async with offline.client(storage=Storage(store), on_storage_error=errors.append) as client:
        await queued(first := client.mutation("a:set"))
        store.faults["append"] = OSError("full")
        await queued(second := client.mutation("a:set"))
        await queued(third := client.mutation("a:set"))
        assert store.ids == [first.mutation_id]
        del store.faults["append"]
        await until(lambda: len(store.ids) == 3)
    assert store.ids == [each.mutation_id for each in (first, second, third)]
    assert [each.data["mutation_id"] for each in errors] == [second.mutation_id, third.mutation_id]


async def test_append_that_can_never_work_rejects_that_write_alone(offline, no_tasks_left, monkeypatch):
    """A record that no disk takes is given up; what was composed beside it is stored."""
    monkeypatch.setattr("lunora_rx.storage.rows.RECORD_LIMIT", 500)
    store, settled, errors = Store(), Recorder(), []
    async with offline.client(storage=Storage(store), on_storage_error=errors.append) as client:
        client.settled.subscribe(settled)
        await queued(before := client.mutation("a:set"))
        huge, after = client.mutation("a:set", {"text": "x" * 500}), client.mutation("a:set")
        await queued(after)
        with pytest.raises(QueueError) as caught:
            await huge
        assert caught.value.code == "OFFLINE_WRITE_UNENCODABLE"
        assert (client.pending.value, store.ids) == (2, [before.mutation_id, after.mutation_id])
    assert [(each.mutation_id, each.code) for each in settled.values] == [
        (huge.mutation_id, "OFFLINE_WRITE_UNENCODABLE")
    ]
    assert [(each.data["mutation_id"], each.transient) for each in errors] == [(huge.mutation_id, False)]


async def test_write_that_can_never_be_stored_does_not_hold_up_those_behind_it(offline, no_tasks_left, monkeypatch):
    """A flush that stopped before its record goes on once it is given up."""
    monkeypatch.setattr("lunora_rx.storage.rows.RECORD_LIMIT", 500)
    store = Store()
    async with offline.client(storage=Storage(store), on_storage_error=lambda error: None) as client:
        await queued(client.mutation("a:set", mutation_id="before"))
        store.gate.clear()
        huge = client.mutation("a:set", {"text": "x" * 500}, mutation_id="huge")
        after = client.mutation("a:set", mutation_id="after")
        offline.refusal = None
        assert [each[1] for each in await replayed(offline, 1)] == ["before"]
        store.gate.set()
        assert [each[1] for each in await replayed(offline, 1)] == ["after"]
        await after
        with pytest.raises(QueueError):
            await huge
    assert store.ids == []


async def test_load_that_fails_is_reported_and_what_it_held_comes_later(offline, no_tasks_left, quick_recovery):
    """New writes go on meanwhile; when the store can be read, its records are sent as well."""
    left, errors = a_queued_mutation("left", identity=None, shard="", client_id="other"), []
    store = Store(left)
    store.faults["load"] = OSError("cannot read")
    async with offline.client(storage=Storage(store), on_storage_error=errors.append) as client:
        await queued(new := client.mutation("a:set", mutation_id="new"))
        assert client.pending.value == 1
        assert errors[0].data["operation"].startswith("load")
        assert (errors[0].data["mutation_id"], "cannot read" in str(errors[0])) == (None, True)
        del store.faults["load"]
        await until(lambda: client.pending.value == 2)
        offline.refusal = None
        assert [each[1:] for each in await replayed(offline, 2)] == [
            ("left", "other"),
            ("new", client.debug()["client_id"]),
        ]
        await new
    assert store.ids == []


async def test_remove_that_fails_is_reported_and_made_good(offline, no_tasks_left, quick_recovery):
    """The write has its verdict; its record goes when the store works again, and nothing is sent twice."""
    store, errors = Store(), []
    async with offline.client(storage=Storage(store), on_storage_error=errors.append) as client:
        await queued(mutation := client.mutation("a:set"))
        store.faults["remove"] = OSError("read-only")
        offline.refusal = None
        await replayed(offline, 1)
        assert await mutation is None
        await until(lambda: errors)
        assert store.ids == [mutation.mutation_id]
        assert errors[0].data["operation"].startswith("remove")
        del store.faults["remove"]
        await until(lambda: not store.ids)
        await turn(20)
        assert (offline.waiting_calls, client.pending.value) == (0, 0)


@pytest.mark.parametrize("part", ["client_id", "bookmark", "cache"])
async def test_start_that_fails_in_one_part_is_reported_and_goes_on(server, no_tasks_left, part):
    """A client id, a bookmark or a cache that cannot be read costs that alone."""

    def broken(*_):
        raise OSError(part)

    bookmarks, cache, errors = MemoryBookmarks(), MemoryCache(), []
    bookmarks.set("b1")
    if part == "bookmark":
        bookmarks.get = broken
    if part == "cache":
        cache.load = broken
    keep = broken if part == "client_id" else lambda new_id: "kept"
    storage = Storage(Store(), cache, bookmarks, keep_client_id=keep)
    async with server.client(storage=storage, on_storage_error=errors.append) as client:
        client.live("a:b").subscribe(Recorder())
        client_id = (await introduced(server))["clientId"]
        assert client_id.startswith("client-") if part == "client_id" else client_id == "kept"
        call = client.query("a:b")
        request = await server.call()
        assert request.headers.get("x-d1-bookmark") == (None if part == "bookmark" else "b1")
        request.reply({"result": 1})
        await call
    assert [(type(each.__cause__), part in str(each)) for each in errors] == [(OSError, True)]


async def test_storage_error_hook_that_raises_is_contained(offline, no_tasks_left, caplog):
    """It is logged, and harms no write."""
    store = Store()
    store.faults["append"] = OSError("full")

    async with offline.client(storage=Storage(store), on_storage_error=lambda error: [][0]) as client:
        await queued(client.mutation("a:set"), client.mutation("a:set"))
    assert "on_storage_error itself raised IndexError" in caplog.text


async def test_storage_errors_are_logged_once_a_run_of_failures(offline, no_tasks_left, quick_recovery, caplog):
    """One warning while the store fails, and another one when it fails anew after it had worked."""
    store = Store()
    async with offline.client(storage=Storage(store)) as client:
        for run in (1, 2):
            store.faults["append"] = OSError("disk full")
            await queued(client.mutation("a:set"), client.mutation("a:set"))
            await queued(client.mutation("a:set"))
            assert len([each for each in warnings(caplog) if "disk full" in each]) == run
            del store.faults["append"]
            await until(lambda run=run: len(store.ids) == 4 * run - 1)
            await queued(client.mutation("a:set"))


async def test_damage_found_on_the_disk_is_reported_on_the_loop(offline, no_tasks_left, place):
    """What the storage's thread finds is told where everything else is told."""
    await leave(offline, place, 0)
    (database,) = place.directory.glob("lanes/*/queue/*/cache.db")
    database.write_bytes(b"not a database at all")
    told = []
    options = {"on_storage_error": lambda error: told.append((error, threading.current_thread()))}
    async with offline.client(storage=place.directory, **options) as client:
        await queued(client.mutation("a:set"))
        await until(lambda: told)
    assert [type(error) for error, _ in told] == [StorageError] * len(told)
    assert {thread for _, thread in told} == {threading.main_thread()}


# --- the end


async def test_aclose_fails_waiting_writes_and_leaves_them_on_disk(offline, no_tasks_left, no_garbage, any_place):
    """Awaiting them raises; no verdict, no settled event; the thread ends, and closing again does nothing."""
    client = offline.client(storage=any_place.storage())
    settled, phases = Recorder(), Recorder()
    client.settled.subscribe(settled)
    mutation = client.mutation("a:set", {"n": 1})
    mutation.phases.subscribe(phases)
    waiting = asyncio.create_task(_await(mutation))
    await queued(mutation)
    await asyncio.gather(client.aclose(), client.aclose())
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await waiting
    assert (phases.values, phases.completions, settled.values) == ([Phase.COMPOSED, Phase.QUEUED], 1, [])
    assert any_place.ids == [mutation.mutation_id]


async def test_aclose_at_once_stores_what_was_just_composed(offline, no_tasks_left, any_place):
    """What waited for the load is loaded behind, and is on disk when ``aclose`` returns."""
    await leave(offline, any_place, 0)
    client = offline.client(storage=any_place.storage())
    mutations = [client.mutation("a:set", mutation_id=f"m{number}") for number in range(3)]
    await client.aclose()
    assert any_place.ids[1:] == ["m0", "m1", "m2"]
    for each in mutations:
        with pytest.raises(ClientClosedError):
            await each


async def test_aclose_while_loading_sends_nothing_any_more(server, no_tasks_left):
    """The queue is waited for, so that writes are stored behind it; the network is not used for that."""
    store, bookmarks = Store(a_queued_mutation("left", identity=None, shard="")), MemoryBookmarks()
    store.gate.clear()
    client = server.client(storage=Storage(store, None, bookmarks))
    mutation = client.mutation("a:set", mutation_id="new")
    await turn()
    closing = asyncio.create_task(client.aclose())
    await turn()
    client_is_busy = not closing.done()
    store.gate.set()
    await closing
    await turn(20)
    assert client_is_busy
    assert (server.urls, server.waiting_calls, store.ids) == ([], 0, ["left", "new"])
    with pytest.raises(ClientClosedError):
        await mutation


async def test_aclose_while_loading_opens_no_socket_for_a_live_query(server, no_tasks_left):
    """Who is being closed introduces itself to nobody, however long its disk takes."""
    store = Store()
    store.gate.clear()
    gate = threading.Event()

    def keep(new_id):
        assert gate.wait(10)
        return "kept"

    client = server.client(storage=Storage(store, keep_client_id=keep))
    seen = Recorder()
    client.live("a:b").subscribe(seen)
    call = client.query("a:b")
    await turn()
    closing = asyncio.create_task(client.aclose())
    await turn()
    gate.set()
    await until(lambda: client.debug()["client_id"])
    await turn(50)
    opened = list(server.urls), server.waiting_calls
    store.gate.set()
    await closing
    assert opened == ([], 0)
    assert (seen.values, seen.completions) == ([], 1)
    with pytest.raises(ClientClosedError):
        await call


async def test_aclose_waits_for_appends_under_way(offline, no_tasks_left):
    """What was composed right before is on disk, in order, when ``aclose`` returns."""
    store = Store()
    client = offline.client(storage=Storage(store))
    await queued(client.mutation("a:set", mutation_id="first"))
    store.gate.clear()
    late = [client.mutation("a:set", mutation_id=f"late-{number}") for number in range(3)]
    closing = asyncio.create_task(client.aclose())
    await turn(50)
    assert not closing.done()
    store.gate.set()
    await closing
    assert store.ids == ["first", "late-0", "late-1", "late-2"]
    assert [each.phases.latest for each in late] == [Phase.COMPOSED] * 3


async def test_aclose_stores_writes_that_waited_behind_a_replay(offline, no_tasks_left, any_place):
    """The replay that is cut short and what was composed behind it are both there for the next client, in order."""
    client = offline.client(storage=any_place.storage())
    client.live("x:keep").subscribe(Recorder())
    first = client.mutation("a:set", mutation_id="first")
    await queued(first)
    offline.refusal = None
    await offline.socket()
    call = await offline.call()
    behind = [client.mutation("a:set", mutation_id=f"behind-{number}") for number in range(2)]
    await turn()
    assert [each.phases.latest for each in behind] == [Phase.COMPOSED] * 2
    await client.aclose()
    assert call.was_given_up
    assert any_place.ids == ["first", "behind-0", "behind-1"]


@pytest.mark.parametrize("moment", ["loading", "appending"])
async def test_aclose_with_a_disk_that_hangs_is_bounded(offline, no_tasks_left, brief_close, caplog, moment):
    """It is said that something may be lost, writes fail, and the loop is free."""
    store = Store()
    client = offline.client(storage=Storage(store))
    if moment == "appending":
        await queued(client.mutation("a:set"))
    store.gate.clear()
    mutation = client.mutation("a:set")
    await turn()
    async with asyncio.timeout(2):
        await client.aclose()
        with pytest.raises(ClientClosedError):
            await mutation
    assert len([each for each in warnings(caplog) if "may be lost" in each]) == 1
    store.gate.set()


async def test_cancel_while_the_client_is_closing_raises_nothing_of_the_storage(offline, no_tasks_left):
    """The storage takes nothing more by then; whoever cancels is told whether it was done."""
    store = Store()
    client = offline.client(storage=Storage(store))
    mutation = client.mutation("a:set")
    await queued(mutation)
    store.gate.clear()
    late = client.mutation("a:set")
    closing = asyncio.create_task(client.aclose())
    await turn(50)
    try:
        assert [each.cancel() in (True, False) for each in (mutation, late)] == [True, True]
    finally:
        store.gate.set()
        await closing


async def test_storage_of_the_user_is_closed_on_its_thread(server, no_tasks_left):
    """``close`` of each store is called once, where all else was called."""
    closed = []

    class Closing(Store):
        def close(self):
            closed.append(threading.current_thread().name)

    async with server.client(storage=Storage(Closing())):
        await turn()
    assert closed == [STORAGE_THREAD]


def test_client_abandoned_with_its_loop_warns_of_nothing(place, no_garbage):
    """Without ``aclose`` the thread stays until the process ends; records that come too late for the loop are kept."""
    script = """
import asyncio, sys
from lunora_rx import LunoraClient, TransportError
from lunora_rx.transport.memory_transport import MemoryTransport

def refuse(url, end):
    raise TransportError("nobody there", transient=True)

async def main():
    client = LunoraClient("http://server.test", storage=sys.argv[1], transport=MemoryTransport(refuse, None))
    for number in range(3):
        client.mutation("a:set", {"n": number}, mutation_id=str(number))
    while client.pending.value < 3:
        await asyncio.sleep(0.001)

asyncio.run(main())
"""
    process = run(script, place.directory)
    assert (process.returncode, "Traceback" in process.stderr) == (0, False), process.stderr
    assert place.ids == ["0", "1", "2"]


@needs_fork
def test_client_first_used_after_a_fork_stores_there(place):
    """Making it opened nothing, so a server that forks its workers later may make it at import."""
    script = """
import asyncio, logging, os, sys
from lunora_rx import LunoraClient, TransportError
from lunora_rx.transport.memory_transport import MemoryTransport

logging.basicConfig()

def refuse(url, end):
    raise TransportError("nobody there", transient=True)

client = LunoraClient("http://server.test", storage=sys.argv[1], transport=MemoryTransport(refuse, None))

async def use():
    client.mutation("a:set", mutation_id="of-the-child")
    while client.pending.value < 1:
        await asyncio.sleep(0.001)
    await client.aclose()

if not os.fork():
    asyncio.run(use())
    os._exit(0)
os.wait()
"""
    process = run(script, place.directory)
    assert process.stderr.count("nobody there") == len(process.stderr.splitlines()) == 1
    assert place.ids == ["of-the-child"]


@needs_fork
def test_client_used_in_a_forked_process_says_what_to_do(place):
    """Each way of using it raises at once, and the parent's storage is left alone."""
    script = """
import asyncio, os, sys
from lunora_rx import LunoraClient, TransportError
from lunora_rx.transport.memory_transport import MemoryTransport

def refuse(url, end):
    raise TransportError("nobody there", transient=True)

client = LunoraClient("http://server.test", storage=sys.argv[1], transport=MemoryTransport(refuse, None))

async def parent():
    client.mutation("a:set", mutation_id="before")
    while client.pending.value < 1:
        await asyncio.sleep(0.001)
    child = os.fork()
    if not child:
        try:
            asyncio.run(use())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    client.mutation("a:set", mutation_id="after")
    while client.pending.value < 2:
        await asyncio.sleep(0.001)
    await client.aclose()

async def use():
    uses = [
        lambda: client.mutation("a:set"),
        lambda: client.query("a:b"),
        lambda: client.live("a:b").subscribe(print),
        lambda: client.set_auth_token("t", "ana"),
        lambda: client.current_user(),
    ]
    for each in uses:
        try:
            each()
        except RuntimeError as error:
            print(error, flush=True)
    try:
        await client.aclose()
    except RuntimeError as error:
        print(error, flush=True)

asyncio.run(parent())
"""
    process = run(script, place.directory)
    lines = process.stdout.splitlines()
    assert len(lines) == 6, process.stdout + process.stderr
    assert all("forked" in line and "after the fork" in line for line in lines)
    assert place.ids == ["before", "after"]


def run(script, directory):
    """Run a program in a process of its own."""
    command = [sys.executable, "-c", script, str(directory)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
