"""Where a new row belongs in a list of rows.

Source: ``docs/protocol.md``, section "Delta merge".
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from operator import ge, itemgetter, le, ne
from typing import Any, Final

_time_of: Final = itemgetter("_creationTime")  # runs without a line of Python for each comparison


def placement(rows: list[Any], row: Any) -> int:
    """Return where a new row belongs among ``rows``: by ``_creationTime``, after its equals."""
    created = creation_time(row)
    if created is None:
        return len(rows)
    descending = _is_descending(rows)
    for place, old in enumerate(rows):
        time = creation_time(old)
        if time is not None and (time < created if descending else time > created):
            return place
    return len(rows)


def placement_in_order(rows: list[Any], created: float) -> int:
    """Return what ``placement`` does for a row made then, in logarithmic time; ``rows`` are ``in_order``."""
    if rows and rows[0]["_creationTime"] > rows[-1]["_creationTime"]:
        return bisect_right(rows, -created, key=lambda row: -row["_creationTime"])
    return bisect_right(rows, created, key=_time_of)


def in_order(rows: list[Any]) -> bool:
    """Tell whether all rows have a numeric ``_creationTime``, and these only rise or only fall."""
    times = [row.get("_creationTime") for row in rows]
    if not set(map(type, times)) <= {int, float} or any(map(ne, times, times)):
        return False
    later = times[1:]
    return all(map(le, times, later)) or all(map(ge, times, later))


def creation_time(row: Any) -> float | None:
    """Return the numeric ``_creationTime`` of a row, or ``None``; neither a bool nor a bigint is a number."""
    time = row.get("_creationTime") if isinstance(row, dict) else None
    return time if type(time) is float or type(time) is int else None


def _is_descending(rows: list[Any]) -> bool:
    times = [time for time in map(creation_time, rows) if time is not None]
    return next((earlier > later for earlier, later in pairwise(times) if earlier != later), False)
