"""The first argument of every function: what it may use, and on whose behalf it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from lunora_rx.devserver.tables import Reader, Writer

__all__ = ["ActionContext", "ConnectionContext", "MutationContext", "QueryContext"]


class RunsFunction(Protocol):
    """Runs another function of the app on behalf of the same caller."""

    def __call__(self, function_path: str, /, **args: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class QueryContext:
    """Context of a query or shape: it may read.

    Attributes:
        db: The tables of the shard, to read.
        identity: The verified subject of the caller, or ``None``.
        shard: The shard's name.
    """

    db: Reader
    identity: str | None
    shard: str


@dataclass(frozen=True, slots=True)
class MutationContext:
    """Context of a mutation: it reads and writes in one transaction.

    Attributes:
        db: The tables of the shard, to read and write.
        identity: The verified subject of the caller, or ``None``.
        shard: The shard's name.
        base_seq: The cursor that the caller had seen when it composed the write, if it said so.
    """

    db: Writer
    identity: str | None
    shard: str
    base_seq: int | None = None


@dataclass(frozen=True, slots=True)
class ActionContext:
    """Context of an action or stream: it may do anything, but reaches the tables through functions only.

    Attributes:
        identity: The verified subject of the caller, or ``None``.
        shard: The shard's name.
        run_query: ``ctx.run_query("messages:list", channelId="general")``.
        run_mutation: ``ctx.run_mutation("messages:send", ...)``: a transaction of its own.
    """

    identity: str | None
    shard: str
    run_query: RunsFunction
    run_mutation: RunsFunction


@dataclass(frozen=True, slots=True)
class ConnectionContext:
    """Context of a hook: it reads and writes in one transaction.

    Attributes:
        db: The tables of the shard, to read and write.
        connection: Names the socket; the same in every call about it, and never used again.
        client_id: What the client calls itself.
        identity: The verified subject of the socket, or ``None``.
        shard: The shard's name.
        context: What the client says about itself; ``None`` where it says nothing, or nothing readable.
    """

    db: Writer
    connection: str
    client_id: str
    identity: str | None
    shard: str
    context: Any = None
