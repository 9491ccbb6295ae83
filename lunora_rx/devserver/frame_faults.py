"""Switches that strike the frames of shapes and streams, and what asks for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

from lunora_rx.devserver.pokes import Part, Poke
from lunora_rx.devserver.refusals import AppError
from lunora_rx.devserver.strikes import Armed
from lunora_rx.protocol.text import serialize

__all__ = ["UNDECODABLE", "FrameFaults", "StruckPoke", "Subscribing"]

Subscribing: TypeAlias = Literal["query", "shape", "stream"]
"""What a frame asks for."""

UNDECODABLE: Final = ["$lunora.wire$", "bigint", "not a number"]
"""A wire value that no client can decode."""

_ALL: Final[tuple[Subscribing, ...]] = ("query", "shape", "stream")


@dataclass(frozen=True, slots=True)
class StruckPoke:
    """What becomes of a poke: the frames that are sent, and whether the socket is lost behind them."""

    texts: list[str]
    is_cut: bool = False


class FrameFaults:
    """Faults that wait for a frame; it does not know of sockets.

    Every switch takes ``count``, how many frames it strikes (``None``: all until ``release``).
    """

    def __init__(self) -> None:
        self._drops: Armed[bool] = Armed()
        self._cuts: Armed[int] = Armed()
        self._rows: Armed[str] = Armed()
        self._chunks: Armed[str] = Armed()
        self._refusals: dict[Subscribing, Armed[AppError]] = {kind: Armed() for kind in _ALL}

    def drop_pokes(self, count: int | None = 1) -> None:
        """Lose the next pokes that a commit sends, each to one socket: its next one has a gap before it."""
        self._drops.arm(True, count)

    def cut_poke(self, after: Literal["start", "part"] = "start") -> None:
        """Lose the socket of the next poke right after its ``pokeStart`` or its first ``pokePart``."""
        self._cuts.arm({"start": 1, "part": 2}[after], 1)

    def spoil_rows(self, count: int | None = 1, *, value: object = None) -> None:
        """Put a value that cannot be decoded, or any wire value, in place of a row of the next pokes that hold one."""
        self._rows.arm(_wire_text(value), count)

    def spoil_chunks(self, count: int | None = 1, *, value: object = None) -> None:
        """Put a value that cannot be decoded, or any wire value, in place of the next chunks."""
        self._chunks.arm(_wire_text(value), count)

    def refuse_subscriptions(
        self, count: int | None = 1, *, code: str = "SUBSCRIPTION_PERSIST_FAILED", on: Subscribing | None = None
    ) -> None:
        """Answer the next frames that ask for a live query, shape or stream with an ``error`` of this code."""
        for kind in _ALL if on is None else (on,):
            self._refusals[kind].arm(AppError(code, "refused on purpose"), count)

    def release(self) -> None:
        """Forget what has not struck."""
        everything: tuple[Armed[Any], ...] = (self._drops, self._cuts, self._rows, self._chunks)
        for armed in (*everything, *self._refusals.values()):
            armed.clear()

    # --- for sessions

    def strike_poke(self, poke: Poke, *, is_answer: bool) -> StruckPoke:
        """Return what becomes of a poke; one that answers a subscription is never lost as a whole."""
        if not is_answer and self._drops.take():
            return StruckPoke([])
        texts = self._spoiled(poke).texts()
        cut = self._cuts.take()
        return StruckPoke(texts) if cut is None else StruckPoke(texts[:cut], is_cut=True)

    def strike_chunk(self, text: str) -> str:
        """Return the JSON text that a chunk goes out with."""
        return self._chunks.take() or text

    def check_subscription(self, kind: Subscribing) -> None:
        """Let a frame that asks for something pass.

        Raises:
            AppError: It is refused on purpose.
        """
        refusal = self._refusals[kind].take()
        if refusal is not None:
            raise refusal

    def _spoiled(self, poke: Poke) -> Poke:
        holding = [part for part in poke.parts if any(op.value is not None for op in part.patch.ops)]
        value = self._rows.take() if holding else None
        if value is None:
            return poke
        return replace(
            poke, parts=tuple(_with_value(part, value) if part in holding[:1] else part for part in poke.parts)
        )


def _with_value(part: Part, value: str) -> Part:
    ops = list(part.patch.ops)
    place = next(place for place, op in enumerate(ops) if op.value is not None)
    ops[place] = replace(ops[place], value=value)
    return replace(part, patch=replace(part.patch, ops=tuple(ops)))


def _wire_text(value: object) -> str:
    return serialize(UNDECODABLE if value is None else value).decode()
