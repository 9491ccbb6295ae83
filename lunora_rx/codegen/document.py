"""The OpenRPC document, read: its methods, checked, sorted and with names that do not collide.

Source: ``docs/protocol.md``, section "OpenRPC document".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, cast

from lunora_rx.codegen.names import is_member, pascal, snake

FunctionKind: TypeAlias = Literal["query", "mutation", "action"]

_SHOWN: Final = 20


class DocumentError(ValueError):
    """A document that no module can be generated from.

    Attributes:
        problems: What is wrong, one sentence each, which says where.
    """

    def __init__(self, *problems: str) -> None:
        more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        super().__init__("\n".join([*problems[:_SHOWN], *more]))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Method:
    """A function of the deployment.

    Attributes:
        path: ``"file:function"``, as it goes over the wire.
        kind: How it is called.
        args: Schema of its arguments, an object.
        needs_args: What the document says of them, where the schema does not.
        result: Schema of what it gives.
        text: What it does, in the words of the document.
        codes: The codes of the errors that it declares.
        place: Where it stands in the document, for messages.
    """

    path: str
    kind: FunctionKind
    args: Any
    needs_args: bool
    result: Any
    text: str
    codes: tuple[str, ...]
    place: str

    @property
    def members(self) -> tuple[str, ...]:
        """Where it stands in ``api``: ``("admin", "users", "list")`` of ``admin/users:list``."""
        namespace, _, function = self.path.partition(":")
        return tuple(snake(each) for each in [*namespace.split("/"), function])

    @property
    def type_stem(self) -> str:
        """What the names of its types begin with: ``AdminUsersList``."""
        stem = pascal(self.path)
        return stem if not stem or stem.isidentifier() else f"Functions{stem}"


def read_title(document: object) -> str:
    """Return the title of a document, or an empty text."""
    info = document.get("info") if isinstance(document, Mapping) else None
    return _text(info, "title") if isinstance(info, Mapping) else ""


def read_methods(document: object) -> list[Method]:
    """Return the methods, sorted by namespace and function.

    Raises:
        DocumentError: It is no OpenRPC document, or two names cannot stand beside each other.
    """
    methods, problems = split_methods(document)
    problems += _collisions(methods)
    if problems:
        raise DocumentError(*problems)
    return methods


def split_methods(document: object) -> tuple[list[Method], list[str]]:
    """Return the methods that can be read, sorted by namespace and function, and what is wrong with the others.

    Raises:
        DocumentError: It is no OpenRPC document.
    """
    if not isinstance(document, Mapping) or not isinstance(document.get("methods"), list):
        raise DocumentError("this is no OpenRPC document: it is an object with a list 'methods'")
    methods: list[Method] = []
    problems: list[str] = []
    for index, each in enumerate(document["methods"]):
        try:
            methods.append(_method(each, f"methods[{index}]"))
        except DocumentError as error:
            problems += error.problems
    return sorted(methods, key=lambda method: method.path.split(":")), problems


def _method(method: object, place: str) -> Method:
    if not isinstance(method, Mapping) or not isinstance(method.get("name"), str):
        raise DocumentError(f"{place} must be an object with a string 'name'")
    path = method["name"]
    place = f"{place} {path!r}"
    _check_path(path, place)
    args, needs_args = _args(method.get("params", []), place)
    result = method.get("result", {})
    if not isinstance(result, Mapping):
        raise DocumentError(f"{place}: result must be an object")
    kind = method.get("x-lunora-function-kind")
    known = cast("FunctionKind", kind) if kind in ("query", "action") else "mutation"
    codes = tuple(_codes(method.get("errors")))
    return Method(path, known, args, needs_args, result.get("schema", {}), _documentation(method), codes, place)


def _check_path(path: str, place: str) -> None:
    namespace, _, function = path.partition(":")
    for part in [*namespace.split("/"), function]:
        if not is_member(part):
            raise DocumentError(
                f"{place}: {part!r} is no valid identifier, and neither is it guessed:"
                " a method is named 'namespace:function'"
            )


def _args(params: object, place: str) -> tuple[Any, bool]:
    if not isinstance(params, list) or len(params) > 1:
        raise DocumentError(f"{place}: params must be a list of one parameter, an object")
    if not params:
        return {"type": "object", "properties": {}}, False
    if not isinstance(params[0], Mapping):
        raise DocumentError(f"{place}: params[0] must be an object")
    return params[0].get("schema", {}), params[0].get("required") is True


def _documentation(method: Mapping[str, Any]) -> str:
    summary, description = _text(method, "summary"), _text(method, "description")
    if description.startswith(summary):
        return description
    return f"{summary}\n\n{description}".strip()


def _codes(errors: object) -> Iterator[str]:
    for each in errors if isinstance(errors, Sequence) else ():
        told = each.get("data") if isinstance(each, Mapping) else None
        if isinstance(told, Mapping) and isinstance(told.get("code"), str):
            yield told["code"]


def _collisions(methods: list[Method]) -> Iterator[str]:
    """Tell of every two methods that would have one name, in ``api`` or among the types."""
    owners: dict[str, str] = {}
    paths: set[str] = set()
    for method in methods:
        if method.path in paths:
            yield f"{method.place}: there is a method {method.path!r} already"
        paths.add(method.path)
        clashes = ((owners.setdefault(name, owner), owner, name) for name, owner in _claims(method))
        yield from [f"{other} and {owner} would both be {name}" for other, owner, name in clashes if other != owner][:1]


def _claims(method: Method) -> Iterator[tuple[str, str]]:
    """Yield the names that a method needs, each with who it is that needs it."""
    spaces = method.path.partition(":")[0].split("/")
    for count in range(1, len(spaces) + 1):
        yield f"api.{'.'.join(method.members[:count])}", f"namespace {'/'.join(spaces[:count])!r}"
    yield f"api.{'.'.join(method.members)}", f"function {method.path!r}"
    yield f"{method.type_stem}Args", f"function {method.path!r}"


def _text(owner: Mapping[str, Any], name: str) -> str:
    text = owner.get(name)
    return text.strip() if isinstance(text, str) else ""
