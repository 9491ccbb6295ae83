"""Frames and texts that no server should have sent."""

from __future__ import annotations

from typing import Any

TAG = "$lunora.wire$"
BAD_VALUE = [TAG, "bigint", 5]
DAMAGES: dict[str, dict[str, Any]] = {
    "undecodable data": {"type": "data", "data": BAD_VALUE, "cursor": 9_999, "epoch": "never"},
    "undecodable delta": {
        "type": "delta",
        "delta": {"op": "update", "key": "r1", "table": "rows", "row": {"_id": "r1", "big": BAD_VALUE}},
        "cursor": 9_999,
    },
    "undecodable cursor": {"type": "data", "data": [], "cursor": "9999"},
    "nothing": {"type": "data"},
    "unmergeable": {"type": "delta", "delta": {"op": "insert", "key": "r1", "table": "rows"}, "cursor": 9_999},
    "error": {"type": "error", "message": "no", "error": {"code": "SHARD_ERROR", "message": "no"}},
    "settled nowhere": {"type": "settled", "cursor": None, "epoch": []},
    "ack": {"type": "ack"},
}
"""Frames that concern a subscription, by what is wrong with them; the id is added."""

NOISE: dict[str, str | bytes] = {
    "no JSON": "{",
    "no UTF-8": b"\xff\xfe",
    "no object": "[]",
    "null": "null",
    "no type": '{"id":"sub_1"}',
    "type is a number": '{"type":5,"id":"sub_1"}',
    "type is a list": '{"type":[],"id":"sub_1"}',
    "unknown type": '{"type":"chunks","id":"sub_1"}',
    "unknown id": '{"type":"data","id":"sub_999","data":[],"cursor":9999,"epoch":"never"}',
    "id is a number": '{"type":"data","id":1,"data":[]}',
    "no id": '{"type":"data","data":[]}',
    "error for nobody": '{"type":"error","message":"no"}',
    "bad identity": '{"type":"identity","subject":5}',
    "pong": "lunora-pong",
    "lone surrogate": '{"type":"whisper","topic":"\\ud800","data":1}',
    "deep": "[" * 2000,
}
"""Texts that concern nobody, by what is wrong with them."""

_GHOST = {"op": "insert", "key": "ghost", "table": "rows", "value": {"_id": "ghost"}}
_START: dict[str, Any] = {"type": "pokeStart", "pokeId": "damaged"}
_PART: dict[str, Any] = {"type": "pokePart", "pokeId": "damaged", "rowsPatch": [_GHOST]}
_END: dict[str, Any] = {"type": "pokeEnd", "pokeId": "damaged", "checkpoint": 9_999, "epoch": "never"}
POKE_DAMAGES: dict[str, list[dict[str, Any]]] = {
    "gap": [{**_START, "baseCheckpoint": 9_998}, _PART, _END],
    "gap in the part": [_START, {**_PART, "baseCheckpoint": 9_998}, _END],
    "other epoch": [{**_START, "epoch": "never"}, _PART, _END],
    "undecodable row": [_START, {**_PART, "rowsPatch": [_GHOST, {**_GHOST, "value": BAD_VALUE}]}, _END],
    "undecodable reset": [_START, {**_PART, "reset": True, "rowsPatch": [{**_GHOST, "value": BAD_VALUE}]}, _END],
    "unknown op": [_START, _PART, {**_PART, "rowsPatch": [{**_GHOST, "op": "upsert"}]}, _END],
    "malformed part": [_START, _PART, {**_PART, "rowsPatch": {}}, _END],
    "no start": [_PART, _END],
    "start again": [_START, _PART, _START, _END],
    "poke error": [{"type": "error", "message": "no", "error": {"code": "SHARD_ERROR", "message": "no"}}],
}
"""Frames that concern a shape, by what is wrong with them; the shape's id is added."""
