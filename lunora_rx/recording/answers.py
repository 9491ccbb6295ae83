"""Answers the calls of a replay as they were answered when they were recorded."""

from __future__ import annotations

from collections import Counter
from typing import Any

from lunora_rx.errors import CodecError
from lunora_rx.protocol.endpoints import HEADER_SHARD_KEY
from lunora_rx.protocol.recording import Entry
from lunora_rx.protocol.rpc import HttpReply, RpcCall
from lunora_rx.protocol.text import parse, serialize, spell
from lunora_rx.recording.contents import Asked, Contents, calls_of, not_recorded
from lunora_rx.recording.file import RecordingFile

NOT_RECORDED = "NOT_RECORDED"


class Answers:
    """The HTTP half of a replay.

    The first call of a function with its arguments gets the first reply that was recorded of it, the second
    the second, and the last reply answers all that come after.
    """

    def __init__(self, file: RecordingFile, contents: Contents) -> None:
        self._file = file
        self._contents = contents
        self._asked: Counter[str] = Counter()

    def reply(self, path: str, body: bytes | None) -> HttpReply:
        """Return the reply to a request, given as method and path."""
        calls = calls_of(path, body or b"")
        if calls is None:
            found = self._next(path)
            return HttpReply(404) if found is None else _reply_of(found[0])
        if len(calls) == 1 and calls[0][0] is None:
            return self._answer(calls[0][1])
        slots = [_slot(slot, self._answer(call).body) for slot, call in calls]
        return HttpReply(200, body=b'{"results":[%b]}' % b",".join(slots))

    def _answer(self, call: RpcCall) -> HttpReply:
        asked = Asked(call.function_path, call.args, call.shard)
        found = self._next(asked.key)
        if found is None:
            return _refusal(not_recorded("call", asked, self._contents.calls.values()))
        entry, slot = found
        if slot is None:
            return _reply_of(entry)
        body = _slot_body(entry, slot)
        if body is None:
            return _refusal(f"the recording has no answer for the call {asked}")
        try:
            return HttpReply(200 if "result" in body else 400, body=serialize(body))
        except CodecError as error:
            return _refusal(f"the answer to the call {asked} cannot be told again; {error}")

    def _next(self, key: str) -> tuple[Entry, int | None] | None:
        places = self._contents.replies.get(key)
        if not places:
            return None
        offset, slot = places[min(self._asked[key], len(places) - 1)]
        self._asked[key] += 1
        return self._file.entry_at(offset), slot


def _reply_of(entry: Entry) -> HttpReply:
    headers = {HEADER_SHARD_KEY: entry.shard} if entry.shard else {}
    return HttpReply(entry.code or 0, headers, entry.text.encode())


def _refusal(message: str) -> HttpReply:
    # What it names was read from a file, and may be nothing that can be sent.
    return HttpReply(404, body=spell({"error": {"code": NOT_RECORDED, "message": message}}).encode())


def _slot(slot: int | None, body: bytes) -> bytes:
    try:
        return serialize({"id": slot, "body": _tree(body)})
    except CodecError as error:
        refusal = _refusal(f"the answer that was recorded cannot be told again in a batch; {error}")
        return b'{"id":%b,"body":%b}' % (serialize(slot), refusal.body)


def _slot_body(entry: Entry, slot: int) -> dict[str, Any] | None:
    tree = _tree(entry.text.encode())
    results = tree.get("results") if isinstance(tree, dict) else None
    for each in results if isinstance(results, list) else ():
        if isinstance(each, dict) and each.get("id") == slot and isinstance(each.get("body"), dict):
            return dict(each["body"])
    return None


def _tree(body: bytes) -> Any:
    try:
        return parse(body)
    except CodecError:
        return None
