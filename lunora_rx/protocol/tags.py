"""The tag, and the limits of what it may introduce: what both ways of the value codec must agree on.

Source: ``docs/protocol.md``, section "Value codec".
"""

from __future__ import annotations

import binascii
import re
from datetime import UTC, datetime
from typing import Final

from lunora_rx.protocol.refusal import refused

__all__ = [
    "BIGINT_CHARACTERS",
    "ELEMENT_SIZES",
    "EPOCH",
    "MAX_INT",
    "MIN_INT",
    "SCHEME",
    "TAG",
    "base64",
    "check_alignment",
]

TAG: Final = "$lunora.wire$"
"""First element of every array that stands for something else."""

MAX_INT: Final = 2**53 - 1
"""Greatest integer that is written as a number of JSON."""

MIN_INT: Final = -MAX_INT
"""Least integer that is written as a number of JSON."""

BIGINT_CHARACTERS: Final = 1024
"""How long the digits of a bigint may be, its sign included."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""The instant that dates count milliseconds from."""

SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
"""What a url starts with."""

ELEMENT_SIZES: Final = {
    "ArrayBuffer": 1,
    "Int8Array": 1,
    "Uint8Array": 1,
    "Uint8ClampedArray": 1,
    "Int16Array": 2,
    "Uint16Array": 2,
    "Int32Array": 4,
    "Uint32Array": 4,
    "Float32Array": 4,
    "Float64Array": 8,
    "BigInt64Array": 8,
    "BigUint64Array": 8,
}
"""Bytes in one element of each kind of typed array."""


def base64(data: bytes) -> str:
    """Return the canonical base64 of bytes."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def check_alignment(data: bytes, size: int, kind: str) -> None:
    """Check that bytes are whole elements.

    Raises:
        Refusal: They end inside an element.
    """
    if len(data) % size:
        raise refused(f"the length of a {kind} must be a multiple of {size}", data)
