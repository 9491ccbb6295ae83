"""What a run came to, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

from tests.crash.checker import Breach, acknowledged
from tests.crash.evidence import Evidence

_COUNTED = ("lost", "doubled", "out of order")
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to.

    Attributes:
        seed: Repeats it.
        writer_kills: How many writers were killed.
        server_kills: How many servers were killed, or killed themselves.
        evidence: What it left behind.
        breaches: Every broken promise.
    """

    seed: str
    writer_kills: int
    server_kills: int
    evidence: Evidence
    breaches: list[Breach]

    def count(self, kind: str) -> int:
        """Return how many writes the logs have a kind of line of."""
        return len({line.name for lines in self.evidence.logs.values() for line in lines if line.kind == kind})

    def summary(self) -> dict[str, int]:
        """Return the run in numbers."""
        found = {kind: sum(breach.kind == kind for breach in self.breaches) for kind in _COUNTED}
        return {
            "writers killed": self.writer_kills,
            "servers killed": self.server_kills,
            "composed": self.count("composed"),
            "queued": self.count("queued"),
            "acknowledged": len(acknowledged(self.evidence)),
            "carried out": sum(map(len, self.evidence.tables.values())),
            "settled by another": self._count_settled_by_another(),
            "left to another user": len(self.evidence.handed_over),
            **found,
            "other breaches": len(self.breaches) - sum(found.values()),
        }

    def render(self, **more: float) -> str:
        """Return the run as a table, with the first of its broken promises below."""
        rows = {**self.summary(), **more}
        table = "".join(f"{name:<20}{value:>12.7g}\n" for name, value in rows.items())
        breaches = "".join(f"{breach.kind}: {breach.text}\n" for breach in self.breaches[:_SHOWN])
        return f"{'seed':<20}{self.seed:>12}\n{table}{breaches}"

    def _count_settled_by_another(self) -> int:
        """Return how many writes had their verdict told to another process than their own."""
        logs = self.evidence.logs.items()
        told = {(process, line.name) for process, lines in logs for line in lines if line.kind == "settled"}
        return len({name for process, name in told if not name.startswith(f"{process}-")})
