"""What a generated module defines: typed dicts, aliases and ids, before they are text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from lunora_rx.codegen.names import is_field
from lunora_rx.codegen.types import ANY, Type, bare_names, names_in


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a typed dict; ``key`` in the spelling of the wire."""

    key: str
    kind: Type
    is_required: bool
    text: str = ""


@dataclass(frozen=True, slots=True)
class Fields:
    """A typed dict."""

    name: str
    fields: tuple[Field, ...]
    text: str

    @property
    def is_class(self) -> bool:
        """Whether its keys can be the fields of a class: all are identifiers, and none hides a type used there."""
        used = {"NotRequired", *self.needs}
        return all(is_field(field.key) and field.key not in used for field in self.fields)

    @property
    def needs(self) -> frozenset[str]:
        """The names that it uses."""
        marks = ("NotRequired",) if any(not field.is_required for field in self.fields) else ()
        return frozenset(["TypedDict", *marks, *(name for field in self.fields for name in names_in(field.kind))])


@dataclass(frozen=True, slots=True)
class Alias:
    """Another name of a type."""

    name: str
    kind: Type
    text: str

    @property
    def needs(self) -> frozenset[str]:
        """The names that it uses."""
        return frozenset(["TypeAlias", *names_in(self.kind)])


Definition: TypeAlias = Fields | Alias


def without_idle_cycles(definitions: Iterable[Definition]) -> list[Definition]:
    """Return the definitions with ``Any`` for each alias that would be one of itself, with nothing in between.

    ``Tree = str | list[Tree]`` is a type, ``Tree = str | Tree`` is none.
    """
    kept = list(definitions)
    aliases = {each.name: each for each in kept if isinstance(each, Alias)}
    idle = _in_cycles(
        {name: [each for each in bare_names(alias.kind) if each in aliases] for name, alias in aliases.items()}
    )
    return [replace(each, kind=ANY) if isinstance(each, Alias) and each.name in idle else each for each in kept]


def _in_cycles(edges: Mapping[str, list[str]]) -> set[str]:
    """Return the nodes that are left once all are taken away that lead nowhere, or only to such."""
    waiting = {name: len(ends) for name, ends in edges.items()}
    users: dict[str, list[str]] = {name: [] for name in edges}
    for name, ends in edges.items():
        for end in ends:
            users[end].append(name)
    free = [name for name, count in waiting.items() if not count]
    for name in free:
        for user in users[name]:
            waiting[user] -= 1
            if not waiting[user]:
                free.append(user)
    return set(edges) - set(free)


def names_needed(definitions: Iterable[Definition]) -> Iterator[str]:
    """Yield every name that the definitions use."""
    for each in definitions:
        yield from each.needs
