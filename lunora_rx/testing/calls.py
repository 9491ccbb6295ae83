"""What reached a scripted server over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ServerCall"]


@dataclass(frozen=True, slots=True)
class ServerCall:
    """One call, as it arrived.

    Attributes:
        kind: ``"query"``, ``"mutation"`` or ``"action"``, as scripted; ``"call"`` for what nobody scripted.
        function: ``"file:function"``.
        args: The arguments, decoded.
        shard: The shard's key; ``""`` for the default shard.
        mutation_id: The write's idempotency key; ``None`` for other calls.
        client_id: Who writes.
        token: The bearer, or ``None``.
        is_repeat: Whether the write was carried out before, so that its result was given again and no script asked.
    """

    kind: str
    function: str
    args: Mapping[str, Any]
    shard: str = ""
    mutation_id: str | None = None
    client_id: str | None = None
    token: str | None = field(default=None, repr=False)
    is_repeat: bool = False
