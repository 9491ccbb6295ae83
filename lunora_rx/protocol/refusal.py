"""Why the value codec refuses a value, and where in the whole it stands.

A path is put together only while a refusal unwinds.  Source:
``docs/protocol.md``, section "Value codec".
"""

from __future__ import annotations

import re
from json import dumps as _quote
from typing import Final

from lunora_rx.errors import CodecError
from lunora_rx.protocol.conversions import conversion_of, kind_of

__all__ = ["MAX_DEPTH", "Refusal", "field_step", "no_wire_form", "one_deeper", "refused", "too_deep"]

MAX_DEPTH: Final = 64
"""How many containers a value may be inside of."""

_PLAIN_KEY: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")


class Refusal(Exception):
    """A value is refused: the reason, and the steps to it as far as they are unwound, innermost first."""

    def __init__(self, reason: str, *steps: str | int) -> None:
        self.reason = reason
        self.steps = list(steps)

    def error(self, root: str, *, code: str | None = None) -> CodecError:
        """Return what the caller of the codec is told; ``root`` is what the path starts with."""
        path = "".join(f"[{step}]" if isinstance(step, int) else step for step in reversed(self.steps))
        return CodecError(self.reason, path=root + path, code=code)


def refused(reason: str, value: object) -> Refusal:
    """Return the refusal of a value, which is named by its type alone."""
    return Refusal(f"{reason}, got {kind_of(value)}")


def no_wire_form(value: object, reason: str = "this type has no wire form") -> Refusal:
    """Return the refusal of a value because of its type, with what to convert it to, where that is known."""
    refusal, conversion = refused(reason, value), conversion_of(value)
    if conversion is not None:
        refusal.reason += f"; {conversion}"
    return refusal


def too_deep(*steps: str | int) -> Refusal:
    """Return the refusal of what stands too deep, the steps innermost first."""
    return Refusal(f"nested deeper than {MAX_DEPTH} levels", *steps)


def one_deeper(depth: int) -> int:
    """Return the depth of what is inside.

    Raises:
        Refusal: That is too deep.
    """
    if depth >= MAX_DEPTH:
        raise too_deep()
    return depth + 1


def field_step(key: str) -> str:
    """Return the step from an object to its field, spelled as JavaScript would."""
    return f".{key}" if _PLAIN_KEY.fullmatch(key) else f"[{_quote(key)}]"
