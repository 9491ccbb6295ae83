"""Stable keys: one canonical text for equal values.

Source: ``docs/protocol.md``, section "Stable key".
"""

from __future__ import annotations

from lunora_rx.protocol.key_text import stable_key_of_tree
from lunora_rx.protocol.wire import encode_for_key

__all__ = ["stable_key_of_tree", "stable_wire_key", "subscription_key", "subscription_key_of_tree"]


def stable_wire_key(value: object) -> str:
    """Return the canonical JSON text of a value's wire form.

    Raises:
        CodecError: The value has no wire form.
    """
    return stable_key_of_tree(encode_for_key(value))


def subscription_key(function_path: str, args: object = None, shard: str | None = None) -> str:
    """Return the key under which a subscription, a cached read or a preloaded value is known.

    Args:
        function_path: ``"file:function"``.
        args: The arguments, not encoded; ``None`` means none, which is ``{}``.
        shard: The shard key; ``None`` and ``""`` both name the default shard.

    Raises:
        CodecError: The arguments have no wire form.
    """
    tree = {} if args is None else encode_for_key(args, root="args")
    return subscription_key_of_tree(function_path, tree, shard)


def subscription_key_of_tree(function_path: str, args_tree: object, shard: str | None = None) -> str:
    """Return the same key as ``subscription_key`` from arguments that are encoded already."""
    return f"{function_path}::{stable_key_of_tree(args_tree)}::{shard or ''}"
