"""The order that is promised, checked against the order in which the server committed.

- Within a lane. After a write was reported as queued, no write to the same shard that is composed later, or reported
  as queued later, is committed before it. (But one that was sent first, and queued when no reply came, may have been
  carried out any time since.)
- From lane to lane. Who has the directory to itself adopts what all others left: what they had queued is committed
  before whatever is composed then, as far as that has a verdict before processes share the directory again. Those
  that start together may share the lanes out, and between lanes there is no order then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TypeAlias

from tests.crash.breach import Breach
from tests.crash.evidence import Evidence
from tests.crash.log import Line

Lane: TypeAlias = tuple[int, ...]
Write: TypeAlias = tuple[str, str]
"""A shard and a name."""

_BEFORE_ALL = (-1, "")


def check_lanes(evidence: Evidence) -> Iterator[Breach]:
    """Return what came too early within its lane."""
    places = _places(evidence)
    for lane, lines in _lanes(evidence).items():
        latest: dict[str, tuple[int, str]] = defaultdict(lambda: _BEFORE_ALL)
        breached: set[str] = set()
        for kind, (shard, name) in _steps(lines):
            place = places.get((shard, name))
            if place is None:
                continue  # lost, or never promised: not a matter of order
            before, which = latest[shard]
            if kind != "returned" and place < before and name not in breached:
                breached.add(name)
                yield Breach(
                    "out of order", f"lane {lane}: {name} was {kind} after {which} was queued, and came before"
                )
            if kind != "composed":
                latest[shard] = max(latest[shard], (place, name))


def check_adoption(evidence: Evidence) -> Iterator[Breach]:
    """Return what came before a write that its process had adopted."""
    places = _places(evidence)
    latest: dict[str, tuple[int, str]] = defaultdict(lambda: _BEFORE_ALL)
    for is_alone, lines in _stages(evidence).values():
        settled = {line.name for line in lines if line.kind in ("committed", "settled")}
        for kind, (shard, name) in _steps(lines):
            place = places.get((shard, name), -1)
            before, which = latest[shard]
            if is_alone and kind == "composed" and name in settled and 0 <= place < before:
                yield Breach("out of order", f"{name} came before {which}, which its process had adopted")
        for kind, (shard, name) in _steps(lines):
            if kind != "composed":
                latest[shard] = max(latest[shard], (places.get((shard, name), -1), name))


def _steps(lines: list[Line]) -> Iterator[tuple[str, Write]]:
    """Return what was ``composed`` or ``queued``, in turn; what is queued after it was sent has ``returned``."""
    shard_of: dict[str, str] = {}
    sent: set[str] = set()
    for line in lines:
        if line.kind == "composed":
            shard_of[line.name] = line.words[1]
            yield "composed", (shard_of[line.name], line.name)
        elif line.kind == "sent":
            sent.add(line.name)
        elif line.kind == "queued":
            yield "returned" if line.name in sent else "queued", (shard_of[line.name], line.name)


def _places(evidence: Evidence) -> dict[Write, int]:
    return {(shard, name): place for shard, names in evidence.tables.items() for place, name in enumerate(names)}


def _lanes(evidence: Evidence) -> dict[Lane, list[Line]]:
    """Return what was said about each lane.

    Writers that follow one another alone go on with one lane. One that shares the directory has a lane of its own, and
    perhaps another for each client.
    """
    lanes: dict[Lane, list[Line]] = defaultdict(list)
    for process, lines in evidence.logs.items():
        stage, is_alone = _stage_of(process, evidence)
        client = 0
        for line in lines:
            client += line.kind == "opening"
            lanes[(stage,) if is_alone else (stage, process, client)].append(line)
    return lanes


def _stages(evidence: Evidence) -> dict[int, tuple[bool, list[Line]]]:
    stages: dict[int, tuple[bool, list[Line]]] = {}
    for process, lines in evidence.logs.items():
        stage, is_alone = _stage_of(process, evidence)
        stages.setdefault(stage, (is_alone, []))[1].extend(lines)
    return stages


def _stage_of(process: int, evidence: Evidence) -> tuple[int, bool]:
    """Return the stage of a process and whether it was alone; the one that drains comes alone, after all others."""
    life = evidence.lives.get(process)
    last = max((each.stage for each in evidence.lives.values()), default=0)
    return (last + 1, True) if life is None else (life.stage, life.is_alone)
