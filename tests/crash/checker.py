"""The verdict over a run: nothing acknowledged is lost, nothing is carried out twice, order is kept in each lane.

The promises, as they are checked (``docs/protocol.md``, section "Offline queue"):

- A write that was reported as queued, committed or settled is in its shard's table, once; none is rejected.
- No other row is there than of writes that were composed, and each of those at most once.
- Order is kept, as ``order.py`` says.
- One process reports each write as settled at most once.
- In the end the queue on disk is empty, nothing was found damaged, and no writer printed a traceback.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.crash.breach import Breach
from tests.crash.evidence import Evidence
from tests.crash.log import Line
from tests.crash.order import check_adoption, check_lanes


def check(evidence: Evidence) -> list[Breach]:
    """Return every broken promise."""
    checks = (_presence, _origins, check_lanes, check_adoption, _verdicts, _ends)
    return [breach for each in checks for breach in each(evidence)]


def acknowledged(evidence: Evidence) -> set[str]:
    """Return the names of the writes that some process was told to be safe."""
    kinds = {"queued", "committed", "settled"}
    return {line.name for line in _lines(evidence) if line.kind in kinds}


def _presence(evidence: Evidence) -> Iterator[Breach]:
    counts = Counter(name for names in evidence.tables.values() for name in names)
    for name in sorted(acknowledged(evidence) - counts.keys()):
        yield Breach("lost", f"{name} was acknowledged ({_story(evidence, name)}) and is in no table")
    for name, count in counts.items():
        if count > 1:
            yield Breach("doubled", f"{name} was carried out {count} times ({_story(evidence, name)})")


def _origins(evidence: Evidence) -> Iterator[Breach]:
    shard_of = {line.name: line.words[1] for line in _lines(evidence) if line.kind == "composed"}
    for shard, names in evidence.tables.items():
        for name in names:
            if shard_of.get(name) != shard:
                yield Breach("foreign", f"{name} is in shard {shard!r} and was composed for {shard_of.get(name)!r}")


def _verdicts(evidence: Evidence) -> Iterator[Breach]:
    for process, lines in evidence.logs.items():
        told = Counter(line.name for line in lines if line.kind == "settled")
        for name, count in told.items():
            if count > 1:
                yield Breach("told twice", f"process {process} was told {count} times that {name} is settled")
        for line in lines:
            if line.kind == "rejected" or (line.kind == "settled" and line.words[1] != "committed"):
                yield Breach("rejected", f"process {process}: {line.kind} {' '.join(line.words)}")
            elif line.kind == "trouble":
                yield Breach("trouble", f"process {process}: {' '.join(line.words)}")


def _ends(evidence: Evidence) -> Iterator[Breach]:
    for name in evidence.left:
        yield Breach("left", f"{name} is still in the queue ({_story(evidence, name)})")
    for text in evidence.crashes:
        yield Breach("crashed", text)
    for name in evidence.damaged:
        yield Breach("damaged", f"{name} was set aside")
    if not any(line.kind == "drained" for line in _lines(evidence)):
        yield Breach("stuck", "the last writer never came to an end")


def _lines(evidence: Evidence) -> Iterator[Line]:
    for lines in evidence.logs.values():
        yield from lines


def _story(evidence: Evidence, name: str) -> str:
    """Return what was said about a write: ``3 composed, 3 queued, 4 settled``, with the process before each."""
    said = ((process, line) for process, lines in evidence.logs.items() for line in lines if line.words)
    return ", ".join(f"{process} {line.kind}" for process, line in said if line.name == name)
