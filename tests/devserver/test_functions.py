"""Registration, and arguments checked against annotations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NewType, NotRequired, Optional, TypedDict

import pytest

from lunora_rx.devserver import App, AppError
from lunora_rx.devserver.functions import Function, register
from lunora_rx.errors import CodecError
from lunora_rx.protocol import UNDEFINED, WireBigInt, WireBytes, WireSet, WireUrl, encode_wire

ChannelId = NewType("ChannelId", str)


class Filter(TypedDict):
    field: str
    values: list[int]
    note: NotRequired[str]


class Loose(TypedDict, total=False):
    size: float


def taking(annotation: Any) -> Function:
    """Return a query with one argument ``x`` of this annotation."""

    def handler(ctx, x):
        return x

    handler.__annotations__ = {"x": annotation}
    return register("file:fn", "query", handler)


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("annotation", "value", "got"),
    [
        (str, "a", "a"),
        (int, 3, 3),
        (int, 3.0, 3),
        (float, 3, 3.0),
        (bool, True, True),
        (None, None, None),
        (Any, [1], [1]),
        (object, {"a": None}, {"a": None}),
        (bytes, b"x", b"x"),
        (bytes, WireBytes(b"x", "ArrayBuffer"), b"x"),
        (WireBigInt, WireBigInt(7), WireBigInt(7)),
        (datetime, NOW, NOW),
        (WireSet, WireSet([1]), WireSet([1])),
        (WireUrl, WireUrl("a:b"), WireUrl("a:b")),
        (list, [1, "a"], [1, "a"]),
        (dict, {"a": 1}, {"a": 1}),
        (list[int], [1, 2.0], [1, 2]),
        (Sequence[str], ["a"], ["a"]),
        (dict[str, float], {"a": 1}, {"a": 1.0}),
        (Mapping[str, list[str]], {"a": ["b"]}, {"a": ["b"]}),
        (Optional[int], None, None),  # noqa: UP045
        (int | str | None, "a", "a"),
        (Literal["asc", "desc"], "asc", "asc"),
        (Literal[1], 1, 1),
        (Annotated[str, "an id"], "a", "a"),
        (ChannelId, "a", "a"),
        (Filter, {"field": "f", "values": [1]}, {"field": "f", "values": [1]}),
        (Filter, {"field": "f", "values": [], "note": "n"}, {"field": "f", "values": [], "note": "n"}),
        (Filter, {"field": "f", "values": [], "note": UNDEFINED}, {"field": "f", "values": []}),
        (Loose, {}, {}),
    ],
)
def test_argument_that_fits_is_given_to_the_function(annotation, value, got):
    """What the annotation says is what the function gets, of the same type."""
    bound = taking(annotation).bind({"x": encode_wire(value)})["x"]
    assert bound == got
    assert type(bound) is type(got)


@pytest.mark.parametrize(
    ("annotation", "value", "names"),
    [
        (str, 1, "'x' must be a string"),
        (str, WireUrl("a:b"), "'x' must be a string"),
        (int, True, "'x' must be a whole number"),
        (int, 1.5, "'x' must be a whole number"),
        (int, WireBigInt(1), "'x' must be a whole number"),
        (float, "1", "'x' must be a number"),
        (bool, 1, "'x' must be a boolean"),
        (None, 0, "'x' must be null"),
        (bytes, "x", "'x' must be bytes"),
        (WireBigInt, 7, "'x' must be a bigint"),
        (datetime, 7, "'x' must be a date"),
        (list[int], [1, "a"], r"'x\[1\]' must be a whole number"),
        (list[int], {}, "'x' must be a list, each item a whole number"),
        (dict[str, int], {"k": None}, r"'x\.k' must be a whole number"),
        (int | None, "a", "'x' must be a whole number or null"),
        (Literal["asc", "desc"], "up", "'x' must be 'asc' or 'desc'"),
        (Literal[1], True, "'x' must be 1"),
        (Filter, {"values": []}, r"'x\.field' must be given: a string"),
        (Filter, {"field": "f", "values": ["a"]}, r"'x\.values\[0\]' must be a whole number"),
        (Filter, {"field": "f", "values": [], "z": 1}, r"'x\.z' must be left out"),
        (list[Filter] | None, [{"field": 1, "values": []}], r"'x\[0\]\.field' must be a string"),
    ],
)
def test_argument_that_does_not_fit_is_named(annotation, value, names):
    """The refusal says which argument, how deep, and what was expected there."""
    with pytest.raises(AppError, match=f"file:fn: argument {names}") as caught:
        taking(annotation).bind({"x": encode_wire(value)})
    assert caught.value.code == "VALIDATION_ERROR"
    assert isinstance(caught.value.data, dict)
    assert set(caught.value.data) == {"argument", "expected"}


def test_defaults_fill_in_and_unknown_names_are_refused():
    """Only what the signature names goes through, and an undefined argument counts as not given."""

    def handler(ctx, a: int, b: str = "none", *, c: list[int] | None = None):
        return a, b, c

    function = register("file:fn", "query", handler)
    assert function.bind({"a": 1}) == {"a": 1, "b": "none", "c": None}
    assert function.bind({"a": 1, "b": ["$lunora.wire$", "undefined"]})["b"] == "none"
    with pytest.raises(AppError, match="'a' must be given"):
        function.bind({})
    with pytest.raises(AppError, match="'z' must be left out: file:fn takes a, b, c"):
        function.bind({"a": 1, "z": 1})


def test_catch_all_lets_unknown_names_through():
    """A function with ``**more`` takes anything besides."""

    def handler(ctx, a: int, **more: Any):
        return more

    assert register("file:fn", "query", handler).bind({"a": 1, "z": [2]}) == {"a": 1, "z": [2]}


def test_undecodable_args_name_their_place():
    """The codec's refusal comes through with its path."""
    with pytest.raises(CodecError, match=r"args\.x"):
        taking(Any).bind({"x": ["$lunora.wire$", "bigint", "x"]})


def unsupported(ctx, x: set[int]): ...


def unnamed(ctx, x, /): ...


def star(ctx, *x): ...


def no_context(): ...


def keyword_context(*, ctx): ...


async def asynchronous(ctx): ...


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        (unsupported, "parameter 'x': the annotation set"),
        (unnamed, "'x' cannot be given by name"),
        (star, "'x' cannot be given by name"),
        (no_context, "takes no context"),
        (keyword_context, "the first parameter is the context"),
        (asynchronous, "only actions may be async"),
    ],
)
def test_handler_that_cannot_be_called_is_refused_at_registration(handler, message):
    """A mistake in a signature is found when the app is made, not when it is called."""
    with pytest.raises(TypeError, match=message):
        register("file:fn", "query", handler)


def test_unresolvable_annotation_is_refused_at_registration():
    """A name that the module does not know is named."""

    def handler(ctx, x: Missing):  # type: ignore[name-defined]  # noqa: F821
        return x

    with pytest.raises(TypeError, match="'Missing'"):
        register("file:fn", "query", handler)


@pytest.mark.parametrize("path", ["list", "a:b:c", ":", "a: b", ""])
def test_bad_function_path_is_refused(path):
    """A path is a file, a colon and a function."""
    with pytest.raises(ValueError, match="function path"):
        App().query(path)(lambda ctx: None)


def test_same_path_twice_is_refused():
    """Two functions cannot share a path, whatever their kinds."""
    app = App()
    app.query("file:fn")(lambda ctx: None)
    with pytest.raises(ValueError, match="already"):
        app.mutation("file:fn")(lambda ctx: None)


def test_decorators_return_the_function_itself():
    """A registered function can still be called from Python."""
    app = App()

    @app.query("file:fn")
    def fn(ctx):
        return 7

    assert fn(None) == 7


@pytest.mark.parametrize("kind", ["query", "mutation", "action", "stream", "shape", "http_stream"])
def test_decorator_without_a_name_says_how_it_is_written(kind):
    """Else nothing would be registered, and the function would be gone."""
    with pytest.raises(TypeError, match=rf"registered by its name: @app.{kind}\('"):
        getattr(App(), kind)(lambda ctx: None)
