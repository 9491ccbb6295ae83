"""The verdict over a run: nothing acknowledged is lost, nothing is carried out twice, order is kept in each lane.

The promises, as they are checked (``docs/protocol.md``, section "Offline queue"):

- A write that was reported as queued, committed or settled is in its shard's table, once; none is rejected. But what
  is still in the queue when the directory passes to another user may be rejected by that user's processes, each with
  the code for it, and then it is in no table, or was carried out before.
- Each row is there for the user of the process that composed it.
- When all is at rest, live queries show the latest rows of the tables; and never is anything shown to one user that the
  server told another.
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
from tests.crash.server import LATEST

_FOREIGN = ("rejected", "OFFLINE_IDENTITY_CHANGED")


def check(evidence: Evidence) -> list[Breach]:
    """Return every broken promise."""
    checks = (_presence, _origins, _authors, _screens, check_lanes, check_adoption, _verdicts, _ends)
    return [breach for each in checks for breach in each(evidence)]


def acknowledged(evidence: Evidence) -> set[str]:
    """Return the names of the writes that some process was told to be safe."""
    kinds = {"queued", "committed", "settled"}
    return {line.name for line in _lines(evidence) if line.kind in kinds}


def _presence(evidence: Evidence) -> Iterator[Breach]:
    counts = Counter(name for names in evidence.tables.values() for name in names)
    for name in sorted(acknowledged(evidence) - counts.keys() - evidence.handed_over):
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


def _authors(evidence: Evidence) -> Iterator[Breach]:
    for name, author in evidence.authors.items():
        user = _user_of(evidence, _process_of(name))
        if author != user:
            yield Breach("wrong user", f"{name} of {user} was carried out for {author} ({_story(evidence, name)})")


def _screens(evidence: Evidence) -> Iterator[Breach]:
    for shard, *shown in (line.words for line in _lines(evidence) if line.kind == "shown"):
        latest = evidence.tables.get(shard, [])[: -LATEST - 1 : -1]
        expected = [f"{name}/{evidence.authors[name]}" for name in latest]
        if shown != expected:
            yield Breach("not shown", f"shard {shard!r} showed {shown}, the server had {expected}")


def _verdicts(evidence: Evidence) -> Iterator[Breach]:
    for process, lines in evidence.logs.items():
        told = Counter(line.name for line in lines if line.kind == "settled")
        for name, count in told.items():
            if count > 1:
                yield Breach("told twice", f"process {process} was told {count} times that {name} is settled")
        for line in lines:
            is_rejected = line.kind == "rejected" or (line.kind == "settled" and line.words[1] != "committed")
            if is_rejected and not _is_left_by_another(evidence, process, line):
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


def _is_left_by_another(evidence: Evidence, process: int, line: Line) -> bool:
    """Tell whether a process may reject a write: it is another user's, and was in the queue when that one left."""
    is_foreign = _user_of(evidence, _process_of(line.name)) != _user_of(evidence, process)
    return line.words[1:] == _FOREIGN and is_foreign and line.name in evidence.handed_over


def _user_of(evidence: Evidence, process: int) -> str:
    """Return whose a process was; the one that drains is the user's to whom the directory had come in the end."""
    lives = evidence.lives
    return lives.get(process, lives[max(lives)]).user


def _process_of(name: str) -> int:
    return int(name.partition("-")[0])


def _lines(evidence: Evidence) -> Iterator[Line]:
    for lines in evidence.logs.values():
        yield from lines


def _story(evidence: Evidence, name: str) -> str:
    """Return what was said about a write: ``3 composed, 3 queued, 4 settled``, with the process before each."""
    said = ((process, line) for process, lines in evidence.logs.items() for line in lines if line.words)
    return ", ".join(f"{process} {line.kind}" for process, line in said if line.name == name)
