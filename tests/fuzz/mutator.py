"""Spoils texts: by their structure where they are JSON, and byte by byte.

What it does follows from the random numbers alone, so a seed repeats it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import orjson

DEPTH = 1_000
_RAW = "@raw@"
_DEEP = b"[" * DEPTH + b"]" * DEPTH

# Spelt as no serializer would: put in the place of a marker.
RAW: Sequence[bytes] = (
    _DEEP,
    b"[" * 100_000,
    b'{"a":' * 200 + b"1" + b"}" * 200,
    b"9" * 20,
    b"-" + b"9" * 19,
    b"18446744073709551615",
    b"9" * 400,
    b"1e999",
    b"-0.0",
    b"NaN",
    b"Infinity",
    b'"\\ud800"',
    b'"\\u0000"',
    b'"\\u0024lunora.wire$"',
    b'{"a":1,"a":2,"type":"data","type":"ack"}',
    b'"\xff\xfe"',
    b"01",
    b"",
)
TAG = "$lunora.wire$"
VALUES: Sequence[Any] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    256,
    2**53,
    -(2**53),
    2**63,
    -(2**63),
    2**64 - 1,
    1.5,
    5e-324,
    1.7976931348623157e308,
    "",
    "\x00",
    "a" * 2_000,
    "\U0001f600\u2028",
    "__proto__",
    [],
    {},
    [[]],
    {"": None},
    TAG,
    [TAG],
    [TAG, "date", "x"],
    [TAG, "bigint", "1" * 1_100],
    [TAG, "map", [[1, 2, 3]]],
    [TAG, "bytes", "A==="],
    [TAG, "error", "E", 1],
    [TAG, "future", 1],
    [TAG, "url", "no scheme"],
    {"op": "insert", "key": "a", "table": "t"},
    {"$ref": "#"},
)


class Mutator:
    """Makes unlike things of likely ones.

    Args:
        random: Where every choice comes from.
        words: Names and texts that mean something to who reads them, beside those of the text itself.
    """

    def __init__(self, random: Random, words: Sequence[str] = ()) -> None:
        self._random = random
        self._words = [*words, "id", "type", "data", "error", "result", TAG]
        self._raws: list[bytes] = []

    def mutate(self, text: bytes) -> bytes:
        """Return a text with one to three changes; now and then as it was."""
        random = self._random
        for _ in range(random.choice((0, 1, 1, 1, 2, 3))):
            text = self._spoil_bytes(text) if random.random() < 0.25 else self._spoil_lines(text)
        return text

    def _spoil_lines(self, text: bytes) -> bytes:
        lines = text.split(b"\n")
        index = self._random.randrange(len(lines))
        if len(lines) > 1 and self._random.random() < 0.2:
            other = self._random.randrange(len(lines))
            change = self._random.randrange(3)
            if change == 0:
                del lines[index]
            elif change == 1:
                lines.insert(other, lines[index])
            else:
                lines[index], lines[other] = lines[other], lines[index]
        else:
            lines[index] = self._spoil_line(lines[index])
        return b"\n".join(lines)

    def _spoil_line(self, line: bytes) -> bytes:
        start = next((place for place, byte in enumerate(line[:40]) if byte in b'{["'), 0)
        head, body = line[:start], line[start:]
        try:
            tree = orjson.loads(body)
        except orjson.JSONDecodeError:
            return self._spoil_bytes(line)
        self._raws = []
        tree = self._spoil(tree)
        try:
            text = orjson.dumps(tree)
        except orjson.JSONEncodeError:
            return self._spoil_bytes(line)
        for raw in self._raws:
            text = text.replace(b'"' + _RAW.encode() + b'"', raw, 1)
        return head + text

    def _spoil(self, tree: Any) -> Any:
        """Change one place of a tree, found by a walk from its root."""
        random = self._random
        owner: Any = None
        key: Any = None
        node = tree
        while isinstance(node, dict | list) and node and (owner is None or random.random() < 0.7):
            owner = node
            key = random.choice(list(node)) if isinstance(node, dict) else random.randrange(len(node))
            node = owner[key]
        if owner is None:
            return self._instead_of(node)
        if isinstance(node, str) and node[:1] in ("{", "[") and random.random() < 0.8:
            # A text within the text, as recordings have them.
            owner[key] = self._spoil_line(node.encode()).decode(errors="backslashreplace")
            return tree
        random.choice(self._changes)(self, owner, key)
        return tree

    def _instead_of(self, node: Any) -> Any:
        random = self._random
        choice = random.randrange(7)
        if choice == 0:
            self._raws.append(random.choice(RAW))
            return _RAW
        if choice == 6 and random.random() < 0.3:
            return self._nested(node)
        if choice == 1:
            return [node]
        if choice == 2:
            return {random.choice(self._words): node}
        if choice == 3 and isinstance(node, str):
            return node + random.choice(("\x00", "x", "\U0001f600", node))
        if choice == 4:
            return random.choice(self._words)
        return random.choice(VALUES)

    def _nested(self, node: Any) -> Any:
        levels = self._random.choice((60, 70, 300, DEPTH))
        opening, closing = self._random.choice(
            ((f'{{"{self._random.choice(self._words)}":', "}"), ("[", "]"), (f'["{TAG}","arr",[', "]]"))
        )
        try:
            inner = orjson.dumps(node)
        except orjson.JSONEncodeError:
            inner = b"1"
        self._raws.append(opening.encode() * levels + inner + closing.encode() * levels)
        return _RAW

    def _replace(self, owner: Any, key: Any) -> None:
        owner[key] = self._instead_of(owner[key])

    def _drop(self, owner: Any, key: Any) -> None:
        del owner[key]

    def _copy(self, owner: Any, key: Any) -> None:
        if isinstance(owner, list):
            owner.insert(self._random.randrange(len(owner) + 1), owner[key])
        else:
            owner[self._random.choice([*owner, *self._words])] = owner[key]

    def _rename(self, owner: Any, key: Any) -> None:
        value = owner.pop(key)
        if isinstance(owner, list):
            owner.append(value)
        else:
            owner[self._random.choice(self._words)] = value

    def _swap(self, owner: Any, key: Any) -> None:
        other = self._random.choice(list(owner)) if isinstance(owner, dict) else self._random.randrange(len(owner))
        owner[key], owner[other] = owner[other], owner[key]

    def _multiply(self, owner: Any, key: Any) -> None:
        owner[key] = [owner[key]] * self._random.choice((2, 9, 300))

    _changes: Sequence[Callable[[Mutator, Any, Any], None]] = (
        _replace,
        _replace,
        _replace,
        _drop,
        _copy,
        _rename,
        _swap,
        _multiply,
    )

    def _spoil_bytes(self, text: bytes) -> bytes:
        random = self._random
        if not text:
            return bytes([random.randrange(256)])
        start = random.randrange(len(text))
        end = min(len(text), start + random.choice((1, 1, 2, 8, 60)))
        choice = random.randrange(6)
        if choice == 0:
            return text[:start]
        if choice == 1:
            return text[:start] + text[end:]
        if choice == 2:
            return text[:end] + text[start:end] + text[end:]
        if choice == 3:
            return text[:start] + bytes([text[start] ^ (1 << random.randrange(8))]) + text[start + 1 :]
        if choice == 4:
            return text[:start] + random.choice(RAW)[:300] + text[end:]
        return text[:start] + bytes([random.randrange(256)]) + text[start:]
