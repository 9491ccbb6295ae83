"""The text of a stable key: one canonical JSON text for equal wire trees.

Source: ``docs/protocol.md``, section "Stable key".  The texts are compared and
stored, never sent as a body, so a key may hold what UTF-8 cannot carry only in
its escaped spelling.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

from lunora_rx.protocol.tags import MAX_INT, MIN_INT

__all__ = ["stable_key_of_tree"]

_quote = json.JSONEncoder(ensure_ascii=False).encode
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_POSITIONAL_LIMIT: Final = 21


def stable_key_of_tree(tree: Any) -> str:
    """Return the canonical JSON text of a tree that ``encode_wire`` has made."""
    kind = type(tree)
    if kind is str:
        return _text(tree)
    if kind is dict:
        fields = [f"{_text(key)}:{stable_key_of_tree(tree[key])}" for key in sorted(tree, key=_utf16)]
        return "{" + ",".join(fields) + "}"
    if kind is list:
        return "[" + ",".join([stable_key_of_tree(item) for item in tree]) + "]"
    if kind is bool:
        return "true" if tree else "false"
    return "null" if tree is None else _number(tree)


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-be", "surrogatepass")


def _text(text: str) -> str:
    quoted = _quote(text)
    return quoted if quoted.isascii() else _SURROGATE.sub(_escaped, quoted)


def _escaped(surrogate: re.Match[str]) -> str:
    return f"\\u{ord(surrogate[0]):04x}"


def _number(value: float) -> str:
    """Spell a number as ECMAScript does, but negative zero as ``-0``."""
    if isinstance(value, int) and MIN_INT <= value <= MAX_INT:
        return int.__repr__(value)
    sign = "-" if math.copysign(1, value) < 0 else ""
    return sign + (_magnitude(*_digits(abs(float(value)))) if value else "0")


def _digits(value: float) -> tuple[str, int]:
    """Return digits d and a position n such that 0.d times ten to the n is the value, shortest d."""
    mantissa, _, exponent = repr(value).partition("e")
    whole, _, fraction = mantissa.partition(".")
    padded = (whole + fraction).rstrip("0")
    digits = padded.lstrip("0")
    return digits, len(whole) + int(exponent or 0) - (len(padded) - len(digits))


def _magnitude(digits: str, point: int) -> str:
    if len(digits) <= point <= _POSITIONAL_LIMIT:
        return digits.ljust(point, "0")
    if 0 < point <= _POSITIONAL_LIMIT:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{point - 1:+d}"
