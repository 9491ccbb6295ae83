"""The value codec: Python values to wire trees and back.

A wire tree is what JSON holds; whatever JSON cannot hold is an array that
starts with ``TAG``.  Source: ``docs/protocol.md``, section "Value codec".
"""

from __future__ import annotations

from lunora_rx.protocol.decode import decode_parsed, decode_wire
from lunora_rx.protocol.encode import encode_for_key, encode_wire
from lunora_rx.protocol.tags import TAG

__all__ = ["TAG", "decode_parsed", "decode_wire", "encode_for_key", "encode_wire"]
