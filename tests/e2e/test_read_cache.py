"""Last values that outlive the client: shown at once, resumed from, and nobody else's to see."""

from __future__ import annotations

import asyncio

import pytest

from lunora_rx import UNDEFINED, Status, Storage, TransportError
from lunora_rx.storage import open_directory
from lunora_rx.storage.memory_store import MemoryCache, MemoryQueue
from tests.contracts.test_stores import AsyncMapping, Mapping
from tests.support import Recorder, turn, until
from tests.test_persistence import SocketServer

NOBODY = TransportError("nobody there", transient=True)
pytestmark = pytest.mark.embedded("a server that is played by hand")
ANA = {"auth_token": "token-ana", "auth_subject": "ana"}
BO = {"auth_token": "token-bo", "auth_subject": "bo"}


class Cache(MemoryCache):
    """A cache store that outlives its client and notes what it was given."""

    def __init__(self):
        super().__init__()
        self.puts = []

    def put(self, entries):
        entries = list(entries)
        self.puts.append([entry.value for entry in entries])
        super().put(entries)


class Watched:
    """A live query, with the values and the snapshots that it showed."""

    def __init__(self, client, function="a:list"):
        self.live = client.live(function)
        self.values, self.snapshots = Recorder(), Recorder()
        self.live.subscribe(self.values)
        self.live.snapshots.subscribe(self.snapshots)

    @property
    def states(self):
        """How the snapshots stood, with their values."""
        return [(str(each.status), each.value) for each in self.snapshots.values]


@pytest.fixture
async def server():
    """A server in memory that the test plays by hand."""
    return SocketServer()


@pytest.fixture(params=["directory", "mapping", "async mapping", "of the user"])
def storage(request, tmp_path):
    """Returns what to give each client of one place as ``storage``."""
    kv = AsyncMapping() if request.param == "async mapping" else Mapping()
    cache = MemoryCache()
    kinds = {
        "directory": lambda: tmp_path / "store",
        "mapping": lambda: Storage.from_mapping(kv),
        "async mapping": lambda: Storage.from_mapping(kv),
        "of the user": lambda: Storage(MemoryQueue(), cache),
    }
    return kinds[request.param]


async def leave(server, storage, value, *, function="a:list", **options):
    """Let a client read a value, and close it."""
    async with server.client(storage=storage, **options) as client:
        client.live(function).subscribe(Recorder())
        socket, subscription = await server.subscribed()
        await socket.push("data", id=subscription, data=value, cursor=7, epoch="e1")


async def asked(socket):
    """Return the next subscription's id, and the position that it resumes from, ``None`` for a cold one."""
    frame = await socket.expect("subscribe")
    query = frame["query"]
    return frame["id"], (query["sinceSeq"], query["sinceEpoch"]) if "sinceSeq" in query else None


def entries(directory):
    """What a directory has cached, by key."""
    storage = open_directory(directory)
    try:
        return {entry.key: entry for entry in storage.cache.load()}
    finally:
        storage.close()


async def test_value_is_shown_stale_at_start_and_confirmed_without_being_told_again(server, no_tasks_left, storage):
    """Before any socket is open the last value is there; the server is asked for what came since."""
    await leave(server, storage(), [{"n": 1}])
    server.refusal = NOBODY
    async with server.client(storage=storage()) as client:
        watched = Watched(client)
        await until(lambda: watched.values.values)
        assert client.status.value is not Status.CONNECTED
        assert (watched.states[-1], watched.values.values) == (("stale", [{"n": 1}]), [[{"n": 1}]])
        server.refusal = None
        socket = await server.socket()
        subscription, position = await asked(socket)
        assert position == (7, "e1")
        await socket.push("resume", id=subscription, cursor=9, epoch="e1")
        assert watched.states[-1] == ("live", [{"n": 1}])
        assert watched.values.values == [[{"n": 1}]]
        assert watched.live.snapshot.cursor == 9


async def test_value_that_changed_meanwhile_replaces_the_stale_one(server, no_tasks_left, storage):
    """The server's answer wins, and is what the next client shows."""
    await leave(server, storage(), "old")
    async with server.client(storage=storage()) as client:
        watched = Watched(client)
        socket, subscription = await server.subscribed()
        await socket.push("data", id=subscription, data="new", cursor=8, epoch="e1")
        assert watched.values.values == ["old", "new"]
        assert watched.states[-1] == ("live", "new")
    server.refusal = NOBODY
    async with server.client(storage=storage()) as client:
        watched = Watched(client)
        await until(lambda: watched.values.values)
        assert watched.values.values == ["new"]


async def test_value_opened_after_the_load_is_shown_before_subscribe_returns(server, no_tasks_left, tmp_path):
    """Whoever comes later gets the last value synchronously."""
    await leave(server, tmp_path, [1])
    server.refusal = NOBODY
    async with server.client(storage=tmp_path) as client:
        await until(lambda: client.debug()["client_id"])
        watched = Watched(client)
        assert (watched.values.values, watched.states) == ([[1]], [("stale", [1])])


@pytest.mark.fault(60)
@pytest.mark.parametrize("who", [BO, {}, {"auth_token": "token-ana"}], ids=["other", "nobody", "unknown"])
async def test_value_of_one_user_is_not_shown_to_another(server, no_tasks_left, storage, who):
    """Nor is its position sent; a token whose user is not known shows what that very token had read."""
    await leave(server, storage(), "of ana", **ANA)
    async with server.client(storage=storage(), **who) as client:
        watched = Watched(client)
        _, position = await asked(await server.socket())
        if who == {"auth_token": "token-ana"}:
            assert (watched.values.values, position) == (["of ana"], (7, "e1"))
            return
        assert position is None
        assert (watched.values.values, watched.states) == ([], [("pending", UNDEFINED)])


async def test_value_of_another_version_is_dropped(server, no_tasks_left, tmp_path):
    """The application has changed its mind about what values look like."""
    await leave(server, tmp_path, "old", storage_version="v1")
    assert [entry.version for entry in entries(tmp_path).values()] == ["v1"]
    async with server.client(storage=tmp_path, storage_version="v2") as client:
        watched = Watched(client)
        assert (await asked(await server.socket()))[1] is None
        assert watched.values.values == []
    assert entries(tmp_path) == {}


@pytest.mark.fault(60)
async def test_another_user_signing_in_takes_everything_off_the_screen_and_the_disk(server, no_tasks_left, tmp_path):
    """Values are gone at once; the change is told; sockets reopen, and nothing of the former user is resumed."""
    async with server.client(storage=tmp_path, **ANA) as client:
        watched, changes, tokens = Watched(client), Recorder(), Recorder()
        client.identity_changed.subscribe(changes)
        client.auth_token_changed.subscribe(tokens)
        socket, subscription = await server.subscribed()
        await socket.push("data", id=subscription, data="of ana", cursor=7, epoch="e1")
        client.set_auth_token("token-bo", "bo")
        assert watched.states[-1] == ("pending", UNDEFINED)
        assert watched.live.snapshot.cursor is None
        assert [each.subject for each in changes.values] == ["bo"]
        assert tokens.values == [None]
        assert await socket.closed() == 1000
        again = await server.socket()
        subscription, position = await asked(again)
        assert position is None
        await again.push("data", id=subscription, data="of bo", cursor=3, epoch="e1")
        assert watched.values.values == ["of ana", "of bo"]
    assert [entry.value for entry in entries(tmp_path).values()] == ["of bo"]
    assert [entry.identity for entry in entries(tmp_path).values()] == ["subj:bo"]


async def test_another_user_signing_in_clears_what_earlier_clients_cached(server, no_tasks_left, storage):
    """Also what nobody watched meanwhile; when the former user is back, there is nothing to show."""
    await leave(server, storage(), "kept", function="a:other", **ANA)
    async with server.client(storage=storage(), **ANA) as client:
        await until(lambda: client.debug()["client_id"])
        client.set_auth_token("token-bo", "bo")
    async with server.client(storage=storage(), **ANA) as client:
        watched = Watched(client, "a:other")
        await server.subscribed()
        assert (watched.values.values, watched.states) == ([], [("pending", UNDEFINED)])


async def test_another_user_before_the_cache_is_loaded_sees_nothing_of_it(server, no_tasks_left, tmp_path):
    """What was read for somebody else comes too late."""
    await leave(server, tmp_path, "of ana", **ANA)
    async with server.client(storage=tmp_path, **ANA) as client:
        watched = Watched(client)
        client.set_auth_token("token-bo", "bo")
        assert (await asked(await server.socket()))[1] is None
        assert watched.values.values == []
    assert entries(tmp_path) == {}


async def test_late_observer_after_a_change_of_user_gets_nothing_of_the_former(server, no_tasks_left, tmp_path):
    """The replay to newcomers is emptied as well, of each kind of observer."""
    async with server.client(storage=tmp_path, **ANA) as client:
        first = Watched(client)
        socket, subscription = await server.subscribed()
        await socket.push("data", id=subscription, data="of ana", cursor=7, epoch="e1")
        client.set_auth_token("token-bo", "bo")
        late = Watched(client)
        assert (late.values.values, late.states) == ([], [("pending", UNDEFINED)])
        assert client.cache.get("a:list").has_value is False
        assert first.live.value is UNDEFINED


async def test_token_rotated_for_the_same_user_keeps_values_and_sockets(server, no_tasks_left, tmp_path):
    """Only the bearer is another one: nobody is told of an identity, and nothing flickers."""
    async with server.client(storage=tmp_path, **ANA) as client:
        watched, changes, tokens = Watched(client), Recorder(), Recorder()
        client.identity_changed.subscribe(changes)
        client.auth_token_changed.subscribe(tokens)
        socket, subscription = await server.subscribed()
        await socket.push("data", id=subscription, data="of ana", cursor=7, epoch="e1")
        client.set_auth_token("token-2", "ana")
        await turn(20)
        assert (watched.values.values, watched.states[-1]) == (["of ana"], ("live", "of ana"))
        assert (len(server.urls), changes.values, tokens.values) == (1, [], [None])
    assert [entry.identity for entry in entries(tmp_path).values()] == ["subj:ana"]


async def test_constructing_with_a_token_is_no_change_of_it(server, no_tasks_left):
    """``auth_token_changed`` tells of changes that somebody could have missed otherwise."""
    async with server.client(**ANA) as client:
        tokens = Recorder()
        client.auth_token_changed.subscribe(tokens)
        call = client.query("a:b")
        (await server.call()).reply({"result": 1})
        await call
        assert tokens.values == []


async def test_seed_awaiting_confirmation_is_taken_off_the_screen_until_then(server, no_tasks_left, tmp_path):
    """A rotated token of nobody knows whom shows nothing that was only read from the disk."""
    await leave(server, tmp_path, "of ana", **ANA)
    server.refusal = NOBODY
    async with server.client(storage=tmp_path, **ANA) as client:
        watched = Watched(client)
        await until(lambda: watched.values.values)
        client.set_auth_token("token-2")
        assert watched.states[-1] == ("pending", UNDEFINED)
        client.set_auth_token("token-2", "ana")
        assert watched.states[-1] == ("stale", "of ana")


async def test_values_are_written_together_a_quarter_of_a_second_after_the_first(server, no_tasks_left):
    """A burst costs one write, of the latest values; a value that was confirmed is not told again."""
    cache, loop = Cache(), asyncio.get_running_loop()
    async with server.client(storage=Storage(MemoryQueue(), cache)) as client:
        client.live("a:list").subscribe(Recorder())
        socket, subscription = await server.subscribed()
        began = loop.time()
        for number in range(10):
            await socket.push("data", id=subscription, data=number, cursor=number, epoch="e1")
        assert cache.puts == []
        await until(lambda: cache.puts)
        assert 0.2 < loop.time() - began < 2
        assert cache.puts == [[9]]


async def test_optimistic_value_is_never_cached(server, no_tasks_left):
    """Only what the server gave is stored."""
    cache = Cache()
    async with server.client(storage=Storage(MemoryQueue(), cache)) as client:
        watched = Watched(client)
        socket, subscription = await server.subscribed()
        await socket.push("data", id=subscription, data=["x"], cursor=1, epoch="e1")
        client.mutation("a:list", optimistic=lambda rows: [*rows, "mine"])
        assert watched.values.last == ["x", "mine"]
        await until(lambda: cache.puts)
    assert cache.puts == [[["x"]]]


async def test_cache_keeps_the_five_hundred_latest(server, no_tasks_left, tmp_path):
    """The least recent go; whoever comes back starts from the others."""
    async with server.client(storage=tmp_path) as client:
        for number in range(510):
            client.live("a:list", {"n": number}).subscribe(Recorder())
        socket = await server.socket()
        for _ in range(510):
            frame = await socket.expect("subscribe")
            await socket.push("data", id=frame["id"], data=frame["query"]["args"]["n"], cursor=1, epoch="e1")
    assert len(entries(tmp_path)) == 500
    assert {entry.value for entry in entries(tmp_path).values()} == set(range(10, 510))


async def test_cache_that_fails_is_reported_and_costs_no_value(server, no_tasks_left):
    """A disk that does not take a value does not keep it from the screen."""

    class Broken(MemoryCache):
        def put(self, entries):
            raise OSError("read-only")

    errors = []
    storage = Storage(MemoryQueue(), Broken())
    async with server.client(storage=storage, on_storage_error=errors.append) as client:
        watched = Watched(client)
        socket, subscription = await server.subscribed()
        await socket.push("data", id=subscription, data=1, cursor=1, epoch="e1")
        assert watched.states[-1] == ("live", 1)
        await until(lambda: errors)
    assert "read-only" in str(errors[0])


async def test_aclose_writes_what_was_not_written_yet(server, no_tasks_left):
    """The quarter of a second is not waited for at the end."""
    cache = Cache()
    async with server.client(storage=Storage(MemoryQueue(), cache)) as client:
        client.live("a:list").subscribe(Recorder())
        socket, subscription = await server.subscribed()
        await socket.push("data", id=subscription, data="last", cursor=1, epoch="e1")
        assert cache.puts == []
    assert cache.puts == [["last"]]
