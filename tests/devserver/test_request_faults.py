"""Switches for HTTP requests, through real HTTP: each strikes as it says, and ``release`` forgets it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from lunora_rx.protocol.rpc import HttpReply, Outcome, Refused, decode_batch_reply, decode_reply
from tests.devserver.peer import chat_app
from tests.devserver.test_server import GENERAL, Client

HTML = b"<html>not here</html>"
PATHS = {"single": "/_lunora/rpc", "batch": "/_lunora/rpc-batch", "session": "/api/auth/get-session"}


class Caller(Client):
    """Somebody who takes replies as they are."""

    async def single(self, text: str = "hi", mutation_id: str = "m") -> HttpReply:
        return await self.post("single", entry(text, mutation_id))

    async def batch(self, *texts: str) -> HttpReply:
        calls = [entry(text, text) | {"id": 10 + index} for index, text in enumerate(texts)]
        return await self.post("batch", {"calls": calls})

    async def session(self) -> HttpReply:
        async with self.http.get(self.url + PATHS["session"]) as reply:
            return await taken(reply)

    async def ask(self, route: str) -> HttpReply:
        return await {"single": self.single, "batch": lambda: self.batch("a", "b"), "session": self.session}[route]()

    async def post(self, route: str, body: Any) -> HttpReply:
        ids = {"x-lunora-mutation-id": body.get("mutationId", ""), "x-lunora-client-id": "c"}
        async with self.http.post(self.url + PATHS[route], json=body, headers=ids) as reply:
            return await taken(reply)

    def texts(self) -> list[str]:
        """The messages that are there, whatever was answered."""
        return [row["text"] for row in self.app.backend.shard().store.scan("messages", **EVERYWHERE)]


EVERYWHERE: dict[str, Any] = {"low": 0, "high": 1e300, "descending": False, "equal": {}}


def entry(text: str, mutation_id: str) -> dict[str, Any]:
    args = GENERAL | {"text": text}
    return {"functionPath": "messages:send", "args": args, "mutationId": mutation_id, "clientId": "c"}


async def taken(reply: aiohttp.ClientResponse) -> HttpReply:
    headers = {name.lower(): value for name, value in reply.headers.items()}
    return HttpReply(reply.status, headers, await reply.read(), datetime.now(UTC).timestamp())


def slots_of(reply: HttpReply) -> list[tuple[int, Any]]:
    return [(slot["id"], slot["body"]) for slot in json.loads(reply.body)["results"]]


def refusal(outcome: Outcome | list[Outcome | None]) -> Any:
    assert isinstance(outcome, Refused)
    return outcome.error


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    """A chat server on a free port, and somebody to call it."""
    app = chat_app()
    async with app.serve() as url, aiohttp.ClientSession() as http:
        yield Caller(app, url, http)


@pytest.mark.parametrize("route", ["single", "batch", "session"])
async def test_failure_strikes_its_route_only(caller, route):
    """A fault for one kind of request leaves the others alone."""
    caller.app.faults.fail_calls(2, status=502, body=HTML, headers={"content-type": "text/html"}, on=route)
    for other in PATHS.keys() - {route}:
        assert (await caller.ask(other)).status == 200
    for expected in (502, 502, 200):
        reply = await caller.ask(route)
        assert reply.status == expected
        assert (reply.body == HTML) == (expected == 502)


async def test_failure_without_a_route_spares_the_session_probe(caller):
    """Calls and batches are struck in the order in which the failures were armed."""
    caller.app.faults.fail_calls(status=413)
    caller.app.faults.fail_calls(status=503)
    assert [(await caller.ask(route)).status for route in ("session", "batch", "single", "single")] == [
        200, 413, 503, 200,
    ]  # fmt: skip


async def test_failure_without_a_count_lasts_until_released(caller):
    """Nothing is carried out before, and everything after."""
    caller.app.faults.fail_calls(None)
    assert {(await caller.single()).status for _ in range(5)} == {503}
    assert caller.texts() == []
    caller.app.faults.release()
    assert (await caller.single()).status == 200


@pytest.mark.parametrize("route", ["single", "batch"])
@pytest.mark.parametrize(
    ("code", "status"), [("VALIDATION_ERROR", 400), ("CONFLICT", 409), ("SHARD_ERROR", 503), ("OWN_CODE", 400)]
)
async def test_refused_call_gets_an_envelope_and_is_not_carried_out(caller, route, code, status):
    """A whole batch can be refused like a call."""
    caller.app.faults.refuse_calls(code=code, data={"field": b"x"}, on=route)
    reply = await caller.ask(route)
    error = refusal(decode_reply(reply))
    assert (reply.status, error.code, error.data) == (status, code, {"field": b"x"})
    assert caller.texts() == []
    assert (await caller.ask(route)).status == 200


@pytest.mark.parametrize("route", ["single", "batch", "session"])
@pytest.mark.parametrize("code", ["UNAUTHORIZED", "TOKEN_EXPIRED"])
async def test_refused_credential_is_401_with_its_code(caller, route, code):
    """A good credential can be refused as well, by the probe too."""
    caller.app.faults.refuse_credentials(code=code, on=route)
    reply = await caller.ask(route)
    assert (reply.status, refusal(decode_reply(reply)).code) == (401, code)
    assert caller.texts() == []
    assert (await caller.ask(route)).status == 200


@pytest.mark.parametrize(
    ("given", "header", "data"),
    [
        ({}, None, None),
        ({"retry_after": 7}, "7", {"retryAfterMs": 7000}),
        ({"retry_after": "in a while"}, "in a while", None),
        ({"retry_after": -5}, "-5", None),
        ({"retry_after_ms": 1500}, None, {"retryAfterMs": 1500}),
        ({"retry_after": 7, "retry_after_ms": 1500}, "7", {"retryAfterMs": 1500}),
        ({"retry_after_ms": "soon"}, None, {"retryAfterMs": "soon"}),
        ({"retry_after": datetime(2020, 1, 2, tzinfo=UTC)}, "Thu, 02 Jan 2020 00:00:00 GMT", None),
    ],
)
async def test_limited_call_says_how_long_to_wait_as_it_is_told(caller, given, header, data):
    """A hint in the header, in the envelope, in both, in neither; sensible or not."""
    caller.app.faults.limit_calls(**given)
    reply = await caller.single()
    error = refusal(decode_reply(reply))
    assert (reply.status, reply.headers.get("retry-after")) == (429, header)
    assert (error.code, error.data) == ("TOO_MANY_REQUESTS", data)
    assert caller.texts() == []


async def test_limited_call_without_a_code_has_no_envelope(caller):
    """A proxy in front says no in its own way."""
    caller.app.faults.limit_calls(retry_after=3, code=None)
    reply = await caller.single()
    assert (reply.status, reply.body, reply.headers["retry-after"]) == (429, b"", "3")


@pytest.mark.parametrize(
    ("limit", "passes", "fails"),
    [({"entries": 2}, "ab", "abc"), ({"body_size": 500}, ["a", "b"], ["a", "b" * 500])],
)
async def test_batch_over_the_limit_is_413(caller, limit, passes, fails):
    """Too many entries or bytes are refused whole, again and again, until released."""
    caller.app.faults.limit_size(**limit)
    assert (await caller.batch(*passes)).status == 200
    for _ in range(2):
        reply = await caller.batch(*fails)
        assert (reply.status, refusal(decode_batch_reply(reply, 3)).code) == (413, "PAYLOAD_TOO_LARGE")
    assert caller.texts() == ["a", "b"]
    caller.app.faults.release()
    assert (await caller.batch(*fails)).status == 200


async def test_single_call_over_the_limit_is_413_with_any_body(caller):
    """The bytes of a single call count as well; the reply need not be an envelope."""
    caller.app.faults.limit_size(entries=0, body_size=300, body=HTML)
    assert (await caller.single()).status == 200
    reply = await caller.single("x" * 300)
    assert (reply.status, reply.body) == (413, HTML)
    assert (await caller.session()).status == 200
    assert caller.texts() == ["hi"]


@pytest.mark.parametrize("route", ["single", "batch"])
@pytest.mark.parametrize("change", [{"body": b""}, {"body": HTML}, {"headers": {"content-type": "text/plain"}}])
async def test_spoiled_reply_belongs_to_a_call_that_was_carried_out(caller, route, change):
    """An empty body, a page with 200, a wrong type: the write is there, and a replay is answered from the record."""
    caller.app.faults.spoil_replies(**change, on=route)
    spoiled = await caller.ask(route)
    written = caller.texts()
    assert written
    assert spoiled.status == 200
    assert spoiled.body == change.get("body", spoiled.body)
    assert spoiled.headers["content-type"].startswith(change.get("headers", {}).get("content-type", "application/json"))
    assert json.loads((await caller.ask(route)).body)
    assert caller.texts() == written


async def test_spoiled_status_keeps_the_body(caller):
    """What is not replaced stays."""
    caller.app.faults.spoil_replies(status=500)
    reply = await caller.single()
    assert (reply.status, list(json.loads(reply.body))) == (500, ["result", "commitCursor"])


@pytest.mark.parametrize("route", ["single", "batch"])
async def test_lost_reply_comes_after_the_commit_as_a_reset(caller, route):
    """The connection is reset, not closed, and the write is there before."""
    caller.app.faults.lose_replies(on=route)
    with pytest.raises(aiohttp.ClientOSError) as caught:
        await caller.ask(route)
    assert isinstance(caught.value, ConnectionResetError) or isinstance(caught.value.__cause__, ConnectionResetError)
    written = caller.texts()
    assert written
    assert (await caller.ask(route)).status == 200
    assert caller.texts() == written


async def test_lost_session_reply_makes_the_probe_unreachable(caller):
    """A probe can fail with no answer at all; aiohttp asks twice, so once would not be enough."""
    caller.app.faults.lose_replies(None, on="session")
    with pytest.raises(aiohttp.ClientError):
        await caller.session()
    caller.app.faults.release()
    assert (await caller.session()).status == 200


async def test_delayed_reply_waits_for_its_time_and_the_call_does_not(caller):
    """The write is there at once; the reply comes when it is released, or after its time."""
    caller.app.faults.delay_replies(60)
    waiting = asyncio.create_task(caller.single())
    while not caller.texts():
        await asyncio.sleep(0.001)
    assert (await caller.single("other", "m2")).status == 200
    assert not waiting.done()
    caller.app.faults.release()
    assert (await waiting).status == 200


async def test_delay_ends_by_itself(caller):
    """A delay strikes refusals, too, and is no longer than it says."""
    loop = asyncio.get_running_loop()
    caller.app.faults.delay_replies(0.05)
    caller.app.faults.fail_calls()
    start = loop.time()
    assert (await caller.single()).status == 503
    assert 0.05 <= loop.time() - start < 5


async def test_refused_slots_are_not_carried_out_and_the_others_are(caller):
    """Positions are those of the request, counted from either end; ids stay."""
    caller.app.faults.refuse_slots(0, -1, 9, code="CONFLICT", data={"why": 1})
    slots = slots_of(await caller.batch("a", "b", "c"))
    assert [slot for slot, _ in slots] == [10, 11, 12]
    assert [body.get("error", {}).get("code") for _, body in slots] == ["CONFLICT", None, "CONFLICT"]
    assert slots[0][1]["error"]["data"] == {"why": 1}
    assert caller.texts() == ["b"]
    assert all("result" in body for _, body in slots_of(await caller.batch("a", "b", "c")))


async def test_refused_slots_without_a_position_are_all(caller):
    """A whole batch of credential refusals, each in its slot; a call without an id has that of its place."""
    caller.app.faults.refuse_slots(code="TOKEN_EXPIRED")
    reply = await caller.post("batch", {"calls": [entry("a", "a"), entry("b", "b")]})
    assert [(slot, body["error"]["code"]) for slot, body in slots_of(reply)] == [
        (0, "TOKEN_EXPIRED"),
        (1, "TOKEN_EXPIRED"),
    ]
    assert caller.texts() == []


@pytest.mark.parametrize("body", [None, 7, {}, {"error": "no"}])
async def test_spoiled_slot_is_no_answer_but_carried_out(caller, body):
    """A slot of the wrong shape does not say what became of its write."""
    caller.app.faults.spoil_slots(1, body=body)
    assert slots_of(await caller.batch("a", "b"))[1] == (11, body)
    assert caller.texts() == ["a", "b"]


async def test_lost_slots_are_missing_but_carried_out(caller):
    """The reply is shorter than the batch, and the writes are there."""
    caller.app.faults.lose_slots(0, -1)
    assert [slot for slot, _ in slots_of(await caller.batch("a", "b", "c"))] == [11]
    assert caller.texts() == ["a", "b", "c"]


async def test_slots_are_reversed_and_repeated(caller):
    """The same answers in another order, and twice."""
    caller.app.faults.reverse_slots()
    caller.app.faults.repeat_slots(2)
    first = slots_of(await caller.batch("a", "b"))
    assert [slot for slot, _ in first] == [11, 11, 10, 10]
    second = slots_of(await caller.batch("a", "b"))
    assert second == sorted(first, key=lambda each: each[0])


async def test_slot_faults_add_up_in_places_of_the_request(caller):
    """Several switches strike one batch, each where it was told."""
    faults = caller.app.faults
    faults.lose_slots(0)
    faults.refuse_slots(1, code="NOPE")
    faults.spoil_slots(2)
    assert [(slot, body and list(body)) for slot, body in slots_of(await caller.batch(*"abcd"))] == [
        (11, ["error"]), (12, None), (13, ["result", "commitCursor"]),
    ]  # fmt: skip
    assert caller.texts() == ["a", "c", "d"]


async def test_slot_faults_leave_what_is_no_batch_alone(caller):
    """A body that cannot be read is refused as ever."""
    for body in ([], {"calls": 1}, {"calls": [1]}):
        caller.app.faults.refuse_slots()
        caller.app.faults.limit_size(entries=5)
        reply = await caller.http.post(caller.url + PATHS["batch"], json=body)
        assert reply.status == (200 if body == {"calls": [1]} else 400)


async def test_release_forgets_every_switch(caller):
    """After it all is as if nothing had been armed."""
    faults = caller.app.faults
    plain = [await caller.ask(route) for route in PATHS]
    for on in (None, "session"):
        faults.fail_calls(3, on=on)
        faults.lose_replies(None, on=on)
        faults.spoil_replies(3, body=HTML, on=on)
        faults.delay_replies(60, None, on=on)
    faults.limit_size(entries=0, body_size=0)
    for switch in (faults.refuse_slots, faults.spoil_slots, faults.lose_slots):
        switch(0)
    faults.reverse_slots(None)
    faults.repeat_slots(None)
    faults.release()
    again = [await caller.ask(route) for route in PATHS]
    assert [(reply.status, reply.body) for reply in again] == [(reply.status, reply.body) for reply in plain]


async def test_faults_end_with_the_server():
    """An app that is served again starts well."""
    app = chat_app()
    async with app.serve():
        app.faults.fail_calls(None)
    async with app.serve() as url, aiohttp.ClientSession() as http:
        assert "result" in await Client(app, url, http).send()
