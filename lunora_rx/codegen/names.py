"""Names of the wire as names of Python: the only place that changes a spelling.

Source: ``docs/protocol.md``, section "OpenRPC document".
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from keyword import iskeyword
from unicodedata import normalize


def words(name: str) -> list[str]:
    """Return the words of a name in lower case: ``getURLOf_it`` is ``get``, ``url``, ``of``, ``it``."""
    parts = ["".join(part) for is_word, part in groupby(normalize("NFKC", name), _is_letter) if is_word]
    return [_fold(word) for part in parts for word in _humps(part)]


def pascal(name: str) -> str:
    """Return a name as that of a type: ``messages:getURL`` is ``MessagesGetUrl``; empty if it has no word."""
    return normalize("NFKC", "".join(word[0].upper() + word[1:] for word in words(name)))


def snake(name: str) -> str:
    """Return a name as that of a member: ``getURL`` is ``get_url``, ``import`` is ``import_``."""
    normal = normalize("NFKC", name)
    stem = normal.strip("_")
    before, _, after = normal.partition(stem) if stem else (normal, "", "")
    member = normalize("NFKC", f"{before}{'_'.join(words(stem))}{after}")
    return f"{member}_" if iskeyword(member) else member


def is_member(name: str) -> bool:
    """Return whether a name of the wire can be that of a member, once its case is converted.

    Two underscores in front would be mangled within a class.
    """
    member = snake(name)
    return name.isidentifier() and member.isidentifier() and not member.startswith("__")


def is_field(key: str) -> bool:
    """Return whether a key can be written as a field in the body of a class, and stay what it is."""
    return key.isidentifier() and not iskeyword(key) and not key.startswith("__") and normalize("NFKC", key) == key


class TypeNames:
    """The names of types that are taken; knows nothing of what they stand for."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def take(self, wanted: str) -> str:
        """Return the name as Python reads it, with a number behind it if it is taken or a keyword."""
        wanted = normalize("NFKC", wanted)  # two parts may make one letter where they meet
        stem = wanted if wanted.isidentifier() else f"Schema{wanted}"
        name, number = stem, 2
        while name in self._taken or iskeyword(name):
            name, number = f"{stem}{number}", number + 1
        self._taken.add(name)
        return name


def _humps(part: str) -> list[str]:
    """Split before an upper letter that follows a lower one or a digit, or that begins a word after an acronym."""
    found, start = [], 0
    for at in range(1, len(part)):
        follows = part[at + 1].islower() if at + 1 < len(part) else False
        if part[at].isupper() and (not part[at - 1].isupper() or follows):
            found.append(part[start:at])
            start = at
    return [*found, part[start:]]


def _is_letter(sign: str) -> bool:
    return sign != "_" and f"a{sign}".isidentifier()


def _fold(word: str) -> str:
    return normalize("NFKC", word.lower())
