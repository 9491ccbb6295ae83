"""``python -m tests.faults.loaded``: every row of the fault matrix, several times in a row, on a machine that is busy.

As many processes as there are cores do nothing but compute while ``pytest --faults-table`` runs, so that everything is
late: timers, replies, the threads of the disk. A run counts if all its tests pass and each row has one that did.
``docs/faults.md`` is left as it is.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]

_BUSY = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: sum(range(10**6))"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the matrix as often as is asked for, and tell how each run went; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.loaded", description=__doc__)
    parser.add_argument("--times", type=int, default=3, help="how many runs, one after another (default: 3)")
    parser.add_argument("--busy", type=int, default=os.cpu_count() or 1, help="how many loops (default: one a core)")
    parser.add_argument("rest", nargs="*", help="more arguments of pytest, after --")
    chosen = parser.parse_args(arguments)
    with kept_busy(chosen.busy):
        runs = [run(chosen.rest) for _ in range(chosen.times)]
    for number, (code, seconds) in enumerate(runs, start=1):
        sys.stdout.write(f"run {number} beside {chosen.busy} busy loops: {_outcome(code)} after {seconds:.0f} s\n")
    return max(code for code, _ in runs)


@contextmanager
def kept_busy(count: int) -> Iterator[None]:
    """Let processes compute meanwhile; they end with this one too, however it ends."""
    loops = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def run(rest: Sequence[str]) -> tuple[int, float]:
    """Run the matrix once; return the exit code and the seconds."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        page = shutil.copy(ROOT / "docs" / "faults.md", place)
        command = [sys.executable, "-m", "pytest", "-n", "auto", "tests", "--faults-table", str(page), *rest]
        code = subprocess.run(command, cwd=ROOT, env={"SLOW": "1", **os.environ}).returncode
    return code, time.monotonic() - began


def _outcome(code: int) -> str:
    return "every row green" if code == 0 else f"FAILED with code {code}"


if __name__ == "__main__":
    sys.exit(main())
