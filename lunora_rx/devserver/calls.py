"""Calls over HTTP: what a request asks for, carried out, as a reply.

Source: ``docs/protocol.md``, section "RPC".
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from lunora_rx.devserver.access import check_cross_site, check_expected_subject
from lunora_rx.devserver.contexts import ActionContext
from lunora_rx.devserver.functions import Function
from lunora_rx.devserver.refusals import AppError, refusal_of, status_of
from lunora_rx.devserver.shard import Caller, Shard
from lunora_rx.devserver.shards import DEFAULT_SHARD, Shards
from lunora_rx.errors import CodecError, LunoraError, ProtocolError
from lunora_rx.protocol.endpoints import (
    BATCH_PATH,
    HEADER_BASE_SEQ,
    HEADER_BOOKMARK,
    HEADER_CLIENT_ID,
    HEADER_MIN_SEQ,
    HEADER_MUTATION_ID,
    HEADER_SHARD_KEY,
    RPC_PATH,
)
from lunora_rx.protocol.rpc import (
    Accepted,
    HttpReply,
    Outcome,
    Refused,
    RpcCall,
    decode_batch,
    decode_call,
    encode_outcome,
)
from lunora_rx.protocol.text import serialize
from lunora_rx.protocol.wire import decode_wire, encode_wire

if TYPE_CHECKING:
    from lunora_rx.devserver.app import App

__all__ = ["Calls", "HttpRequest"]


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as it came: header names in lower case, the whole body, the origin that it was sent to."""

    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    origin: str = ""


class Calls:
    """Answers single calls and batches.

    ``answer`` only ever waits for ``authenticate`` and for actions, where those are async.
    """

    def __init__(self, app: App, shards: Shards, *, first_bookmark: int) -> None:
        self._app = app
        self._shards = shards
        self._bookmark = first_bookmark

    async def answer(self, request: HttpRequest) -> HttpReply:
        """Carry a request out, and return the reply whatever happens."""
        try:
            subject = await self._admit(request)
            if request.path == BATCH_PATH:
                return await self._batch(request, subject)
            if request.path == RPC_PATH:
                return await self._single(request, subject)
            raise AppError("NOT_FOUND", f"there is nothing at {request.path!r}")
        except LunoraError as error:
            return self._reply(Refused(_coded(error)))

    def context(self, shard: Shard, subject: str | None) -> ActionContext:
        """Return the context of an action or stream."""
        run = partial(self._run, shard, Caller(subject))
        return ActionContext(subject, shard.name, partial(run, "query"), partial(run, "mutation"))

    async def _admit(self, request: HttpRequest) -> str | None:
        check_cross_site(request.headers, request.origin)
        subject = await self._app.access.subject_of_request(request.headers)
        check_expected_subject(request.headers, subject)
        _sequence(request.headers, HEADER_MIN_SEQ)  # this server is always current; only the form is checked
        return subject

    async def _single(self, request: HttpRequest, subject: str | None) -> HttpReply:
        call = decode_call(request.body)
        headers = request.headers
        caller = Caller(
            subject, headers.get(HEADER_CLIENT_ID), headers.get(HEADER_MUTATION_ID), _sequence(headers, HEADER_BASE_SEQ)
        )
        return self._reply(await self._outcome(call, caller), names_default=not call.shard)

    async def _batch(self, request: HttpRequest, subject: str | None) -> HttpReply:
        results, names_default = [], False
        for slot, call in decode_batch(request.body):
            if isinstance(call, ProtocolError):
                outcome: Outcome = Refused(_coded(call))
            else:
                names_default = names_default or not call.shard
                outcome = await self._outcome(call, Caller(subject, call.client_id, call.mutation_id, call.baseline))
            results.append({"id": slot, "body": encode_outcome(outcome)})
        return HttpReply(200, self._headers(names_default=names_default), serialize({"results": results}))

    async def _outcome(self, call: RpcCall, caller: Caller) -> Outcome:
        try:
            _check_texts(call.shard, caller.mutation_id, caller.client_id)
            shard = self._shards.get(call.shard)
            return await self._carry_out(shard, self._function(call.function_path), call.args, caller)
        except LunoraError as error:
            return Refused(_coded(error))

    async def _carry_out(self, shard: Shard, function: Function, args: Any, caller: Caller) -> Outcome:
        bound = function.bind(args)
        if function.kind == "query":
            return shard.query(function, bound, caller.subject)
        if function.kind == "action":
            return await self._act(shard, function, bound, caller)
        self._bookmark += 1
        return shard.mutate(function, bound, caller)

    async def _act(self, shard: Shard, function: Function, args: Mapping[str, Any], caller: Caller) -> Outcome:
        try:
            result = function.handler(self.context(shard, caller.subject), **args)
            return Accepted(encode_wire(await result if inspect.isawaitable(result) else result))
        except Exception as error:
            return Refused(refusal_of(error, function.path))

    def _run(self, shard: Shard, caller: Caller, kind: str, function_path: str, /, **args: Any) -> Any:
        function = self._function(function_path)
        if function.kind != kind:
            raise AppError("NOT_FOUND", f"{function_path!r} is no {kind}")
        bound = function.bind(encode_wire(args, root="args"))
        if kind == "query":
            outcome = shard.query(function, bound, caller.subject)
        else:
            self._bookmark += 1
            outcome = shard.mutate(function, bound, caller)
        if isinstance(outcome, Refused):
            error = outcome.error
            raise AppError(error.code or "INTERNAL", error.message, data=decode_wire(error.data))
        return decode_wire(outcome.value)

    def _function(self, path: str) -> Function:
        function = self._app.functions.get(path)
        if function is None:
            raise AppError("NOT_FOUND", f"there is no function {path!r}")
        return function

    def _reply(self, outcome: Outcome, *, names_default: bool = False) -> HttpReply:
        status = status_of(outcome.error.code) if isinstance(outcome, Refused) else 200
        headers = self._headers(names_default=names_default)
        if isinstance(outcome, Refused):
            headers.update(_retry_after(outcome.error))
        return HttpReply(status, headers, serialize(encode_outcome(outcome)))

    def _headers(self, *, names_default: bool) -> dict[str, str]:
        headers = {"content-type": "application/json", HEADER_BOOKMARK: f"{self._bookmark:016x}"}
        return headers | {HEADER_SHARD_KEY: DEFAULT_SHARD} if names_default else headers


def _coded(error: LunoraError) -> LunoraError:
    """Return the refusal that a failure to read a request is."""
    if isinstance(error, AppError):
        return refusal_of(error, "")
    code = "WIRE_DECODE_FAILED" if isinstance(error, CodecError) else "BAD_REQUEST"
    return AppError(code, error.message)


def _sequence(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise AppError("BAD_REQUEST", f"header {name!r} is a whole number, not {text[:40]!r}")
    return int(text)


def _check_texts(*texts: str | None) -> None:
    try:
        for text in texts:
            (text or "").encode()
    except UnicodeEncodeError:
        raise AppError("BAD_REQUEST", "a shard key, mutation id or client id holds a lone surrogate") from None


def _retry_after(error: LunoraError) -> dict[str, str]:
    milliseconds = error.data.get("retryAfterMs") if isinstance(error.data, dict) else None
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float) or milliseconds <= 0:
        return {}
    return {"retry-after": str(int(-(-milliseconds // 1000)))}
