"""The language of the wire: values, their texts and their keys; no state, no I/O."""

from lunora_rx.errors import CodecError
from lunora_rx.protocol.keys import stable_wire_key, subscription_key
from lunora_rx.protocol.text import dumps, loads
from lunora_rx.protocol.values import (
    UNDEFINED,
    Undefined,
    WireBigInt,
    WireBytes,
    WireDate,
    WireError,
    WireMap,
    WireSet,
    WireUrl,
)
from lunora_rx.protocol.wire import decode_wire, encode_wire

__all__ = [
    "UNDEFINED",
    "CodecError",
    "Undefined",
    "WireBigInt",
    "WireBytes",
    "WireDate",
    "WireError",
    "WireMap",
    "WireSet",
    "WireUrl",
    "decode_wire",
    "dumps",
    "encode_wire",
    "loads",
    "stable_wire_key",
    "subscription_key",
]
