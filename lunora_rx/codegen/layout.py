"""Definitions as text: lines of at most 88 columns where that can be, always the same for the same definitions."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from lunora_rx.codegen.definitions import Alias, Definition, Field, Fields
from lunora_rx.codegen.types import NONE, Generic, Name, OneOf, Type, Union, names_in, spell

WIDTH: Final = 88
INDENT: Final = "    "


def quote(text: str) -> str:
    """Return a text as Python spells it, in quotation marks that need the fewest escapes."""
    mark = "'" if '"' in text and "'" not in text else '"'
    return mark + "".join(_escape(sign, mark) for sign in text) + mark


def docstring(text: str, indent: str = "") -> list[str]:
    """Return the lines of a docstring; none for an empty text."""
    if not text.strip():
        return []
    lines = [_document(line.rstrip()) for line in text.strip().splitlines()]
    body = [lines[0], *(f"{indent}{line}" if line else "" for line in lines[1:])]
    if body[-1].endswith('"'):
        body[-1] = f'{body[-1][:-1]}\\"'
    if len(body) == 1:
        return [f'{indent}"""{body[0]}"""']
    return [f'{indent}"""{body[0]}', *body[1:], f'{indent}"""']


def definition_lines(definition: Definition, defined: Collection[str]) -> list[str]:
    """Return the lines of a definition; what uses a name that is not yet defined stands in quotation marks."""
    if isinstance(definition, Alias):
        return [*_assigned(definition, defined), *docstring(definition.text)]
    if definition.is_class:
        return _class_lines(definition)
    return [*_called(definition, defined), *docstring(definition.text)]


def is_solid(definition: Definition, defined: Collection[str]) -> bool:
    """Return whether the name of a definition is a type while the module runs, fit to be joined by ``|``."""
    if isinstance(definition, Fields):
        return True
    return definition.kind != NONE and not _is_ahead(definition.kind, defined)


def annotation(head: str, kind: Type, tail: str = "", *, indent: str = INDENT) -> list[str]:
    """Return ``head`` and a type, in one line or, where that is too long, in several."""
    line = f"{indent}{head}{spell(kind)}{tail}"
    if len(line) <= WIDTH or isinstance(kind, Name):
        return [line]
    if isinstance(kind, Union):
        return [f"{indent}{head}(", *_alternatives(kind, indent + INDENT), f"{indent}){tail}"]
    name, items = _bracketed(kind)
    comma = "," if len(items) > 1 else ""
    inner = [line for item in items for line in _item(item, comma, indent + INDENT)]
    return [f"{indent}{head}{name}[", *inner, f"{indent}]{tail}"]


def _item(item: Type | str, comma: str, indent: str) -> list[str]:
    if isinstance(item, str):
        return [f"{indent}{item}{comma}"]
    if isinstance(item, Union) and len(indent + spell(item) + comma) > WIDTH:
        lines = _alternatives(item, indent)
        return [*lines[:-1], f"{lines[-1]}{comma}"]
    return annotation("", item, comma, indent=indent)


def _alternatives(kind: Union, indent: str) -> list[str]:
    first, *others = kind.members
    return [
        *annotation("", first, indent=indent),
        *(line for each in others for line in annotation("| ", each, indent=indent)),
    ]


def _bracketed(kind: OneOf | Generic) -> tuple[str, tuple[Type | str, ...]]:
    return ("Literal", kind.values) if isinstance(kind, OneOf) else (kind.head, kind.items)


def _assigned(alias: Alias, defined: Collection[str]) -> list[str]:
    head = f"{alias.name}: TypeAlias = "
    if _is_ahead(alias.kind, defined):
        return [f"{head}{quote(spell(alias.kind))}"]
    return annotation(head, alias.kind, indent="")


def _class_lines(fields: Fields) -> list[str]:
    about = docstring(fields.text, INDENT)
    lines = [f"class {fields.name}(TypedDict):", *about, *([""] if about and fields.fields else [])]
    for field in fields.fields:
        lines += [*annotation(f"{field.key}: ", _marked(field)), *docstring(field.text, INDENT)]
    return lines if about or fields.fields else [*lines, f"{INDENT}pass"]


def _called(fields: Fields, defined: Collection[str]) -> list[str]:
    lines = [f"{fields.name} = TypedDict(", f"{INDENT}{quote(fields.name)},", f"{INDENT}{{"]
    for field in fields.fields:
        kind = _marked(field)
        lines += [f"{INDENT * 2}# {_document(line)}".rstrip() for line in field.text.strip().splitlines()]
        head = f"{quote(field.key)}: "
        if _is_ahead(kind, defined):
            lines.append(f"{INDENT * 2}{head}{quote(spell(kind))},")
        else:
            lines += annotation(head, kind, ",", indent=INDENT * 2)
    return [*lines, f"{INDENT}}},", ")"]


def _marked(field: Field) -> Type:
    return field.kind if field.is_required else Generic("NotRequired", (field.kind,))


def _is_ahead(kind: Type, defined: Collection[str]) -> bool:
    return any(name not in defined for name in names_in(kind))


def _escape(sign: str, mark: str) -> str:
    if sign in ("\\", mark):
        return f"\\{sign}"
    return sign if sign.isprintable() else _code(sign)


def _document(line: str) -> str:
    text = "".join(_escape(sign, "\\") if sign != "\t" else INDENT for sign in line)
    return text.replace('"""', r"\"\"\"")


def _code(sign: str) -> str:
    return sign.encode("unicode_escape", "surrogatepass").decode("ascii")


def joined(blocks: Iterable[list[str]], *, blank: int) -> list[str]:
    """Return the lines of blocks, with blank lines between them."""
    lines: list[str] = []
    for block in blocks:
        lines += [*([""] * blank if lines else []), *block]
    return lines
