"""Runs a target on spoilt inputs, and keeps what broke it."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from tests.fuzz.mutator import Mutator
from tests.fuzz.targets import Target


@dataclass(slots=True)
class Finding:
    """An input that broke a target, and where."""

    text: bytes
    trace: str

    @property
    def place(self) -> str:
        """The last line of our own that was reached, and the exception: equal for equal defects, mostly."""
        lines = [
            line.strip() for line in self.trace.splitlines() if "lunora_rx/" in line or "tests/fuzz/targets" in line
        ]
        return f"{lines[-1] if lines else '?'}: {self.trace.strip().splitlines()[-1][:120]}"


@dataclass(slots=True)
class Outcome:
    """What a run came to: inputs, seconds, and one finding for each place."""

    target: str
    seed: str
    inputs: int = 0
    seconds: float = 0.0
    findings: dict[str, Finding] = field(default_factory=dict)

    def render(self) -> str:
        """One line, and the findings."""
        rate = self.inputs / self.seconds if self.seconds else 0.0
        found = [f"{place}\n    {each.text[:300]!r}" for place, each in self.findings.items()]
        head = f"{self.target:11} {self.inputs:10,} inputs {self.seconds:6.0f} s {rate:8,.0f}/s seed {self.seed}"
        return "\n".join([f"{head}: {len(found)} findings", *found])


def tell(text: str) -> None:
    """Print a line at once, as somebody may be waiting."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def inputs(target: Target, seed: str) -> Iterator[bytes]:
    """Yield spoilt inputs for ever; the same for the same seed."""
    random = Random(f"{target.name} {seed}")
    mutator = Mutator(random, target.words)
    while True:
        yield mutator.mutate(random.choice(target.seeds))


def fuzz(target: Target, *, seed: str, count: int | None = None, seconds: float | None = None) -> Outcome:
    """Run a target so often, or so long; findings do not end it."""
    outcome = Outcome(target.name, seed)
    began_at = time.monotonic()
    for text in inputs(target, seed):
        is_over = count is not None and outcome.inputs >= count
        if is_over or (seconds is not None and time.monotonic() - began_at >= seconds):
            break
        try:
            target.run(text)
        except Exception:
            finding = Finding(text, traceback.format_exc())
            outcome.findings.setdefault(finding.place, finding)
        outcome.inputs += 1
    outcome.seconds = time.monotonic() - began_at
    return outcome
