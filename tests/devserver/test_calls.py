"""Calls over HTTP, in memory: replies, statuses, headers, idempotency, batches."""

from __future__ import annotations

import base64
import json
import logging
from typing import Any

import pytest

from lunora_rx.devserver import App, AppError, Backend, HttpRequest
from lunora_rx.protocol.endpoints import BATCH_PATH, RPC_PATH
from tests.devserver.peer import Peer, call, chat_app, new_backend, reply_to

LIST = "messages:list"
GENERAL = {"channelId": "general"}
HI = {"channelId": "general", "text": "hi"}


def post(backend: Backend, body: Any, path: str = RPC_PATH, **headers: str) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = backend.call(
        HttpRequest(path, {name.replace("_", "-"): each for name, each in headers.items()}, data, "http://h")
    )
    return reply.status, json.loads(reply.body)


def batch(backend: Backend, *calls: dict[str, Any], **headers: str) -> dict[int, Any]:
    status, body = post(backend, {"calls": list(calls)}, BATCH_PATH, **headers)
    assert status == 200
    return {slot["id"]: slot["body"] for slot in body["results"]}


def test_mutation_reply_holds_result_and_commit_cursor(backend):
    """A write says where it landed; a query says only its result."""
    status, body, headers = reply_to(backend, "messages:send", HI)
    assert (status, body) == (200, {"result": "id2", "commitCursor": backend.shard().cursor})
    assert headers["content-type"] == "application/json"
    assert set(call(backend, LIST, GENERAL)) == {"result"}


def test_default_shard_is_named_only_to_calls_that_name_none(backend):
    """A client learns the default shard's name from a call without one; the name is the same shard."""
    assert reply_to(backend, "messages:send", HI)[2]["x-lunora-shard-key"] == "default"
    _, body, headers = reply_to(backend, LIST, GENERAL, shard="default")
    assert "x-lunora-shard-key" not in headers
    assert len(body["result"]) == 1
    assert reply_to(backend, LIST, GENERAL, shard="other")[1] == {"result": []}


def test_bookmark_grows_with_writes(backend):
    """The bookmark is on every reply, and never goes back."""
    marks = [
        reply_to(backend, path, args)[2]["x-d1-bookmark"]
        for path, args in [(LIST, GENERAL), ("messages:send", HI), ("no:no", {})]
    ]
    assert marks == sorted(marks)
    assert marks[0] < marks[1] == marks[2]


@pytest.mark.parametrize(
    ("path", "args", "status", "code"),
    [
        ("no:such", {}, 404, "NOT_FOUND"),
        (LIST, {}, 400, "VALIDATION_ERROR"),
        (LIST, GENERAL | {"order": "up"}, 500, "INTERNAL"),
        ("messages:fail", GENERAL, 400, "ROOM_FULL"),
        ("messages:edit", {"id": "none", "text": ""}, 404, "NOT_FOUND"),
    ],
)
def test_refused_call_has_status_and_envelope(backend, path, args, status, code):
    """Each refusal has a code, a message and a status that fits."""
    got, body, _ = reply_to(backend, path, args)
    assert (got, body["error"]["code"]) == (status, code)
    assert body["error"]["message"]


def test_application_error_carries_its_data(backend):
    """What a function attaches reaches the caller, and its writes are undone."""
    assert call(backend, "messages:fail", GENERAL)["error"] == {
        "code": "ROOM_FULL", "message": "no more messages", "data": {"limit": 1}
    }  # fmt: skip
    assert call(backend, LIST, GENERAL) == {"result": []}


@pytest.mark.parametrize(
    ("code", "status"),
    [("CONFLICT", 409), ("FORBIDDEN", 403), ("UNAUTHORIZED", 401), ("RATE_LIMITED", 429), ("SHARD_UNAVAILABLE", 503)],
)
def test_protocol_code_of_a_function_has_its_status(code, status):
    """A function may speak the protocol's own codes; a wait is in the header as well."""
    app = App()

    @app.query("a:b")
    def refuse(ctx):
        raise AppError(code, "no", data={"retryAfterMs": 1500, "tagged": b"x"})

    got, body, headers = reply_to(new_backend(app), "a:b")
    assert (got, headers["retry-after"]) == (status, "2")
    assert body["error"]["data"]["tagged"] == ["$lunora.wire$", "bytes", "eA=="]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "WIRE_DECODE_FAILED"),
        (b"{", "WIRE_DECODE_FAILED"),
        ([], "BAD_REQUEST"),
        ({"args": {}}, "BAD_REQUEST"),
        ({"functionPath": 1}, "BAD_REQUEST"),
        ({"functionPath": LIST, "args": []}, "BAD_REQUEST"),
        ({"functionPath": LIST, "args": {"channelId": ["$lunora.wire$", "bigint", 7]}}, "WIRE_DECODE_FAILED"),
        ({"functionPath": LIST, "args": GENERAL, "shardKey": 7}, "BAD_REQUEST"),
        (b'{"functionPath":"messages:list","args":{"channelId":"a"},"shardKey":"\\ud800"}', "BAD_REQUEST"),
        (b'{"functionPath":"\\ud800:x"}', "NOT_FOUND"),
        (b'{"functionPath":"messages:list","args":{"\\ud800":1}}', "VALIDATION_ERROR"),
    ],
)
def test_unreadable_call_is_a_coded_refusal(backend, body, code):
    """No body brings the server down, and each gets an envelope."""
    status, reply = post(backend, body)
    assert reply["error"]["code"] == code
    assert 400 <= status < 500


def test_unknown_path_is_not_found(backend):
    """Only calls and batches are answered."""
    assert post(backend, {}, "/_lunora/else")[0] == 404


def test_repeated_mutation_id_is_answered_from_the_record(backend):
    """A replay gets the first reply, and writes nothing; live queries are not touched."""
    headers = {"x_lunora_mutation_id": "m1", "x_lunora_client_id": "c9"}
    peer = Peer(backend)
    first = call(backend, "messages:send", HI, **headers)
    call(backend, "messages:send", HI)
    peer.drain()
    assert call(backend, "messages:send", HI, **headers) == first
    assert len(call(backend, LIST, GENERAL)["result"]) == 2
    assert peer.drain() == []


def test_mutation_ids_of_different_clients_do_not_meet(backend):
    """An id counts within its client, or within its verified subject whatever the client."""
    for client in ("a", "b", "a"):
        call(backend, "messages:send", HI, x_lunora_mutation_id="m1", x_lunora_client_id=client)
    assert len(call(backend, LIST, GENERAL)["result"]) == 2


def test_mutation_ids_of_one_subject_count_across_clients():
    """A signed-in user's replay from another device is the same write."""
    app = chat_app()
    app.authenticate(lambda token: token)
    backend = new_backend(app)
    for client in ("a", "b"):
        call(
            backend,
            "messages:send",
            HI,
            x_lunora_mutation_id="m1",
            x_lunora_client_id=client,
            authorization="Bearer u1",
        )
    call(backend, "messages:send", HI, x_lunora_mutation_id="m1", x_lunora_client_id="a", authorization="Bearer u2")
    assert len(call(backend, LIST, GENERAL)["result"]) == 2


def test_refused_mutation_may_be_repeated_under_its_id(backend):
    """A refusal is not recorded: the same id is carried out once it can be."""
    headers = {"x_lunora_mutation_id": "m1", "x_lunora_client_id": "c"}
    assert "error" in call(backend, "messages:edit", {"id": "a", "text": "x"}, **headers)
    call(backend, "messages:send", HI | {"id": "a"})
    assert "error" not in call(backend, "messages:edit", {"id": "a", "text": "x"}, **headers)


def test_result_that_cannot_be_sent_rolls_the_mutation_back():
    """A write whose reply has no wire form did not happen."""
    app = chat_app()

    @app.mutation("messages:odd")
    def odd(ctx):
        ctx.db.insert("messages", channelId="general", text="never")
        return object()

    backend = new_backend(app)
    assert call(backend, "messages:odd")["error"]["code"] == "INTERNAL"
    assert call(backend, LIST, GENERAL) == {"result": []}


@pytest.mark.parametrize("header", ["x_lunora_base_seq", "x_lunora_min_seq"])
def test_sequence_header_must_be_a_number(backend, header):
    """A number goes through, whatever its size; anything else is refused."""
    assert "result" in call(backend, "messages:send", HI, **{header: "900000"})
    assert call(backend, "messages:send", HI, **{header: "-1"})["error"]["code"] == "BAD_REQUEST"


def test_base_seq_reaches_the_function_and_the_record():
    """The position a write was composed at is there for whoever merges."""
    app = App()
    seen = []
    app.mutation("a:b")(lambda ctx: seen.append(ctx.base_seq))
    backend = new_backend(app)
    call(backend, "a:b", x_lunora_base_seq="7", x_lunora_mutation_id="m", x_lunora_client_id="c")
    recorded = backend.shard().store.recorded("client:c", "m")
    assert seen == [7]
    assert recorded is not None
    assert recorded.base_seq == 7


def test_batch_slots_settle_independently(backend):
    """One refused slot harms no other, and each answers under its own id."""
    slots = batch(
        backend,
        {"functionPath": "messages:send", "args": HI, "id": 7},
        {"functionPath": "no:such", "args": {}, "id": 8},
        {"functionPath": "messages:fail", "args": GENERAL},
        {"args": {}},
        {"functionPath": "__lunora_admin__:x", "args": {}},
        {"functionPath": LIST, "args": GENERAL, "id": 9},
    )
    assert slots[7]["commitCursor"] == backend.shard().cursor
    assert [slots[each]["error"]["code"] for each in (8, 2, 3, 4)] == [
        "NOT_FOUND",
        "ROOM_FULL",
        "BAD_REQUEST",
        "BAD_REQUEST",
    ]
    assert len(slots[9]["result"]) == 1


def test_batch_keys_are_per_entry(backend):
    """Each entry has its own idempotency key, client and baseline; the outer header is none."""
    entry = {"functionPath": "messages:send", "args": HI, "mutationId": "m1", "clientId": "c", "baselineSeq": 3}
    slots = batch(backend, entry, entry, entry | {"clientId": "d"}, x_lunora_mutation_id="outer")
    assert slots[0] == slots[1] != slots[2]
    assert len(call(backend, LIST, GENERAL)["result"]) == 2


def test_batch_reaches_many_shards(backend):
    """Every entry goes to its own shard."""
    batch(backend, *({"functionPath": "messages:send", "args": HI, "shardKey": f"s{number}"} for number in range(3)))
    assert [len(reply_to(backend, LIST, GENERAL, shard=f"s{number}")[1]["result"]) for number in range(4)] == [
        1,
        1,
        1,
        0,
    ]


@pytest.mark.parametrize("body", [{}, {"calls": 1}, {"calls": [{}] * 501}, [], b"x"])
def test_bad_batch_is_refused_as_a_whole(backend, body):
    """A body that is no batch has no slots."""
    status, reply = post(backend, body, BATCH_PATH)
    assert status == 400
    assert reply["error"]["code"] in {"BAD_REQUEST", "WIRE_DECODE_FAILED"}


def test_action_runs_other_functions_on_behalf_of_its_caller():
    """An action reads and writes through functions, each a transaction of its own, and gets values not wire."""
    app = chat_app()
    app.authenticate(lambda token: token)

    @app.action("work:do")
    def do(ctx):
        ctx.run_mutation("messages:send", **HI)
        return [ctx.run_query("me:name"), len(ctx.run_query(LIST, channelId="general")), ctx.shard]

    assert call(new_backend(app), "work:do", authorization="Bearer ada") == {"result": ["ada", 1, "default"]}


def test_refusal_inside_an_action_keeps_code_and_data():
    """What a function refuses an action, the action's caller is told unless it is caught."""
    app = chat_app()

    @app.action("work:fail")
    def fail(ctx):
        ctx.run_mutation("messages:fail", channelId="general")

    @app.mutation("work:tagged")
    def tagged(ctx):
        raise AppError("TAGGED", data=[b"x"])

    @app.action("work:pass_on")
    def pass_on(ctx):
        ctx.run_mutation("work:tagged")

    @app.action("work:misuse")
    def misuse(ctx):
        ctx.run_query("messages:send")

    backend = new_backend(app)
    assert call(backend, "work:fail")["error"]["data"] == {"limit": 1}
    assert call(backend, "work:pass_on")["error"]["data"] == [["$lunora.wire$", "bytes", "eA=="]]
    assert call(backend, "work:misuse")["error"]["code"] == "NOT_FOUND"


def test_action_that_waits_needs_a_loop():
    """In memory a waiting action is refused in plain words; its reply over a loop is as any other."""
    app = App()

    @app.action("work:wait")
    async def wait(ctx):
        await Never()

    @app.action("work:now")
    async def now(ctx):
        return "done"

    backend = new_backend(app)
    assert call(backend, "work:now") == {"result": "done"}
    with pytest.raises(RuntimeError, match="event loop"):
        call(backend, "work:wait")


class Never:
    def __await__(self):
        yield


def stamp(subject: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps({"subject": subject}).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("expected", "bearer", "code"),
    [("ada", "ada", None), (None, None, None), ("ada", None, "IDENTITY_MISMATCH"), (None, "ada", "IDENTITY_MISMATCH")],
)
def test_expected_subject_is_compared_with_the_caller(expected, bearer, code):
    """A replay stamped for somebody else is refused before anything runs."""
    app = chat_app()
    app.authenticate(lambda token: token)
    backend = new_backend(app)
    headers = {"x_lunora_expect_subject": stamp(expected)} | ({"authorization": f"Bearer {bearer}"} if bearer else {})
    status, body, _ = reply_to(backend, "messages:send", HI, **headers)
    assert body.get("error", {}).get("code") == code
    assert status == (409 if code else 200)
    assert len(call(backend, LIST, GENERAL)["result"]) == (0 if code else 1)


@pytest.mark.parametrize("header", ["%%%", "e30", "W10", "bnVsbA", ""])
def test_unreadable_expected_subject_is_refused(backend, header):
    """A stamp that says nothing is not taken for nobody."""
    assert call(backend, LIST, GENERAL, x_lunora_expect_subject=header)["error"]["code"] == "BAD_REQUEST"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"cookie": "a=b", "origin": "http://evil"}, 403),
        ({"cookie": "a=b"}, 403),
        ({"cookie": "a=b", "origin": "http://h"}, 200),
        ({"origin": "http://evil"}, 200),
    ],
)
def test_cookie_from_a_foreign_site_is_forbidden(backend, headers, status):
    """Only a cookie makes a foreign page dangerous."""
    got, body = post(backend, {"functionPath": LIST, "args": GENERAL}, **headers)
    assert got == status
    assert status == 200 or body["error"]["code"] == "FORBIDDEN"


def test_messages_of_failures_can_always_be_sent(caplog):
    """A text with half a character in it does not break the envelope."""
    caplog.set_level(logging.CRITICAL, "lunora_rx.devserver")  # pytest-xdist cannot carry such a text either
    app = App()

    @app.query("a:b")
    def fail(ctx):
        raise ValueError("half \ud800")

    @app.query("a:c")
    def refuse(ctx):
        raise AppError("X\ud800", "\ud800", data="\ud800")

    backend = new_backend(app)
    assert "half" in call(backend, "a:b")["error"]["message"]
    assert call(backend, "a:c")["error"] == {"code": "X\\ud800", "message": "\\ud800"}
