"""Who is signed in, as the client finds out, and what it does with writes and values of somebody else."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import aiohttp
import pytest

from lunora_rx import (
    Backoff,
    ClientClosedError,
    LunoraClient,
    LunoraError,
    Phase,
    ProtocolError,
    QueueError,
    TransportError,
    User,
    UserStatus,
)
from lunora_rx.devserver import App
from tests.support import Recorder, turn, until
from tests.test_persistence import SocketServer

BRIEF = Backoff(initial=0.01, maximum=0.03)
pytestmark = pytest.mark.embedded(
    "a server with cookie sessions, whose tokens change hands, or one that is played by hand"
)
NOBODY_THERE = TransportError("nobody there", transient=True)
ANA = {"auth_token": "token-ana", "auth_subject": "ana"}


class Board:
    """A server whose tokens name their users, and what it was made to keep."""

    def __init__(self, app, url, written):
        self.app = app
        self.url = url
        self.written = written
        self.tokens = {"ana-1": "ana", "ana-2": "ana", "bo-1": "bo"}
        self.asked = []

    def authenticate(self, token):
        """Return whose token it is."""
        self.asked.append(token)
        return self.tokens.get(token)

    @asynccontextmanager
    async def client(self, **options):
        """A client, closed at the end."""
        async with LunoraClient(self.url, reconnect=BRIEF, polling=None, **options) as client:
            yield client

    def cut(self):
        """Cut every connection, and keep it cut."""
        self.app.faults.refuse_sockets()
        self.app.faults.drop_sockets()

    def heal(self):
        """Let connections be made again."""
        self.app.faults.release()

    @property
    def kept(self):
        """How many notes are kept."""
        return self.app.backend.shard().store.counts().get("notes", 0)


@pytest.fixture
async def server():
    """A server in memory that the test plays by hand."""
    return SocketServer()


@pytest.fixture
async def board(no_tasks_left):
    """A server that asks who is asking."""
    app, written = App(), []

    @app.query("notes:mine")
    def mine(ctx):
        return [row["text"] for row in ctx.db.table("notes").where(author=ctx.identity).collect()]

    @app.mutation("notes:add")
    def add(ctx, text: str):
        written.append((ctx.identity, text))
        return ctx.db.insert("notes", author=ctx.identity, text=text)

    async with app.serve() as url:
        board = Board(app, url, written)
        app.authenticate(board.authenticate)
        yield board


async def queued(*mutations):
    """Wait until writes wait."""
    await until(lambda: all(each.phases.latest is Phase.QUEUED for each in mutations))


# --- asking, of a server that the test plays


async def test_current_user_is_the_user_with_the_fields_of_the_server(server, no_tasks_left):
    """One GET with the bearer, and the whole user object."""
    async with server.client(**ANA) as client:
        call = client.current_user()
        request = await server.call()
        assert (request.request.method, request.request.url, request.request.body) == (
            "GET",
            "http://server.test/api/auth/get-session",
            None,
        )
        assert request.headers["authorization"] == "Bearer token-ana"
        request.reply({"user": {"id": "ana", "name": "Ana"}})
        user = await call
    assert isinstance(user, User)
    assert (user.id, user["name"]) == ("ana", "Ana")


@pytest.mark.parametrize(("body", "status"), [(None, 200), ({}, 200), ({"user": None}, 200), ({}, 404), ({}, 401)])
async def test_current_user_is_none_for_nobody_and_where_the_server_cannot_say(server, no_tasks_left, body, status):
    """No user is no error."""
    async with server.client(auth_token="token-ana") as client:
        call = client.current_user()
        (await server.call()).reply(body, status=status)
        assert await call is None


@pytest.mark.parametrize(("body", "kind"), [(b"<html>", ProtocolError), (None, TransportError)])
async def test_current_user_raises_where_it_cannot_be_found_out(server, no_tasks_left, body, kind):
    """Nothing came, or nothing readable."""
    async with server.client(auth_token="token-ana") as client:
        call = client.current_user()
        request = await server.call()
        request.break_off() if body is None else request.reply(body)
        with pytest.raises(kind):
            await call
        assert client.user.status is UserStatus.UNREACHABLE


async def test_current_user_under_way_fails_with_the_client(server, no_tasks_left):
    """``aclose`` fails it as any other call; whoever awaits it does not wait for ever."""
    client = server.client(**ANA)
    call = client.current_user()
    await server.call()
    await client.aclose()
    with pytest.raises(ClientClosedError):
        async with asyncio.timeout(1):
            await call


async def test_current_user_of_a_closed_client_is_refused(server, no_tasks_left):
    """At the call."""
    client = server.client()
    await client.aclose()
    with pytest.raises(ClientClosedError):
        client.current_user()


async def test_current_user_cancelled_leaves_the_others_their_answer(server, no_tasks_left):
    """The question is shared, so nobody can take it back for all."""
    async with server.client(**ANA) as client:
        first, second = client.current_user(), client.current_user()
        request = await server.call()
        assert first.cancel() is True
        request.reply({"user": {"id": "ana"}})
        assert (await second).id == "ana"
        with pytest.raises(LunoraError) as caught:
            await first
        assert (caught.value.code, server.waiting_calls) == ("CANCELLED", 0)


async def test_user_is_asked_for_once_and_shared(server, no_tasks_left):
    """Observers, late ones and ``current_user`` have one question between them."""
    async with server.client(**ANA) as client:
        early, late = Recorder(), Recorder()
        assert (client.user.value, client.user.status) == (None, UserStatus.LOADING)
        client.user.subscribe(early)
        client.user.subscribe(Recorder())
        call = client.current_user()
        request = await server.call()
        await turn()
        assert (server.waiting_calls, early.values) == (0, [])
        request.reply({"user": {"id": "ana"}})
        assert await call == User("ana", {"id": "ana"})
        client.user.subscribe(late)
        assert [[each.id for each in seen.values] for seen in (early, late)] == [["ana"], ["ana"]]
        assert (client.user.value.id, client.user.status) == ("ana", UserStatus.AUTHENTICATED)
        await turn()
        assert server.waiting_calls == 0
    assert (early.completions, late.completions) == (1, 1)


async def test_user_is_asked_for_again_when_the_token_changes(server, no_tasks_left):
    """The same user stays on the screen meanwhile, another one does not; a late answer about the former is dropped."""
    async with server.client(**ANA) as client:
        seen = Recorder()
        client.user.subscribe(seen)
        (await server.call()).reply({"user": {"id": "ana"}})
        await until(lambda: seen.values)
        client.set_auth_token("token-2", "ana")
        late = await server.call()
        assert (client.user.value.id, client.user.status) == ("ana", UserStatus.AUTHENTICATED)
        client.set_auth_token("token-bo", "bo")
        assert (client.user.value, client.user.status) == (None, UserStatus.LOADING)
        request = await server.call()
        assert request.headers["authorization"] == "Bearer token-bo"
        late.reply({"user": {"id": "ana"}})
        await turn(20)
        assert client.user.status is UserStatus.LOADING
        request.reply({"user": {"id": "bo"}})
        await until(lambda: len(seen.values) == 2)
        client.set_auth_token(None)
        assert (client.user.value, client.user.status) == (None, UserStatus.UNAUTHENTICATED)
        await turn()
        assert server.waiting_calls == 0
    assert [each and each.id for each in seen.values] == ["ana", "bo", None]


async def test_user_unreachable_is_asked_for_again_when_connected(server, no_tasks_left):
    """The last user is kept; the question is put again once, when the server is back."""
    server.refusal = NOBODY_THERE
    async with server.client(**ANA) as client:
        states = Recorder()
        client.user.states.subscribe(states)
        (await server.call()).break_off()
        await until(lambda: client.user.status is UserStatus.UNREACHABLE)
        client.live("a:b").subscribe(Recorder())
        await until(lambda: len(server.urls) > 2)
        assert server.waiting_calls == 0
        server.refusal = None
        (await server.call()).reply({"user": {"id": "ana"}})
        await until(lambda: client.user.status is UserStatus.AUTHENTICATED)
        await turn(20)
        assert server.waiting_calls == 0
    assert [str(each.status) for each in states.values] == ["loading", "unreachable", "authenticated"]


async def test_answer_of_another_user_than_asserted_is_believed(server, no_tasks_left):
    """What the server says of the token in force replaces what the application said."""
    async with server.client(**ANA) as client:
        changes, live = Recorder(), client.live("a:list")
        client.identity_changed.subscribe(changes)
        live.subscribe(Recorder())
        socket, subscription = await server.subscribed()
        await socket.push("data", id=subscription, data="of ana")
        call = client.current_user()
        (await server.call()).reply({"user": {"id": "bo"}})
        assert (await call).id == "bo"
        assert [each.subject for each in changes.values] == ["bo"]
        assert live.snapshot.has_value is False


# --- over real sockets


async def test_user_of_the_embedded_server(board):
    """Each bearer is somebody; one that the server does not know is nobody it could name."""
    async with board.client(auth_token="ana-1") as client:
        assert (await client.current_user()).id == "ana"
        client.set_auth_token("bo-1")
        assert (await client.current_user()).id == "bo"
        client.set_auth_token("unknown")
        assert await client.current_user() is None
        client.set_auth_token(None)
        assert await client.current_user() is None


@pytest.mark.parametrize("is_restarted", [False, True], ids=["same client", "next client"])
async def test_queued_writes_of_one_user_are_never_sent_as_another(board, tmp_path, is_restarted):
    """Whoever signs in has their own writes carried out, and no others, also after a restart."""
    board.cut()
    settled, options = Recorder(), {"storage": tmp_path}
    async with board.client(auth_token="ana-1", auth_subject="ana", **options) as client:
        client.settled.subscribe(settled)
        hers = [client.mutation("notes:add", {"text": f"hers {number}"}) for number in range(2)]
        await queued(*hers)
        if not is_restarted:
            client.set_auth_token("bo-1", "bo")
            await _add_as_bo(board, client)
            for each in hers:
                with pytest.raises(QueueError) as caught:
                    await each
                assert caught.value.code == "OFFLINE_IDENTITY_CHANGED"
    if is_restarted:
        async with board.client(auth_token="bo-1", auth_subject="bo", **options) as client:
            client.settled.subscribe(settled)
            await _add_as_bo(board, client)
    assert (board.kept, board.written) == (1, [("bo", "his")])
    rejected = [each.mutation_id for each in settled.values if each.code == "OFFLINE_IDENTITY_CHANGED"]
    assert rejected == [each.mutation_id for each in hers]


async def _add_as_bo(board, client):
    mutation = client.mutation("notes:add", {"text": "his"})
    board.heal()
    await mutation


@pytest.mark.parametrize("is_restarted", [False, True], ids=["same client", "next client"])
async def test_queued_writes_wait_until_the_session_route_confirms_a_rotated_token(board, tmp_path, is_restarted):
    """A token whose user nobody has named sends nothing before the server has; then everything goes out under it."""
    board.cut()
    tokens = ("ana-1", "ana-2")
    async with board.client(auth_token=tokens[0], auth_subject="ana", storage=tmp_path) as client:
        mutation = client.mutation("notes:add", {"text": "hers"})
        await queued(mutation)
        if not is_restarted:
            board.app.faults.fail_calls(2, status=503, on="session")
            client.set_auth_token(tokens[1])
            board.app.faults.refuse_sockets(0.01)
            await until(lambda: client.status.value == "connected")
            await turn(50)
            assert (board.written, client.pending.value) == ([], 1)
            board.heal()
            await mutation
    if is_restarted:
        board.heal()
        async with board.client(auth_token=tokens[1], storage=tmp_path) as client:
            assert (await client.current_user()).id == "ana"
            await until(lambda: board.written)
            await until(lambda: client.pending.value == 0)
    assert (board.kept, board.written) == (1, [("ana", "hers")])
    assert board.asked[-1] == "ana-2"


async def test_writes_of_a_token_whose_user_was_learned_survive_its_rotation(board, tmp_path):
    """Stamped with the digest, restamped with the user once known, sent by a later process with another token."""
    board.cut()
    async with board.client(auth_token="ana-1", storage=tmp_path) as client:
        await queued(client.mutation("notes:add", {"text": "hers"}))
        assert (await client.current_user()).id == "ana"
    board.heal()
    async with board.client(auth_token="ana-2", auth_subject="ana", storage=tmp_path) as client:
        await until(lambda: board.written)
        await until(lambda: client.pending.value == 0)
    assert board.written == [("ana", "hers")]


async def test_tokens_are_neither_on_the_disk_nor_in_the_log(board, tmp_path, caplog):
    """Digests and subjects are; a backup of the directory signs nobody in."""
    caplog.set_level("DEBUG")
    board.tokens["canary-4711"] = "ana"
    async with board.client(auth_token="canary-4711", ws_token="canary-4711", storage=tmp_path) as client:
        client.live("notes:mine").subscribe(Recorder())
        await client.mutation("notes:add", {"text": "seen"})
        assert (await client.current_user()).id == "ana"
        board.cut()
        await until(lambda: client.status.value != "connected")
        await queued(client.mutation("notes:add", {"text": "kept"}))
    contents = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert (b"subj:ana" in contents, b"kept" in contents, b"canary" in contents) == (True, True, False)
    assert "canary" not in caplog.text


@asynccontextmanager
async def visiting(board, cookie, **options):
    """A client whose session is a cookie's."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with (
        aiohttp.ClientSession(cookie_jar=jar, cookies={"lunora_session": cookie}) as session,
        board.client(session=session, cookie_auth=True, **options) as client,
    ):
        yield client


async def test_cookie_session_is_found_out_and_its_writes_are_its_own(board):
    """No bearer: the socket and the session route say who it is."""
    board.app.sessions["c-ana"] = "ana"
    async with visiting(board, "c-ana") as client:
        assert (await client.current_user()).id == "ana"
        await client.mutation("notes:add", {"text": "hers"})
        assert await client.query("notes:mine") == ["hers"]
    assert board.written == [("ana", "hers")]


async def test_cookie_session_that_changed_hands_does_not_replay_the_former_users_writes(board, tmp_path):
    """The server refuses what is stamped for somebody else, whatever the client still believes."""
    board.app.sessions["c-1"] = "ana"
    async with visiting(board, "c-1", storage=tmp_path) as client:
        assert (await client.current_user()).id == "ana"
        board.cut()
        await until(lambda: client.status.value != "connected")
        hers = client.mutation("notes:add", {"text": "hers"})
        await queued(hers)
        board.app.sessions["c-1"] = "bo"
        board.heal()
        with pytest.raises(QueueError) as caught:
            async with asyncio.timeout(5):
                await hers
        assert caught.value.code == "OFFLINE_IDENTITY_CHANGED"
        assert (await client.current_user()).id == "bo"
    assert board.written == []


async def test_cookie_session_left_behind_is_replayed_by_the_same_user(board, tmp_path):
    """The next process does not know who it is until the server has said so; then it sends what is theirs."""
    board.app.sessions["c-1"] = "ana"
    async with visiting(board, "c-1", storage=tmp_path) as client:
        assert (await client.current_user()).id == "ana"
        board.cut()
        await until(lambda: client.status.value != "connected")
        await queued(client.mutation("notes:add", {"text": "hers"}))
    board.app.sessions["c-2"] = "ana"
    board.heal()
    async with visiting(board, "c-2", storage=tmp_path) as client:
        client.user.subscribe(Recorder())
        await until(lambda: board.written)
        await until(lambda: client.pending.value == 0)
    assert board.written == [("ana", "hers")]
