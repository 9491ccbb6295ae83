"""What a ``$ref`` means: a part of the document, or of the schema it stands in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from lunora_rx.codegen.document import DocumentError

_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a schema stands, and what may stand for it.

    Attributes:
        root: The outermost schema around it; ``None`` among the components of the document.
        root_name: Where that is, for messages.
        path: Where the schema is in it: ``.properties.text``.
        hint: Name of the type, if it needs one.
        depth: How many schemas are around it.
        is_args: Whether it stands in the arguments themselves, and not in an object among them.
    """

    root: Any
    root_name: str
    path: str = ""
    hint: str = ""
    depth: int = 0
    is_args: bool = False

    def inner(self, part: str, *, hint: str | None = None) -> Place:
        """Return the place of a schema in this one."""
        name = self.hint if hint is None else hint
        return replace(self, path=f"{self.path}.{part}", hint=name, depth=self.depth + 1)

    def error(self, wanted: str) -> DocumentError:
        """Return the error that says what must be here."""
        where = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in f"{self.root_name}{self.path}")
        return DocumentError(f"{where} must be {wanted}")


class Target(NamedTuple):
    """What a pointer leads to.

    Attributes:
        key: The same for the same definition.
        schema: The definition; ``True`` if it is in another document.
        place: Where it stands, without a hint.
        name: The last part of the pointer.
    """

    key: str
    schema: Any
    place: Place
    name: str


class References:
    """The definitions of one document, found by pointer."""

    def __init__(self, document: object) -> None:
        self._document = document

    def resolve(self, pointer: object, place: Place) -> Target:
        """Return what a pointer leads to: a part of the document, or else of the schema around the place.

        Raises:
            DocumentError: There is nothing behind the pointer.
        """
        if not isinstance(pointer, str):
            raise place.inner("$ref").error("a text such as '#/components/schemas/Message'")
        parts = [unquote(part).replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/")[1:]]
        name = parts[-1] if parts else ""
        if not pointer.startswith("#"):
            return Target(pointer, True, place, name)
        schema = _find(self._document, parts) if parts else _MISSING
        if schema is not _MISSING:
            return Target(pointer, schema, Place(None, "", pointer), name)
        schema = _MISSING if place.root is None else _find(place.root, parts)
        if schema is _MISSING:
            raise place.inner("$ref").error(f"a part of this document, and {pointer!r} is none")
        return Target(f"{place.root_name}{pointer}", schema, Place(place.root, place.root_name, pointer), name)

    def follow(self, schema: Any, place: Place) -> Any:
        """Return the schema that is meant, through as many references as there are; ``True`` if they lead nowhere."""
        seen: set[str] = set()
        while isinstance(schema, Mapping) and "$ref" in schema:
            target = self.resolve(schema["$ref"], place)
            if target.key in seen:
                return True
            seen.add(target.key)
            schema, place = target.schema, target.place
        return schema


def _find(tree: Any, parts: Sequence[str]) -> Any:
    for part in parts:
        if isinstance(tree, Mapping) and part in tree:
            tree = tree[part]
        elif isinstance(tree, list) and part.isascii() and part.isdigit() and int(part) < len(tree):
            tree = tree[int(part)]
        else:
            return _MISSING
    return tree
