"""Function references: which function of the deployment a call means.

A function is a string ``"messages:list"``, an attribute path of ``api``, or a typed
reference such as ``lunora-rx codegen`` writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from keyword import iskeyword
from typing import Any, ClassVar, Generic, Never, NoReturn, TypeAlias, TypeVar

Args = TypeVar("Args", contravariant=True)
Result = TypeVar("Result", covariant=True)
PageArgs = TypeVar("PageArgs", contravariant=True)
Taken = TypeVar("Taken")

Given: TypeAlias = Taken | Callable[[Never], Taken]
"""Arguments of the type that a reference takes; it is never a callable.

A type checker may look at the arguments before it looks at the reference, and then a dict is any dict. mypy looks at
what may be a callable last, so that a dict is checked, key by key, as the ``TypedDict`` that the reference takes.
"""


class FunctionRef:
    """A function of unknown kind, as ``api.messages.list`` makes it; every public attribute is a function below it."""

    __slots__ = ("_path",)
    _path: str

    def __init__(self, path: str) -> None:
        object.__setattr__(self, "_path", path)

    def __getattr__(self, name: str) -> FunctionRef:
        return FunctionRef(_extend(self._path, name))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a function reference cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a function reference cannot be changed")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FunctionRef) and other._path == self._path

    def __hash__(self) -> int:
        return hash(self._path)

    def __reduce__(self) -> tuple[type[FunctionRef], tuple[str]]:
        return FunctionRef, (self._path,)

    def __repr__(self) -> str:
        return _spell(self._path)


# Without slots: on Python 3.11 ``QueryRef[Args, Result]("a:b")`` would trip over the class that slots replace.
@dataclass(frozen=True, repr=False)
class TypedRef(Generic[Args, Result]):
    """A function whose kind, arguments and result are known.

    ``Args`` is the ``TypedDict`` of its arguments, joined with ``None`` if they may be left out.
    """

    kind: ClassVar[str] = ""
    path: str

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r})"


class QueryRef(TypedRef[Args, Result]):
    """A query: ``client.live`` or ``client.query``."""

    __slots__ = ()
    kind = "query"


class PagedQueryRef(QueryRef[Args, Result], Generic[Args, Result, PageArgs]):
    """A query that answers pages: also ``client.paginate``, which takes ``PageArgs`` and sets the page's own."""

    __slots__ = ()


class MutationRef(TypedRef[Args, Result]):
    """A mutation: ``client.mutation``."""

    __slots__ = ()
    kind = "mutation"


class ActionRef(TypedRef[Args, Result]):
    """An action: ``client.action``."""

    __slots__ = ()
    kind = "action"


class StreamRef(TypedRef[Args, Result]):
    """A streaming procedure: ``client.stream``."""

    __slots__ = ()
    kind = "stream"


class ShapeRef(TypedRef[Args, Result]):
    """A shape: ``client.shape``."""

    __slots__ = ()
    kind = "shape"


Untyped: TypeAlias = str | FunctionRef
Function: TypeAlias = Untyped | TypedRef[Any, Any]

_METHODS = {
    "query": "client.live() or client.query()",
    "mutation": "client.mutation()",
    "action": "client.action()",
    "stream": "client.stream()",
    "shape": "client.shape()",
}


class Api:
    """Builds references by attribute access: ``api.messages.list`` is ``"messages:list"``.

    Deeper modules are folders: ``api.admin.users.list`` is ``"admin/users:list"``. One trailing
    underscore is stripped, for names that are keywords: ``api.tasks.import_``.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> FunctionRef:
        return FunctionRef(_extend("", name))

    def __repr__(self) -> str:
        return "api"


api = Api()


def function_path(function: object, *, kind: str, method: str) -> str:
    """Return the path that goes over the wire.

    Args:
        function: What the caller gave.
        kind: Which kind of function the method calls.
        method: How the method is called, for the error.

    Raises:
        TypeError: ``function`` is no reference, or one of another kind.
        ValueError: It is a string or an unfinished path that names no ``file:function``; of a shape, no name at all.
    """
    if isinstance(function, TypedRef) and function.kind != kind:
        raise TypeError(
            f"{function!r} is {_article(function.kind)}, and {method} takes {_article(kind)}:"
            f" use {_METHODS[function.kind]}"
        )
    if kind == "shape" and isinstance(function, str | ShapeRef):
        return _check_name(function if isinstance(function, str) else function.path, method)
    return any_path(function, method=method)


def any_path(function: object, *, method: str) -> str:
    """Return the path of a function of any kind. Raises as ``function_path``."""
    if isinstance(function, TypedRef):
        return _check(function.path, method)
    if isinstance(function, FunctionRef):
        return _check(function._path, method)
    if not isinstance(function, str):
        raise TypeError(
            f"{method}: function is a string such as 'messages:list', a path of api, or a typed reference,"
            f" not {type(function).__name__}"
        )
    return _check(function, method)


def _check(path: str, method: str) -> str:
    module, colon, name = path.rpartition(":")
    # What is not printable includes lone surrogates, which no request could carry.
    if not (module and colon and name) or ":" in module or not path.isprintable():
        raise ValueError(f"{method}: function {path!r} is not of the form 'file:function', such as 'messages:list'")
    return path


def _check_name(name: str, method: str) -> str:
    # The server names its shapes freely: "openTasks" is one, "tasks:open" is another.
    if not name or not name.isprintable() or " " in name:
        raise ValueError(f"{method}: {name!r} is no name of a shape, such as 'openTasks'")
    return name


def _extend(path: str, name: str) -> str:
    if name.startswith("_"):
        raise AttributeError(f"{name!r} is no function: names that begin with an underscore are private")
    part = name.removesuffix("_")
    if not path:
        return part
    return f"{path.replace(':', '/')}:{part}"


def _spell(path: str) -> str:
    parts = path.replace(":", "/").split("/")
    return ".".join(["api", *(f"{part}_" if iskeyword(part) else part for part in parts)])


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
