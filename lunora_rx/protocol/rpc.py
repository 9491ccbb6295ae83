"""Bodies, replies and verdicts of remote procedure calls, single and batched.

Everything here is a value or a function of values: whoever holds a connection
sends the bodies and hands the replies in.  Source: ``docs/protocol.md``,
section "RPC".
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeAlias

from lunora_rx.errors import CodecError, LunoraError, ProtocolError, ServerError, TransportError
from lunora_rx.protocol.frozen import frozen
from lunora_rx.protocol.text import may_hold_tag, parse, serialize
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.protocol.wire import decode_parsed, decode_wire

Tree: TypeAlias = Any

MAX_BATCH_ENTRIES = 500
MAX_BATCH_BYTES = 983_040
UNBATCHABLE_PREFIXES = ("__lunora_relation__:", "__lunora_admin__")

_TOO_LARGE = "the reply is larger than max_body_size"

_STATUS_CODES: Mapping[int, str] = {
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    413: "PAYLOAD_TOO_LARGE",
    429: "TOO_MANY_REQUESTS",
}


@dataclass(frozen=True, slots=True)
class RpcCall:
    """One call in transit: ``args`` is the wire object; the rest only where a write needs it."""

    function_path: str
    args: Tree = field(default_factory=dict)
    shard: str = ""
    mutation_id: str | None = None
    client_id: str | None = None
    baseline: int | None = None


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request to make. Its headers hold the bearer, so they stay out of ``repr``; so do the payloads.

    ``calls`` are those that the body carries, in order; none in a question, which has no body.
    """

    request_id: int
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    timeout: float
    calls: tuple[RpcCall, ...] = field(default=(), repr=False)

    @property
    def method(self) -> str:
        """A request without a body is a question."""
        return "GET" if self.body is None else "POST"


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What came back over HTTP: header names in lower case, the whole body, and the wall clock when it came.

    Headers may hold a cookie, and a body the token of a session, so they stay out of ``repr``.
    ``is_cut`` says that the body was larger than the client takes, and was thrown away;
    ``place`` is the URL that was asked, without user, password and parameters, for errors.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    arrived_at: float = 0.0
    is_cut: bool = False
    place: str = field(default="", compare=False)


@frozen
class Accepted:
    """The server carried the call out.

    ``undecodable`` is set when its result cannot be decoded here; the call counts as carried out all the same.
    """

    value: Any
    commit_cursor: int | None = None
    last_mutation_id: int | None = None
    undecodable: CodecError | None = None


@frozen
class Refused:
    """The call has no result; ``error`` says why, and ``verdict_of(error)`` what that means for a queued write.

    ``is_readable`` is false where the server's answer was no error of the protocol, only an HTTP status.
    """

    error: LunoraError
    is_readable: bool = True


Outcome: TypeAlias = Accepted | Refused


class Verdict(enum.Enum):
    """What a failed call means for a write that could be sent again."""

    TRANSPORT = "transport"
    TRANSIENT = "transient"
    CREDENTIAL = "credential"
    IDENTITY = "identity"
    REJECTED = "rejected"


_VERDICTS: Mapping[str, Verdict] = {
    "RATE_LIMITED": Verdict.TRANSIENT,
    "TOO_MANY_REQUESTS": Verdict.TRANSIENT,
    "SHARD_ERROR": Verdict.TRANSIENT,
    "SHARD_UNAVAILABLE": Verdict.TRANSIENT,
    "UNAUTHORIZED": Verdict.CREDENTIAL,
    "UNAUTHENTICATED": Verdict.CREDENTIAL,
    "TOKEN_EXPIRED": Verdict.CREDENTIAL,
    "IDENTITY_MISMATCH": Verdict.IDENTITY,
}


def verdict_of(error: LunoraError) -> Verdict:
    """Return the class of a failure, the same for one call, a batch slot and a whole batch."""
    if error.code is None or isinstance(error, TransportError):
        return Verdict.TRANSPORT
    return _VERDICTS.get(error.code, Verdict.REJECTED)


def encode_call(call: RpcCall) -> bytes:
    """Return the body of a single call."""
    body: dict[str, Tree] = {"args": call.args, "functionPath": call.function_path}
    if call.shard:
        body["shardKey"] = call.shard
    return serialize(body)


def decode_call(body: bytes) -> RpcCall:
    """Return the call that a body holds; its arguments stay in wire form.

    Raises:
        CodecError: The body is not JSON.
        ProtocolError: It is not a call; the field is named.
    """
    return _call_of(parse(body))


def encode_batch(calls: Sequence[RpcCall]) -> bytes:
    """Return the body of a batch; each call's place is its slot's ``id``."""
    return serialize({"calls": [_entry(index, call) for index, call in enumerate(calls)]})


def decode_batch(body: bytes) -> list[tuple[int, RpcCall | ProtocolError]]:
    """Return the slots that a batch body holds, each with its ``id``; a slot that is no call holds the reason.

    Raises:
        CodecError: The body is not JSON.
        ProtocolError: It is not a batch, or has more than 500 entries.
    """
    tree = parse(body)
    calls = tree.get("calls") if isinstance(tree, dict) else None
    if not isinstance(calls, list):
        raise ProtocolError("a batch lacks its array 'calls'", code="BAD_REQUEST")
    if len(calls) > MAX_BATCH_ENTRIES:
        raise ProtocolError(f"a batch holds at most {MAX_BATCH_ENTRIES} calls", code="BAD_REQUEST")
    return [_slot(index, entry) for index, entry in enumerate(calls)]


def encode_outcome(outcome: Outcome) -> dict[str, Tree]:
    """Return the JSON object of a reply; an accepted value must be in wire form already."""
    if isinstance(outcome, Refused):
        return {"error": _envelope(outcome.error)}
    body: dict[str, Tree] = {} if outcome.value is UNDEFINED else {"result": outcome.value}
    if outcome.commit_cursor is not None:
        body["commitCursor"] = outcome.commit_cursor
    if outcome.last_mutation_id is not None:
        body["lastMutationId"] = outcome.last_mutation_id
    return body


def decode_reply(reply: HttpReply) -> Outcome:
    """Return what the reply to a single call says, whatever its status and body."""
    if reply.is_cut and 200 <= reply.status <= 299:
        # The call was carried out: to send it again would bring the same reply again.
        error = CodecError(_TOO_LARGE, path="result", code="WIRE_DECODE_FAILED")
        return Accepted(UNDEFINED, undecodable=error)
    tree, tagged = _parse_body(reply.body)
    if isinstance(tree, dict) and isinstance(tree.get("error"), dict):
        return Refused(_error_of(tree["error"], tagged, reply))
    if not isinstance(tree, dict) or not 200 <= reply.status <= 299:
        return Refused(_unreadable(reply), is_readable=False)
    return _accepted(tree, tagged)


def decode_batch_reply(reply: HttpReply, count: int) -> list[Outcome | None] | Refused:
    """Return the slots of a batch in call order, or the failure of the batch as a whole.

    A slot is ``None`` when the server gave no readable answer for it: its fate is unknown.
    """
    if reply.is_cut and 200 <= reply.status <= 299:
        # Counts as a batch that was too large: halves of it have smaller replies.
        return Refused(TransportError(_TOO_LARGE, code="PAYLOAD_TOO_LARGE", status=413))
    tree, tagged = _parse_body(reply.body)
    results = tree.get("results") if isinstance(tree, dict) else None
    if isinstance(results, list) and 200 <= reply.status <= 299:
        return _slots(results, tagged, count, reply)
    if isinstance(tree, dict) and isinstance(tree.get("error"), dict):
        return Refused(_error_of(tree["error"], tagged, reply))
    return Refused(_unreadable(reply), is_readable=False)


def _entry(index: int, call: RpcCall) -> dict[str, Tree]:
    entry: dict[str, Tree] = {"functionPath": call.function_path, "args": call.args, "id": index}
    optional = {
        "mutationId": call.mutation_id,
        "clientId": call.client_id,
        "shardKey": call.shard or None,
        "baselineSeq": call.baseline,
    }
    entry.update({name: value for name, value in optional.items() if value is not None})
    return entry


def _slot(index: int, entry: Tree) -> tuple[int, RpcCall | ProtocolError]:
    slot = entry.get("id", index) if isinstance(entry, dict) else index
    slot = slot if type(slot) is int else index
    try:
        call = _call_of(entry)
    except ProtocolError as error:
        return slot, error
    if call.function_path.startswith(UNBATCHABLE_PREFIXES):
        return slot, ProtocolError(f"{call.function_path!r} cannot be batched", code="BAD_REQUEST")
    return slot, call


def _call_of(tree: Tree) -> RpcCall:
    if not isinstance(tree, dict):
        raise ProtocolError("a call is not a JSON object", code="BAD_REQUEST")
    args = tree.get("args")
    return RpcCall(
        function_path=_typed(tree, "functionPath", str, "a string", required=True),
        args={} if args is None else _typed(tree, "args", dict, "an object"),
        shard=_typed(tree, "shardKey", str, "a string") or "",
        mutation_id=_typed(tree, "mutationId", str, "a string"),
        client_id=_typed(tree, "clientId", str, "a string"),
        baseline=_typed(tree, "baselineSeq", int, "an integer"),
    )


def _typed(tree: dict[str, Tree], name: str, kind: type, expected: str, *, required: bool = False) -> Any:
    value = tree.get(name)
    if value is None and not required:
        return None
    if type(value) is not kind:
        raise ProtocolError(f"{name!r} of a call is not {expected}", code="BAD_REQUEST")
    return value


def _envelope(error: LunoraError) -> dict[str, Tree]:
    envelope: dict[str, Tree] = {"code": error.code or "INTERNAL", "message": error.message}
    optional = {"data": error.data, "hint": error.hint, "docsUrl": error.docs_url}
    envelope.update({name: value for name, value in optional.items() if value is not None})
    return envelope


def _parse_body(body: bytes) -> tuple[Tree, bool]:
    try:
        return parse(body), may_hold_tag(body)
    except CodecError:
        return None, False


def _accepted(tree: dict[str, Tree], tagged: bool) -> Accepted:
    value, undecodable = tree.get("result", UNDEFINED), None
    if tagged and value is not UNDEFINED:
        try:
            value = decode_parsed(value, root="result")
        except CodecError as error:
            error.code = "WIRE_DECODE_FAILED"
            value, undecodable = UNDEFINED, error
    return Accepted(value, _integer(tree, "commitCursor"), _integer(tree, "lastMutationId"), undecodable)


def _slots(results: list[Tree], tagged: bool, count: int, reply: HttpReply) -> list[Outcome | None]:
    slots: list[Outcome | None] = [None] * count
    for entry in results:
        index = entry.get("id") if isinstance(entry, dict) else None
        if type(index) is int and 0 <= index < count:
            slots[index] = _slot_outcome(entry.get("body"), tagged, reply)
    return slots


def _slot_outcome(body: Tree, tagged: bool, reply: HttpReply) -> Outcome | None:
    if not isinstance(body, dict):
        return None
    if "result" in body:
        return _accepted(body, tagged)
    return Refused(_error_of(body["error"], tagged, reply)) if isinstance(body.get("error"), dict) else None


def _error_of(envelope: dict[str, Tree], tagged: bool, reply: HttpReply) -> LunoraError:
    code, message, hint = envelope.get("code"), envelope.get("message"), envelope.get("hint")
    docs_url = envelope.get("docsUrl")
    data = _with_retry_after(_error_data(envelope, tagged), reply)
    return ServerError(
        message if isinstance(message, str) else "request failed",
        code=code if isinstance(code, str) else "INTERNAL",
        data=data,
        hint=hint if isinstance(hint, str) or _is_text_list(hint) else None,
        docs_url=docs_url if isinstance(docs_url, str) else None,
        status=reply.status,
        retry_after=_retry_after_seconds(data),
    )


def _error_data(envelope: dict[str, Tree], tagged: bool) -> object:
    data = envelope.get("data")
    if not tagged:
        return data
    try:
        return decode_wire(data, root="error.data")
    except CodecError:
        return None


def _is_text_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _unreadable(reply: HttpReply) -> LunoraError:
    status, place = reply.status, reply.place or "the server"
    data = _with_retry_after(None, reply)
    wait = _retry_after_seconds(data)
    if 400 <= status <= 499 and status != 408:
        code = _STATUS_CODES.get(status, "BAD_REQUEST")
        message = f"{place} answered {status} with no readable error"
        return ServerError(message, code=code, data=data, status=status, retry_after=wait)
    message = f"{place} answered {status} with no readable body; is this a Lunora deployment?"
    return TransportError(message, code="INTERNAL", data=data, status=status, transient=True, retry_after=wait)


def _with_retry_after(data: object, reply: HttpReply) -> object:
    milliseconds = _retry_after_header(reply)
    if milliseconds is None or (data is not None and not isinstance(data, dict)):
        return data
    return {"retryAfterMs": milliseconds, **(data or {})}


def _retry_after_header(reply: HttpReply) -> int | None:
    text = reply.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return int(text) * 1000 if len(text) < 12 else None
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    wait = (aware - datetime.fromtimestamp(reply.arrived_at, UTC)).total_seconds()
    return int(wait * 1000) if wait > 0 else None


def _retry_after_seconds(data: object) -> float | None:
    wait = data.get("retryAfterMs") if isinstance(data, dict) else None
    # The exact types: neither a bool nor a bigint, which may be too large for a float, is a number.
    if (type(wait) is not int and type(wait) is not float) or not abs(wait) < float("inf"):
        return None
    return wait / 1000


def _integer(tree: dict[str, Tree], name: str) -> int | None:
    value = tree.get(name)
    return value if type(value) is int else None
