"""The fenced blocks of the documentation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^[ >]*(?P<marks>`{3,}|~{3,}|:{3,})(?P<info>.*)$")
_HEADING = re.compile(r"^#+ (.+)$")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        page: Where it stands, such as ``docs/guide.md``.
        line: The line of its fence.
        heading: The heading that it stands under.
        language: What stands behind the fence, if anything does.
        text: What is in it.
    """

    page: str
    line: int
    heading: str
    language: str
    text: str

    @property
    def place(self) -> str:
        """Where it is, for whoever has to mend it."""
        return f"{self.page}:{self.line} ({self.language or 'no language'})"


def blocks_of(page: str) -> list[Block]:
    """Return the blocks of a page, in order; the page is named as seen from the top of the repository."""
    return blocks_in((ROOT / page).read_text(encoding="utf-8"), page)


def blocks_in(text: str, page: str) -> list[Block]:
    """Return the blocks of a text.

    Raises:
        ValueError: A fence is never closed.
    """
    found: list[Block] = []
    heading, opened, begun, inside = "", None, 0, list[str]()
    for number, line in enumerate(text.splitlines(), start=1):
        fence = _FENCE.match(line)
        if opened is None:
            if title := _HEADING.match(line):
                heading = title[1]
            if fence is not None:
                opened, begun, inside = fence, number, []
        elif fence is not None and fence["marks"].startswith(opened["marks"]) and not fence["info"].strip():
            found.append(Block(page, begun, heading, opened["info"].strip(), "\n".join([*inside, ""])))
            opened = None
        else:
            inside.append(line)
    if opened is not None:
        raise ValueError(f"{page}:{begun}: the fence is never closed")
    return found
