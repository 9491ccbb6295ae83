"""Layers of pending local changes over the base that the server gave.

Knows how to fold and which layers a base has caught up with. Does not know which write a
layer belongs to.  Source: ``docs/protocol.md``, section "Optimistic layers".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

Transform: TypeAlias = Callable[[Any], Any]


class Layer:
    """One pending change of one live query.

    Attributes:
        transform: A pure function from the value below to the value shown; run anew over every base.
        commit_cursor: Where its write landed, once that is known; the layer goes when the base has reached it.
        ack_mark: Which of all acknowledgements brought the cursor; the layer goes with a poll that began after it.
    """

    __slots__ = ("_report", "ack_mark", "commit_cursor", "transform")

    def __init__(self, transform: Transform, report: Callable[[Exception], None]) -> None:
        self.transform = transform
        self.commit_cursor: int | None = None
        self.ack_mark: int | None = None
        self._report = report

    def apply(self, value: Any) -> Any:
        """Return the value shown over ``value``; a transform that raises is reported and skipped."""
        try:
            return self.transform(value)
        except Exception as error:
            self._report(error)
            return value


def fold(base: Any, layers: Sequence[Layer]) -> Any:
    """Return what is shown over a base: every layer applied in order."""
    shown = base
    for layer in layers:
        shown = layer.apply(shown)
    return shown


def without_reached(layers: tuple[Layer, ...], cursor: int | None) -> tuple[Layer, ...]:
    """Return the layers whose writes a base at ``cursor`` does not hold yet."""
    if cursor is None or not layers:
        return layers
    return tuple(layer for layer in layers if layer.commit_cursor is None or layer.commit_cursor > cursor)


def without_acknowledged(layers: tuple[Layer, ...], acknowledged: int) -> tuple[Layer, ...]:
    """Return the layers whose writes were not acknowledged before a poll that began at this count."""
    return tuple(layer for layer in layers if layer.ack_mark is None or layer.ack_mark > acknowledged)
