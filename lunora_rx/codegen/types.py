"""Type expressions, as values: what they are made of, simplified, and which names they need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias


@dataclass(frozen=True, slots=True)
class Name:
    """A name: ``str``, ``MessagesListArgs``."""

    text: str


@dataclass(frozen=True, slots=True)
class OneOf:
    """``Literal`` of values, in the spelling of Python."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Generic:
    """A type with others in brackets: ``dict[str, Any]``."""

    head: str
    items: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class Union:
    """Types of which a value has one; made by ``union``."""

    members: tuple[Type, ...]


Type: TypeAlias = Name | OneOf | Generic | Union

ANY: Final = Name("Any")
NONE: Final = Name("None")


def union(members: Iterable[Type]) -> Type:
    """Return the union: flat, each member once, literals in one, ``None`` last, ``Any`` for all if it is among them."""
    flat = list(dict.fromkeys(each for member in members for each in _members(member)))
    if ANY in flat or not flat:
        return ANY
    values = [value for each in flat if isinstance(each, OneOf) for value in each.values]
    literal = OneOf(tuple(dict.fromkeys(values)))
    joined = dict.fromkeys(literal if isinstance(each, OneOf) else each for each in flat if each != NONE)
    kept = (*joined, *([NONE] if NONE in flat else []))
    return kept[0] if len(kept) == 1 else Union(kept)


def names_in(kind: Type) -> Iterator[str]:
    """Yield the names that a type needs, the outermost first."""
    match kind:
        case Name(text):
            yield text
        case OneOf():
            yield "Literal"
        case Generic(head, items):
            yield head
            for item in items:
                yield from names_in(item)
        case Union(members):
            for member in members:
                yield from names_in(member)


def spell(kind: Type) -> str:
    """Return the type in one line."""
    match kind:
        case Name(text):
            return text
        case OneOf(values):
            return f"Literal[{', '.join(values)}]"
        case Generic(head, items):
            return f"{head}[{', '.join(map(spell, items))}]"
        case Union(members):
            return " | ".join(map(spell, members))


def bare_names(kind: Type) -> tuple[str, ...]:
    """Return the names that a type is one of, with nothing around them."""
    return tuple(each.text for each in _members(kind) if isinstance(each, Name))


def _members(kind: Type) -> tuple[Type, ...]:
    return kind.members if isinstance(kind, Union) else (kind,)
