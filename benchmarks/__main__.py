"""``python -m benchmarks [P1 P2 ...] [--quick] [--json] [--write FILE]``."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys
from pathlib import Path

from benchmarks.measure import Row, machine, print_json, put_between

ROWS = {
    "P1": "p01",
    "P2": "p02",
    "P3": "p03",
    "P4": "p04",
    "P5": "p05",
    "P6": "p06",
    "P7": "p07",
    "P8": "p08",
    "P9": "p09",
    "P10": "p10",
    "P11": "p11",
    "P12": "p12",
    "P13": "p13",
    "P14": "p14",
    "P15": "p15",
    "START": "start",
    "LOOP1": "loops:small_frames",
    "LOOP2": "loops:large_frames",
    "LOOP3": "loops:calls",
    "PEER1": "peers:small_frames",
    "PEER2": "peers:large_frames",
    "PEER3": "peers:tagged_values",
}
_HEAD = (
    "| Row | Work | Against, in the same run | Target | Median ratio (lowest to highest) | Remark |\n"
    + "|---" * 6
    + "|"
)


def main() -> int:
    """Measure the rows asked for, and print or write their table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"rows to measure: {', '.join(ROWS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds a row (default: 5)")
    parser.add_argument("--quick", action="store_true", help="less work a round, for a first look")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table between the markers of this file")
    options = parser.parse_args()
    unknown = [row for row in options.rows if row not in ROWS]
    if unknown:
        parser.error(f"unknown row {unknown[0]!r}; there are {', '.join(ROWS)}")
    rows = [_measure(name, rounds=options.rounds, quick=options.quick) for name in options.rows or ROWS]
    table = [f"{machine()}\n", _HEAD, *(row.as_markdown() for row in rows)]
    if options.json:
        print_json(rows)
    elif options.write:
        put_between(options.write, "<!-- table -->\n", "<!-- end -->", table)
    else:
        print("\n".join(table))
    return 0


def _measure(name: str, *, rounds: int, quick: bool) -> Row:
    module, _, function = ROWS[name].partition(":")
    measure = getattr(importlib.import_module(f"benchmarks.{module}"), function or "measure")
    row: Row = asyncio.run(measure(rounds=rounds, quick=quick))
    print(f"{name}: {row.remark}", file=sys.stderr, flush=True)
    return row


if __name__ == "__main__":
    sys.exit(main())
