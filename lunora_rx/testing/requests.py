"""What a scripted server answers over HTTP: calls, batches, the session probe, server-sent events.

Source: ``docs/protocol.md``, sections "RPC", "Session probe" and "Server-sent events".
"""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from lunora_rx.errors import LunoraError, ProtocolError, TransportError
from lunora_rx.protocol.endpoints import (
    BATCH_PATH,
    HEADER_AUTHORIZATION,
    HEADER_CLIENT_ID,
    HEADER_MUTATION_ID,
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
from lunora_rx.testing.answers import Answers
from lunora_rx.testing.calls import ServerCall
from lunora_rx.testing.script import PENDING, Entry, Target
from lunora_rx.transport.memory_transport import MemoryReply, MemoryRequest

__all__ = ["Requests"]

_SESSION: Final = "/get-session"
_EVENTS: Final = {"content-type": "text/event-stream"}
_JSON: Final = {"content-type": "application/json"}


class Requests:
    """Answers requests from the script, and keeps what was called.

    Attributes:
        calls: All calls, in the order of their arrival.
        losses: How many replies to a function are to be lost yet.
    """

    def __init__(self, answers: Answers) -> None:
        self.calls: list[ServerCall] = []
        self.losses: Counter[str] = Counter()
        self._answers = answers
        self._script = answers.script
        self._outcomes: dict[str, Outcome] = {}

    async def respond(self, request: MemoryRequest) -> HttpReply:
        """Answer a request whose reply comes in one piece."""
        path = urlsplit(request.url).path
        if path.endswith(RPC_PATH):
            return await self._single(request)
        if path.endswith(BATCH_PATH):
            return await self._batch(request)
        if path.endswith(_SESSION):
            subject = self._answers.subject
            return HttpReply(200, _JSON, serialize(None if subject is None else {"user": {"id": subject}}))
        self._script.problems.append(f"the client asked for {path!r}, which is nothing of the protocol")
        return HttpReply(404)

    async def respond_bit_by_bit(self, request: MemoryRequest) -> MemoryReply:
        """Answer a request for server-sent events."""
        parts = urlsplit(request.url)
        target = Target(parts.path, dict(parse_qsl(parts.query, keep_blank_values=True)), "")
        reply = MemoryReply(200, _EVENTS)

        def say(chunk: Any) -> None:
            # Chunks of these streams are plain JSON, not wire values.
            reply.send(_event("message", chunk))

        def end(error: LunoraError | None = None) -> None:
            failure = None if error is None else {"code": error.code or "INTERNAL", "message": error.message}
            reply.send(_event("complete", {}) if failure is None else _event("error", failure))
            reply.end()

        try:
            entry = self._script.ask(target, "HTTP stream", {"http stream"}, "server.on_http_stream(...)")
            self._answers.producers.start(entry, target.args, say, end)
        except LunoraError as error:
            end(error)
        return reply

    async def _single(self, request: MemoryRequest) -> HttpReply:
        call = decode_call(request.body or b"")
        headers = request.headers
        mutation_id, client_id = headers.get(HEADER_MUTATION_ID), headers.get(HEADER_CLIENT_ID)
        outcome = await self._outcome(call, mutation_id, client_id, _bearer(request))
        status = 400 if isinstance(outcome, Refused) else 200
        return HttpReply(status, _JSON, serialize(encode_outcome(outcome)))

    async def _batch(self, request: MemoryRequest) -> HttpReply:
        results = []
        for slot, call in decode_batch(request.body or b""):
            if isinstance(call, ProtocolError):
                outcome: Outcome = Refused(call)
            else:
                outcome = await self._outcome(call, call.mutation_id, call.client_id, _bearer(request))
            results.append({"id": slot, "body": encode_outcome(outcome)})
        return HttpReply(200, _JSON, serialize({"results": results}))

    async def _outcome(
        self, call: RpcCall, mutation_id: str | None, client_id: str | None, token: str | None
    ) -> Outcome:
        target = Target(call.function_path, decode_wire(call.args), call.shard)
        known = self._outcomes.get(mutation_id or "")
        kind = self._kind(target, mutation_id)
        self.calls.append(
            ServerCall(
                kind, target.function, target.args, target.shard, mutation_id, client_id, token, known is not None
            )
        )
        outcome = known or await self._carry_out(target, mutation_id)
        if mutation_id is not None and isinstance(outcome, Accepted):
            self._outcomes[mutation_id] = outcome
        if self.losses[target.function] > 0:
            self.losses[target.function] -= 1
            raise TransportError(f"the reply to {target.function!r} is lost, as scripted", transient=True)
        return outcome

    def _kind(self, target: Target, mutation_id: str | None) -> str:
        if mutation_id is not None:
            return "mutation"
        entry = self._script.find(target)
        return "call" if entry is None or entry.kind is None else entry.kind

    async def _carry_out(self, target: Target, mutation_id: str | None) -> Outcome:
        try:
            wire = await self._result(self._entry(target, mutation_id), target)
        except TransportError:
            raise
        except LunoraError as error:
            return Refused(_in_wire_form(error))
        if mutation_id is None:
            return Accepted(wire)
        cursor = self._answers.step()
        self._answers.settle(target.shard)
        return Accepted(wire, cursor)

    def _entry(self, target: Target, mutation_id: str | None) -> Entry:
        if mutation_id is not None:
            return self._script.ask(target, "mutation", {"mutation"}, "server.on_mutation(...)")
        hint = "server.on_query(...), server.push(...) or server.on_action(...)"
        return self._script.ask(target, "query or action", {"query", "action"}, hint)

    async def _result(self, entry: Entry, target: Target) -> Any:
        wire = self._script.answer(entry, target.args)
        if inspect.isawaitable(wire):
            try:
                wire = encode_wire(await wire)
            except Exception as error:
                raise self._script.failure_of(entry, error) from None
        if wire is PENDING:
            await asyncio.get_running_loop().create_future()
        return wire


def _event(name: str, data: Any) -> bytes:
    return f"event: {name}\n".encode() + b"data: " + serialize(data) + b"\n\n"


def _bearer(request: MemoryRequest) -> str | None:
    text = request.headers.get(HEADER_AUTHORIZATION)
    return None if text is None else text.removeprefix("Bearer ")


def _in_wire_form(error: LunoraError) -> LunoraError:
    data = None if error.data is None else encode_wire(error.data, root="error.data")
    return LunoraError(error.message, code=error.code, data=data, hint=error.hint, docs_url=error.docs_url)
