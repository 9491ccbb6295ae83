"""Function references: how a function is written, and what goes over the wire."""

from __future__ import annotations

import copy
import pickle

import pytest

from lunora_rx import ActionRef, MutationRef, PagedQueryRef, QueryRef, ShapeRef, StreamRef, api
from lunora_rx.functions import FunctionRef, any_path, function_path

KINDS = [QueryRef, PagedQueryRef, MutationRef, ActionRef, StreamRef, ShapeRef]


@pytest.mark.parametrize(
    ("function", "path"),
    [
        ("messages:list", "messages:list"),
        (api.messages.list, "messages:list"),
        (api.admin.users.list, "admin/users:list"),
        (api.tasks.list_, "tasks:list"),
        (api.tasks.import_, "tasks:import"),
        (api.tasks.odd__, "tasks:odd_"),
        (QueryRef("a/b:c"), "a/b:c"),
        ("a/b:c", "a/b:c"),
    ],
)
def test_function_path_of_each_spelling(function, path):
    """String, attribute path and typed reference name the same function."""
    assert function_path(function, kind="query", method="live()") == path


@pytest.mark.parametrize("name", ["openTasks", "tasks:open", ShapeRef("openTasks"), api.tasks.open])
def test_shape_has_any_name(name):
    """The server is free to name its shapes; a path is a name as well."""
    assert function_path(name, kind="shape", method="shape()") in ("openTasks", "tasks:open")


@pytest.mark.parametrize("name", ["", "open tasks", "open\ntasks", "\ud800"])
def test_shape_without_a_name_that_can_be_sent_is_refused(name):
    """What no frame carries, and what the server cannot have registered."""
    with pytest.raises(ValueError, match="no name of a shape"):
        function_path(name, kind="shape", method="shape()")


@pytest.mark.parametrize("name", ["_private", "__wrapped__", "_"])
def test_api_underscore_is_no_function(name):
    """Names that begin with an underscore are private, at every depth."""
    for place in (api, api.messages):
        with pytest.raises(AttributeError, match=name):
            getattr(place, name)


@pytest.mark.parametrize("path", ["", "messages", ":list", "messages:", "a:b:c", "a:\ud800", "a:b\n", api.messages])
def test_function_path_that_is_unfinished_is_refused(path):
    """What names no ``file:function`` is an error that shows one that does."""
    with pytest.raises(ValueError, match="such as 'messages:list'"):
        any_path(path, method="live()")


@pytest.mark.parametrize("function", [5, None, b"a:b", api, len])
def test_function_path_of_something_else_is_refused(function):
    """What is no reference is a ``TypeError`` that names what is."""
    with pytest.raises(TypeError, match="path of api"):
        any_path(function, method="live()")


@pytest.mark.parametrize("kind", KINDS)
def test_function_path_of_the_wrong_kind_names_the_method_to_use(kind):
    """Every kind of reference is refused where another is called, and told where it belongs."""
    with pytest.raises(TypeError, match=r"use client\.\w+\(\)") as caught:
        function_path(kind("a:b"), kind="nothing", method="nothing()")
    assert f"{kind.__name__}('a:b')" in str(caught.value)


@pytest.mark.parametrize("reference", [api.messages.list, api.tasks.import_, *(kind("a:b") for kind in KINDS)])
def test_reference_survives_copies_and_is_a_key(reference):
    """A reference can be pickled, copied, and used as a key."""
    twins = [pickle.loads(pickle.dumps(reference)), copy.copy(reference), copy.deepcopy(reference)]
    assert twins == [reference] * 3
    assert {reference: 1}[twins[0]] == 1


def test_references_of_different_kinds_differ():
    """A query and a mutation of the same path are two things."""
    assert len({kind("a:b") for kind in KINDS} | {api.a.b}) == 7
    assert api.a.b != api.a.c
    assert api.a.b != "a:b"


@pytest.mark.parametrize(("reference", "name"), [(api.messages.list, "_path"), (QueryRef("a:b"), "path")])
def test_reference_cannot_be_changed(reference, name):
    """References are frozen."""
    with pytest.raises(AttributeError):
        setattr(reference, name, "c:d")
    with pytest.raises(AttributeError):
        delattr(reference, name)


@pytest.mark.parametrize(
    ("reference", "source"),
    [
        (api.messages.list, "api.messages.list"),
        (api.admin.users.list_, "api.admin.users.list"),
        (api.tasks.import_, "api.tasks.import_"),
        (api.messages, "api.messages"),
        (MutationRef("a:b"), "MutationRef('a:b')"),
        (PagedQueryRef("a:b"), "PagedQueryRef('a:b')"),
    ],
)
def test_reference_is_shown_as_in_the_source(reference, source):
    """What ``repr`` shows can be written."""
    assert repr(reference) == source
    assert eval(source, {"api": api, "MutationRef": MutationRef, "PagedQueryRef": PagedQueryRef}) == reference


def test_api_is_shown_by_its_name():
    """The builder itself is ``api``."""
    assert repr(api) == "api"
    assert isinstance(api.anything, FunctionRef)


@pytest.mark.parametrize("kind", [QueryRef, MutationRef, ActionRef, StreamRef, ShapeRef])
def test_reference_may_be_made_of_a_subscripted_class(kind):
    """As it is written by hand, with its types beside it."""
    made = kind[dict, str]("a:b")
    assert (made, hash(made), repr(made)) == (kind("a:b"), hash(kind("a:b")), f"{kind.__name__}('a:b')")
    with pytest.raises(AttributeError):
        made.path = "c:d"
