"""What a shard's socket says of whoever holds it: the connection context.

Source: ``docs/protocol.md``, section "Presence context".
"""

from __future__ import annotations

from typing import Any


class Contexts:
    """The contexts of one shard, in wire form: the newest that is held counts, else the client's own.

    Args:
        default: The client's own; ``UNDEFINED`` for none.
    """

    def __init__(self, default: Any) -> None:
        self._default = default
        self._count = 0
        self._held: dict[int, Any] = {}

    @property
    def effective(self) -> Any:
        """What the socket says now; ``UNDEFINED`` for nothing."""
        return next(reversed(self._held.values()), self._default)

    @property
    def is_needed(self) -> bool:
        """Whether the socket must stay."""
        return bool(self._held)

    def hold(self, context: Any) -> int:
        """Say this until it is released; return its number."""
        self._count += 1
        self._held[self._count] = context
        return self._count

    def release(self, number: int) -> None:
        """Say it no more; releasing twice does nothing."""
        self._held.pop(number, None)
