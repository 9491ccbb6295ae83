"""``python -m tests.fuzz [TARGET ...] [--seconds S | --inputs N] [--frames N] [--seed SEED] [--engine atheris]``.

Without a target every one has its turn; ``live`` is a whole client, which is sent ``--frames`` spoilt ones.
"""

from __future__ import annotations

import argparse
import random
import sys

from tests.fuzz.engine import fuzz, tell
from tests.fuzz.live import play
from tests.fuzz.targets import TARGETS


def main() -> int:
    """Fuzz, print what it came to, and return 1 if anything broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"{', '.join(TARGETS)}, live (default: all)")
    parser.add_argument("--seconds", type=float, help="how long each target runs (default: 10)")
    parser.add_argument("--inputs", type=int, help="how many inputs each target gets, instead")
    parser.add_argument("--frames", type=int, default=1_000_000, help="how many frames the live client gets")
    parser.add_argument("--seed", default=str(random.randrange(2**32)), help="repeats a run")
    parser.add_argument("--engine", choices=("mutator", "atheris"), default="mutator", help="who makes the inputs")
    options = parser.parse_args()
    unknown = [name for name in options.targets if name not in (*TARGETS, "live")]
    if unknown:
        parser.error(f"unknown target {unknown[0]!r}; there are {', '.join(TARGETS)}, live")
    names = options.targets or [*TARGETS, *(["live"] if options.engine == "mutator" else [])]
    broken = 0
    for name in names:
        broken += _run(name, options)
    return int(bool(broken))


def _run(name: str, options: argparse.Namespace) -> int:
    if options.engine == "atheris":
        from tests.fuzz.guided import run

        return run(name, seconds=options.seconds or 10, inputs=options.inputs, seed=options.seed)
    if name == "live":
        told = play(options.frames, seed=options.seed)
        tell(told.render())
        return len(told.problems)
    seconds = None if options.inputs else options.seconds or 10
    outcome = fuzz(TARGETS[name], seed=options.seed, count=options.inputs, seconds=seconds)
    tell(outcome.render())
    return len(outcome.findings)


if __name__ == "__main__":
    sys.exit(main())
