"""The value codec: Python values to wire trees and back.

A wire tree is what JSON holds; whatever JSON cannot hold is an array that
starts with ``TAG``.  Source: ``docs/protocol.md``, section "Value codec".
"""

from __future__ import annotations

from lunora_rx.protocol.decode import _DECODERS as _DECODERS
from lunora_rx.protocol.decode import decode_parsed, decode_wire
from lunora_rx.protocol.encode import encode_for_key, encode_wire
from lunora_rx.protocol.refusal import MAX_DEPTH
from lunora_rx.protocol.tags import BIGINT_CHARACTERS, ELEMENT_SIZES, TAG

__all__ = ["TAG", "decode_parsed", "decode_wire", "encode_for_key", "encode_wire"]

# Names from before the split that tests/protocol/test_wire.py and tests/test_docs.py know; so is _DECODERS above.
_MAX_DEPTH, _BIGINT_CHARACTERS, _ELEMENT_SIZES = MAX_DEPTH, BIGINT_CHARACTERS, ELEMENT_SIZES
