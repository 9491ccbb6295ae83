"""Numbers that sort rows into the order of their list, where rows are known by their keys."""

from __future__ import annotations

__all__ = ["Order"]

_CLOSEST = 1e-6
"""How near to each other two numbers may come before all rows get new ones."""


class Order:
    """A number for each key; of a list that changes, few get another one.

    Keys that come get a number between those of their neighbours. When keys that were there have changed places, all
    are numbered anew.
    """

    def __init__(self) -> None:
        self._keys: list[str] = []
        self._numbers: dict[str, float] = {}

    def __getitem__(self, key: str) -> float:
        """The number of a key of the list."""
        return self._numbers[key]

    def follow(self, keys: list[str]) -> list[str]:
        """Take the keys of a list as they stand now, and return those that were there and got another number."""
        if keys == self._keys:
            return []
        before = self._numbers
        numbers = _between([before.get(key) for key in keys]) or [float(place) for place in range(len(keys))]
        self._keys, self._numbers = [*keys], dict(zip(keys, numbers, strict=True))
        return [key for key, number in self._numbers.items() if before.get(key, number) != number]


def _between(known: list[float | None]) -> list[float] | None:
    """Fill the gaps so that numbers grow; ``None`` where those that are known do not, or stand too close."""
    numbers: list[float] = []
    missing, last = 0, None
    for number in known:
        if number is None:
            missing += 1
            continue
        if missing or last is not None:
            step = 1.0 if last is None else (number - last) / (missing + 1)
            if step < _CLOSEST:
                return None
            numbers += [number - step * left for left in range(missing, 0, -1)]
        numbers.append(number)
        missing, last = 0, number
    start = 0.0 if last is None else last + 1
    return [*numbers, *(start + place for place in range(missing))]
