"""``python -m tests.crash --kills 200 --seed 7``: a run, with a table of what it came to."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.crash.harness import run


def main() -> int:
    """Run, print, and return how many promises were broken, at most 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="how many writers are killed")
    parser.add_argument("--seed", default=str(random.randrange(2**32)), help="repeats a run")
    parser.add_argument("--keep", type=Path, help="an empty directory for what the run leaves behind")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        began = time.monotonic()
        outcome = run(options.keep or Path(temporary), seed=options.seed, kills=options.kills)
        sys.stdout.write(outcome.render(seconds=time.monotonic() - began))
    return int(bool(outcome.breaches))


if __name__ == "__main__":
    sys.exit(main())
