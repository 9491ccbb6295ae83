"""What the client logs of its events: one function an event, and none on the way of a value.

``docs/observability.md`` lists every message. None holds a payload or a token.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from lunora_rx.core.events import (
    CredentialRefused,
    IdentityChanged,
    IdentityDisputed,
    MutationQueued,
    MutationSettled,
    ReplayProgressed,
    StatusChanged,
    TokenExpired,
    WhisperDropped,
)
from lunora_rx.protocol.rpc import Accepted

EventHandler: TypeAlias = Callable[[Any], None]

_socket = logging.getLogger("lunora_rx.socket")
_queue = logging.getLogger("lunora_rx.queue")
_identity = logging.getLogger("lunora_rx.identity")


def with_logs(handlers: Mapping[type, EventHandler]) -> dict[type, EventHandler]:
    """Return handlers of events that log first what there is to say of theirs."""
    return {kind: _logged(kind, handler) for kind, handler in handlers.items()}


def _logged(kind: type, handler: EventHandler) -> EventHandler:
    log = LOGGED.get(kind)
    if log is None:
        return handler

    def handle(event: Any) -> None:
        log(event)
        handler(event)

    return handle


def _log_status(event: StatusChanged) -> None:
    _socket.info("the client is %s", event.status)


def _log_expired(event: TokenExpired) -> None:
    message = "shard %r: the server says that the token of the socket has expired; it is asked for again"
    _socket.info(message, event.shard, extra={"shard": event.shard})


def _log_whisper(event: WhisperDropped) -> None:
    message = "shard %r: a whisper to %r cannot be read: %s"
    _socket.warning(message, event.shard, event.topic, event.reason, extra={"shard": event.shard})


def _log_queued(event: MutationQueued) -> None:
    _queue.debug("the write %s waits", event.mutation_id, extra={"mutation_id": event.mutation_id})


def _log_settled(event: MutationSettled) -> None:
    record, outcome = event.record, event.outcome
    named = {"shard": record.shard, "function": record.function_path, "mutation_id": record.mutation_id}
    if isinstance(outcome, Accepted):
        _queue.debug("the write %s of %r is committed", record.mutation_id, record.function_path, extra=named)
        return
    code = outcome.error.code or type(outcome.error).__name__
    # Whoever sent it at once has the error; one that waited may have nobody left to tell.
    level = logging.WARNING if event.was_queued else logging.DEBUG
    message = "the write %s of %r is rejected: %s"
    _queue.log(level, message, record.mutation_id, record.function_path, code, extra=named)


def _log_replay(event: ReplayProgressed) -> None:
    if not event.is_running:
        message = "a replay of %d queued writes is over: %d have a verdict, %d are kept for another attempt"
        _queue.info(message, event.total, event.settled, event.kept)


def _log_refused(event: CredentialRefused) -> None:
    code = event.error.code or type(event.error).__name__
    message = "the server refuses the bearer (%s); queued writes are held until set_auth_token() gives another one"
    _identity.warning(message, code)


def _log_identity(event: IdentityChanged) -> None:
    who = "nobody known" if event.subject is None else repr(event.subject)
    _identity.info("%s is signed in now; values of the former user are forgotten", who)


def _log_dispute(event: IdentityDisputed) -> None:
    who = "nobody" if event.subject is None else repr(event.subject)
    message = (
        "the server refuses queued writes as another user's, and says that the session is that of %s;"
        " they are kept and tried again"
    )
    _identity.warning(message, who)


LOGGED: Final[Mapping[type, EventHandler]] = {
    StatusChanged: _log_status,
    TokenExpired: _log_expired,
    WhisperDropped: _log_whisper,
    MutationQueued: _log_queued,
    MutationSettled: _log_settled,
    ReplayProgressed: _log_replay,
    CredentialRefused: _log_refused,
    IdentityChanged: _log_identity,
    IdentityDisputed: _log_dispute,
}
"""What is logged of each event."""
