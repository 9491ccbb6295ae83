"""Text on its way to a terminal or a pipe."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from lunora_rx.core.recap import wire_tree
from lunora_rx.errors import CodecError
from lunora_rx.protocol.text import serialize, spell
from lunora_rx.protocol.wire import encode_wire


def printable(text: str) -> str:
    """Return a text with nothing in it that steers a terminal."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def encodable(text: str) -> str:
    """Return a text that UTF-8 has: a lone surrogate is spelled out."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return how many there are of something: ``1 row``, ``1,200 rows``; the plural where an s does not make it."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def json_text(value: object) -> str:
    """Return a value in wire form, as JSON in one line: plain where JSON has it, tagged where it does not.

    What steers a terminal is escaped, which in JSON means the same. Source: ``docs/protocol.md``, section
    "Value codec".
    """
    try:
        text = serialize(encode_wire(value)).decode()
    except CodecError:
        text = spell(wire_tree(value))  # what cannot be sent again, such as a lone surrogate, can be shown
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def write_line(value: Any) -> None:
    """Write a value to the standard output, as one line of JSON, and flush it."""
    sys.stdout.write(f"{json_text(value)}\n")
    sys.stdout.flush()


def write_pretty(value: Any) -> None:
    """Write a value to a terminal as indented JSON, in colour."""
    from rich.console import Console

    Console().print_json(json_text(value))


def complain(command: str, text: str) -> None:
    """Write what went wrong to the standard error; lines stay lines, anything else that steers is spelled out."""
    lines = [printable(line) for line in text.splitlines()]
    encoding = sys.stderr.encoding or "utf-8"
    message = f"lunora-rx {command}: " + "\n".join(lines)
    print(message.encode(encoding, "backslashreplace").decode(encoding), file=sys.stderr, flush=True)


def without_fonts(svg: str) -> str:
    """Return a picture of a terminal that loads no font from elsewhere, as those of rich do: there are others."""
    return re.sub(r"\s*@font-face \{[^}]*\}", "", svg)
