"""The two clients have the same names, which take the same."""

from __future__ import annotations

import inspect
import typing

import pytest

import lunora_rx
from lunora_rx import blocking
from lunora_rx.rx.cache import SharedCache

RENAMED = {"aclose": "close", "aiter": "iter", "__aenter__": "__enter__", "__aexit__": "__exit__"}
HANDLES = ("query", "action", "mutation", "batch", "preload", "current_user")
INTERNAL = {
    "Call": {"settle"},
    "Mutation": {"settle"},
    "Import": {"settle", "start", "close"},
    "UserObservable": {"set", "complete"},
    "Combined": {"lag"},
    **{key: {"title"} for key in ("LiveQuery", "PaginatedQuery", "Shape")},  # what a notebook writes above it
}
PAIRS = [
    (getattr(lunora_rx, name), getattr(blocking, name))
    for name in (
        "LunoraClient",
        "LiveQuery",
        "Combined",
        "PaginatedQuery",
        "Shape",
        "Call",
        "Mutation",
        "Import",
        "UserObservable",
    )
]


def public_names(kind):
    """Return the public names that a class of ours defines itself, renamed as the blocking one has them."""
    names = {name for each in kind.__mro__ if each.__module__.startswith("lunora_rx") for name in vars(each)}
    names = {name for name in names if not name.startswith("_")} - INTERNAL.get(kind.__name__, set())
    return {RENAMED.get(name, name) for name in names}


def parameters(function):
    """Return what a method takes, but for ``self``; what is combined are the Observables of either client."""
    taken = [each for each in inspect.signature(function).parameters.values() if each.name != "self"]
    return [
        each.replace(annotation=str(each.annotation).replace(" BlockingObservable", " Observable")) for each in taken
    ]


def methods(kind):
    """Return the public methods of a class, by name."""
    return {name: each for name, each in vars(kind).items() if inspect.isfunction(each) and not name.startswith("_")}


@pytest.mark.parametrize(("kind", "twin"), PAIRS, ids=lambda kind: kind.__name__)
def test_blocking_class_has_every_public_name(kind, twin):
    """None is forgotten, nor any that is added later."""
    assert len(public_names(kind)) >= 2
    assert public_names(kind) - set(dir(twin)) == set()


@pytest.mark.parametrize("name", sorted({*methods(lunora_rx.LunoraClient)} - {"aclose"}))
def test_client_method_takes_what_the_other_takes(name):
    """Names, order, kinds, defaults and annotations are one."""
    theirs, ours = (getattr(each, name) for each in (lunora_rx.LunoraClient, blocking.LunoraClient))
    assert parameters(ours) == parameters(theirs)
    overloads = [typing.get_overloads(each) for each in (theirs, ours)]
    assert [parameters(each) for each in overloads[1]] == [parameters(each) for each in overloads[0]]


def test_constructor_takes_what_the_other_takes():
    """Options are the same, with the same defaults."""
    assert parameters(blocking.LunoraClient.__init__) == parameters(lunora_rx.LunoraClient.__init__)


@pytest.mark.parametrize("name", HANDLES)
def test_started_call_takes_what_the_method_takes(name):
    """A handle is had for whatever is awaited."""
    theirs, ours = getattr(lunora_rx.LunoraClient, name), getattr(blocking.Start, name)
    assert parameters(ours) == parameters(theirs)
    overloads = [typing.get_overloads(each) for each in (theirs, ours)]
    assert [parameters(each) for each in overloads[1]] == [parameters(each) for each in overloads[0]]


def test_every_call_can_be_started():
    """Whatever the asyncio client returns as a ``Call`` or ``Mutation`` has a handle."""
    theirs = methods(lunora_rx.LunoraClient).items()
    returned = {name: inspect.signature(each).return_annotation for name, each in theirs}
    calls = {name for name, kind in returned.items() if kind.startswith(("Call[", "Mutation["))}
    assert calls == set(HANDLES) == set(methods(blocking.Start))


def test_cache_has_every_looking_name():
    """What is for looking is there; what is for the wiring is not."""
    assert {"get", "observer_count", "__len__", "__iter__"} <= set(vars(blocking.Cache)) & set(vars(SharedCache))


def test_nothing_is_awaitable():
    """Frameworks that cache objects, such as Streamlit, refuse what can be awaited."""
    assert [name for name in blocking.__all__ if hasattr(getattr(blocking, name), "__await__")] == []
