"""Valid inputs of every kind, for a mutator to start from. Lines are separate messages, in their order."""

from __future__ import annotations

from typing import Any

import orjson

TAG = "$lunora.wire$"

VALUES: list[Any] = [
    None,
    "text",
    [1, 2.5, True, None],
    {"a": {"b": [{"c": 1}]}},
    [TAG, "bigint", "-12345678901234567890"],
    [TAG, "nan"],
    [TAG, "date", 1764000000000],
    [TAG, "date", [TAG, "nan"]],
    [TAG, "url", "https://app.example/x"],
    [TAG, "map", [["a", 1], [[TAG, "undefined"], 2]]],
    [TAG, "set", ["a", "b"]],
    [TAG, "bytes", "AAECAw=="],
    [TAG, "bytes", "AACAPwAAAEA=", "Float32Array"],
    [TAG, "error", "TypeError", "no", {"row": "r1"}, [TAG, "error", "E", "why", {}]],
    [TAG, "arr", [TAG, "date"]],
    [{"_id": f"r{each}", "n": [TAG, "bigint", "7"]} for each in range(12)],
]

_ROWS = [{"_id": "a", "_creationTime": 1}, {"_id": "b", "_creationTime": 2}]
_BASE = {"type": "data", "id": "sub_1", "data": _ROWS, "cursor": 5, "epoch": "e1"}
_PAGE = {"type": "data", "id": "sub_1", "data": {"page": _ROWS, "isDone": True}, "cursor": 5, "epoch": "e1"}
_INSERT = {"op": "insert", "key": "c", "table": "t", "row": {"_id": "c", "_creationTime": 3}}

FRAMES: list[list[Any]] = [
    [_BASE],
    *([{"type": "data", "id": "sub_1", "data": value, "cursor": 6, "epoch": "e1"}] for value in VALUES),
    [_BASE, {"type": "delta", "id": "sub_1", "delta": _INSERT, "cursor": 6, "epoch": "e1"}],
    [_PAGE, {"type": "delta", "id": "sub_1", "delta": {**_INSERT, "op": "update"}}],
    [_BASE, {"type": "delta", "id": "sub_1", "delta": {"op": "delete", "key": "a", "table": "t"}, "cursor": 7}],
    [{"type": "data", "id": "sub_2", "delta": {"op": "delete", "key": "a", "table": "t"}, "lastMutationId": 3}],
    [_BASE, {"type": "resume", "id": "sub_1", "cursor": 9, "epoch": "e1"}],
    [_BASE, {"type": "settled", "id": "sub_1", "cursor": 9, "epoch": "e1", "lastMutationId": 4}],
    [{"type": "ack", "id": "sub_1"}],
    [{"type": "error", "id": "sub_1", "message": "no", "error": {"code": "FORBIDDEN", "message": "no"}}],
    [{"type": "error", "message": "expired", "error": {"code": "TOKEN_EXPIRED"}}],
    [{"type": "error", "id": "shape_1", "error": {"code": "SHAPE_REQUIRES_CDC", "message": "no"}}],
    [{"type": "error", "id": "stream_1", "error": {"code": "STREAM_INTERRUPTED"}}],
    [{"type": "complete", "id": "sub_1"}],
    [{"type": "complete", "id": "stream_1"}],
    [{"type": "chunk", "id": "stream_1", "data": {"n": 1}, "seq": 1, "generation": "g1"}],
    [{"type": "chunk", "id": "stream_1", "data": [TAG, "bigint", "1"], "seq": 2, "generation": {"run": [1]}}],
    [{"type": "chunk", "id": "stream_2", "data": "more"}],
    [
        {"type": "pokeStart", "pokeId": 1, "epoch": "e1", "baseCheckpoint": "c9"},
        {
            "type": "pokePart",
            "pokeId": 1,
            "shapeId": "shape_1",
            "rowsPatch": [
                {"op": "insert", "key": "a", "table": "t", "value": {"_id": "a", "n": [TAG, "bigint", "1"]}},
                {"op": "update", "key": "a", "table": "t", "value": {"_id": "a"}},
                {"op": "delete", "key": "b", "table": "t"},
            ],
            "baseCheckpoint": "c9",
            "lastMutationId": 4,
            "reset": True,
        },
        {"type": "pokeEnd", "pokeId": 1, "checkpoint": "c10", "epoch": "e1"},
    ],
    [{"type": "pokeStart", "pokeId": "p2"}, {"type": "pokeEnd", "pokeId": "p2", "checkpoint": 11, "epoch": 2}],
    [{"type": "whisper", "topic": "room", "data": {"x": [TAG, "nan"]}, "from": "user_7"}],
    [{"type": "identity", "subject": "user_7"}],
    [{"type": "identity", "subject": None}],
]
"""Runs of frames of a server, each type among them."""

_ENVELOPE = {
    "code": "RATE_LIMITED",
    "message": "slow down",
    "data": {"retryAfterMs": 1500, "at": [TAG, "date", 1]},
    "hint": ["wait"],
    "docsUrl": "https://docs.example",
}

REPLIES: list[Any] = [
    *({"result": value, "commitCursor": 7, "lastMutationId": 3} for value in VALUES),
    {},
    {"error": _ENVELOPE},
    {"error": {"code": "UNAUTHORIZED", "message": "no"}},
    {
        "results": [
            {"id": 1, "body": {"result": [TAG, "bigint", "7"], "commitCursor": 8}},
            {"id": 0, "body": {"error": _ENVELOPE}},
        ]
    },
    {"user": {"id": "user_7", "name": "Ada"}},
    {"user": None},
    None,
]
"""Bodies of replies: of calls, of batches and of session probes."""

RECORDS: list[Any] = [
    {
        "id": "3f0c",
        "functionPath": "messages:send",
        "args": {"text": "hi", "at": [TAG, "date", 1]},
        "clientId": "client-a",
        "shardKey": "room",
        "baselineSeq": 4,
        "version": "v1",
        "identity": "subj:user_7",
    },
    {"id": "77b1", "functionPath": "messages:send", "args": {}, "clientId": "client-a", "identity": None},
    {
        "key": "messages:list::{}::",
        "value": [TAG, "set", ["a"]],
        "identity": "subj:user_7",
        "ts": 1764000000000,
        "credential": "tok:00",
        "serverCursor": 5,
        "serverEpoch": "e1",
        "version": "v1",
    },
    {"key": "messages:list::{}::", "value": _ROWS, "identity": None, "ts": 1, "serverCursor": 5, "serverEpoch": 3},
]
"""Records of the queue and of the read cache, as they are stored."""

EVENTS: list[bytes] = [
    b'data: {"progress": 0.5}\n\nevent: complete\ndata: {}\n\n',
    b"\xef\xbb\xbf: a comment\r\ndata: [1,\r\ndata: 2]\r\n\r\nid: 7\r\nevent: message\r\n"
    b'data: "\xf0\x9f\x98\x80"\r\n\r\n',
    b'event: error\ndata: {"code": "ROOM_FULL", "message": "no"}\n\n',
    b"data: 1\rdata: 2\r\revent: other\rdata: 3\r\r",
]
"""Bodies of streams over HTTP."""

DOCUMENTS: list[Any] = [
    {
        "openrpc": "1.3.2",
        "info": {"title": "chat", "version": "1"},
        "methods": [
            {
                "name": "admin/messages:list",
                "summary": "List.",
                "description": "List. All of them.",
                "x-lunora-function-kind": "query",
                "params": [
                    {
                        "name": "args",
                        "required": True,
                        "schema": {
                            "type": "object",
                            "properties": {
                                "channelId": {"type": "string", "x-lunora-table": "channels"},
                                "limit": {"type": ["integer", "null"], "default": 5},
                                "kind": {"enum": ["a", 1, None, True, 2.5]},
                                "nested": {"$ref": "#/components/schemas/Node"},
                            },
                            "required": ["channelId"],
                        },
                    }
                ],
                "result": {
                    "name": "result",
                    "schema": {"type": "array", "items": {"$ref": "#/components/schemas/Row"}},
                },
                "errors": [{"code": 1, "message": "no", "data": {"code": "FORBIDDEN"}}],
            },
            {"name": "messages:send", "params": [], "result": {"name": "r", "schema": {}}},
        ],
        "components": {
            "schemas": {
                "Node": {"anyOf": [{"$ref": "#/components/schemas/Node"}, {"type": "null"}, {"type": "string"}]},
                "Row": {
                    "allOf": [
                        {"type": "object", "properties": {"_id": {"type": "string"}}, "required": ["_id"]},
                        {"type": "object", "properties": {"size": {"type": "integer", "format": "int64"}}},
                    ]
                },
            }
        },
    }
]
"""OpenRPC documents."""

_HEADER = {"lunora_rx_recording": 1, "started_at": "2026-01-01T00:00:00.000Z", "url": "http://app.example"}
_SUBSCRIBE = {"type": "subscribe", "id": "sub_1", "query": {"functionPath": "a:b", "args": {"x": 1}, "table": "a:b"}}


def _entry(at: float, kind: str, text: Any = None, **fields: Any) -> dict[str, Any]:
    spelt = {} if text is None else {"text": orjson.dumps(text).decode()}
    return {"t": at, "kind": kind, **spelt, **fields}


RECORDINGS: list[list[Any]] = [
    [
        _HEADER,
        _entry(0, "connecting"),
        _entry(1.5, "opened"),
        _entry(2, "sent", _SUBSCRIBE),
        _entry(2, "sent", {"type": "shape_subscribe", "id": "shape_1", "shape": {"name": "s", "args": {}}}),
        _entry(2, "sent", {"type": "stream", "id": "stream_1", "query": {"functionPath": "a:c", "args": {}}}),
        *(_entry(3 + index, "received", each) for index, run in enumerate(FRAMES) for each in run),
        _entry(90, "request", {"functionPath": "a:d", "args": {}}, request=1, path="POST /_lunora/rpc"),
        _entry(91, "reply", {"result": 5}, request=1, code=200),
        _entry(92, "request", {"calls": [{"functionPath": "a:d", "id": 0}]}, request=2, path="POST /_lunora/rpc-batch"),
        _entry(93, "failure", request=2),
        _entry(94, "lost", code=1006),
        _entry(95, "base", _BASE),
        _entry(99, "end"),
    ]
]
"""Recordings of sessions."""

PRELOADED: list[Any] = [
    {"__lunora": "preloaded", "functionPath": "a:b", "args": {"x": 1}, "value": value, "shardKey": "room"}
    for value in VALUES
]
"""Values on their way into a page."""


def lines(runs: list[list[Any]]) -> list[bytes]:
    """Return runs of messages as texts, a message a line."""
    return [b"\n".join(map(orjson.dumps, run)) for run in runs]


def texts(trees: list[Any]) -> list[bytes]:
    """Return each tree as a text."""
    return [orjson.dumps(tree) for tree in trees]
