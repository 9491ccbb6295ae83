"""What faults do to the slots of one batch: plain functions of its request and its reply."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["Positions", "SlotBody", "SlotFaults", "entries_of"]

Positions: TypeAlias = tuple[int, ...]
"""Places of calls in a batch, counted as in a list; none at all means every call."""


@dataclass(frozen=True, slots=True)
class SlotBody:
    """A JSON value that stands in place of the bodies at some positions."""

    positions: Positions
    body: Any


@dataclass(frozen=True, slots=True)
class SlotFaults:
    """Everything that strikes the slots of one batch.

    Attributes:
        refused: Calls that are answered with this, and not carried out.
        spoiled: Calls that are carried out and answered with this.
        lost: Calls that are carried out and not answered.
        is_reversed: Whether the last slot comes first.
        is_repeated: Whether each slot comes twice.
    """

    refused: SlotBody | None = None
    spoiled: SlotBody | None = None
    lost: Positions | None = None
    is_reversed: bool = False
    is_repeated: bool = False

    def admit(self, request_body: bytes) -> bytes:
        """Return the request without the calls that are refused; their places and ids stay."""
        batch = _object_of(request_body)
        calls = batch.get("calls")
        if self.refused is None or not isinstance(calls, list):
            return request_body
        for position in _chosen(self.refused.positions, len(calls)):
            # No call at all: the server answers it in its place, and this answer is replaced.
            calls[position] = {"id": calls[position]["id"]} if _has_id(calls[position]) else {}
        return json.dumps(batch).encode()

    def distort(self, reply_body: bytes) -> bytes:
        """Return the reply as the client gets it; one that holds no slots is left alone."""
        reply = _object_of(reply_body)
        slots = reply.get("results")
        if self == SlotFaults() or not isinstance(slots, list):
            return reply_body
        for put in (each for each in (self.refused, self.spoiled) if each is not None):
            for position in _chosen(put.positions, len(slots)):
                slots[position]["body"] = put.body
        return json.dumps(reply | {"results": self._arranged(slots)}).encode()

    def _arranged(self, slots: list[Any]) -> list[Any]:
        lost = [] if self.lost is None else _chosen(self.lost, len(slots))
        kept = [slot for position, slot in enumerate(slots) if position not in lost]
        ordered = kept[::-1] if self.is_reversed else kept
        return [slot for slot in ordered for _ in range(2 if self.is_repeated else 1)]


def entries_of(request_body: bytes) -> int:
    """Return how many calls a batch holds; 0 for what is no batch."""
    calls = _object_of(request_body).get("calls")
    return len(calls) if isinstance(calls, list) else 0


def _object_of(body: bytes) -> dict[str, Any]:
    try:
        tree = json.loads(body)
    except ValueError:
        return {}
    return tree if isinstance(tree, dict) else {}


def _has_id(call: object) -> bool:
    return isinstance(call, dict) and "id" in call


def _chosen(positions: Positions, count: int) -> list[int]:
    everywhere = range(count)
    return [everywhere[each] for each in positions if -count <= each < count] if positions else list(everywhere)
