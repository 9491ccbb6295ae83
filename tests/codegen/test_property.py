"""Whatever a document holds: either it is refused with reasons, or a module comes of it that Python accepts."""

from __future__ import annotations

import json
import random
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunora_rx.codegen import DocumentError, generate
from lunora_rx.functions import TypedRef
from tests.codegen.documents import DOCUMENTS, SCHEMAS, document, method


def generated(source):
    """Return the module, or ``None`` for a document that is refused."""
    try:
        return generate(source)
    except DocumentError as error:
        return check_refusal(error)


def check_refusal(error):
    assert error.problems
    assert all(problem.isprintable() for problem in error.problems)


def references(space):
    """Return the references below a namespace, by the path that each sends."""
    found = {}
    for name in [each for each in dir(space) if not each.startswith("__")]:
        value = getattr(space, name)
        found |= {value.path: value} if isinstance(value, TypedRef) else references(value)
    return found


def run(text):
    module = types.ModuleType("generated_api")
    exec(compile(text, "generated_api.py", "exec", dont_inherit=True), module.__dict__)
    return module


@given(DOCUMENTS)
def test_module_of_any_document_runs_and_has_every_function(source):
    """It compiles, its definitions can be evaluated, and each method is reachable under the path it sends."""
    text = generated(source)
    if text is None:
        return
    module = run(text)
    kinds = {each["name"]: each["x-lunora-function-kind"] for each in source["methods"]}
    found = {path: reference.kind for path, reference in references(module.api).items()}
    assert found == {path: kind if kind in ("query", "action") else "mutation" for path, kind in kinds.items()}
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


@given(DOCUMENTS, st.randoms(use_true_random=False))
def test_module_depends_on_the_document_and_on_nothing_else(source, shuffled: random.Random):
    """The same document, parsed anew and with its methods in another order, gives the same bytes."""
    text = generated(source)
    other = json.loads(json.dumps(source))
    shuffled.shuffle(other["methods"])
    assert generated(other) == text


@given(SCHEMAS)
def test_module_has_no_line_that_a_terminal_or_an_editor_would_take_for_something_else(schema):
    """Nothing unprintable, no blank at the end of a line, no tab; line ends are those of Python."""
    text = generated(document(method(result=schema), A=schema, B=schema, **{"c d": schema}))
    for line in (text or "").split("\n"):
        assert line.isprintable()
        assert line == line.rstrip()


@pytest.mark.parametrize("depth", [10, 65, 400])
def test_module_of_deep_schemas_ends(depth):
    """Beyond what the wire can carry a value is anything."""
    schema = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    text = generate(document(method(result=schema)))
    assert (f"{'list[' * depth}str" in text.replace("\n", "").replace(" ", "")) == (depth == 10)
