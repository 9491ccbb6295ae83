"""A hostile OpenRPC document brings no code into the module that is generated from it.

The module is read as a tree, never run: it may hold imports of known names, classes of plain fields, types, and calls
of a few known constructors with texts, whatever names, texts and values the document is made of.
"""

from __future__ import annotations

import ast
import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunora_rx.codegen import DocumentError, generate
from tests.codegen.documents import DOCUMENTS, TEXT, an_object, document, method

HOSTILE = [
    '"""\nimport os\nos.system("x")\n"""',
    "'); __import__('os').system('x'); ('",
    '"); __import__("os").system("x"); ("',
    "x\rimport os",
    "x\u2028import os\u2029import os\x85import os\x0cimport os",
    "\\",
    '\\"""\nimport os\n"""',
    '""""',
    "{__import__('os')}",
    "\x00import os",
    "\\N{NEWLINE}import os",
    "# -*- coding: utf-7 -*-\n+AAo-import os",
    "\ud800\nimport os",
    "a: __import__('os').system('x')",
    "list[__import__('os').system('x')]",
    "Any = __import__('os')",
    "\u202eimport os\u202c",
    "__import__",
    "eval",
]
texts = st.sampled_from(HOSTILE) | st.builds("".join, st.lists(st.sampled_from([*HOSTILE, "a", "\n", '"', "'"])))

NODES = (
    *(ast.Module, ast.ImportFrom, ast.alias, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.Expr, ast.Pass),
    *(ast.Name, ast.Load, ast.Store, ast.Constant, ast.Subscript, ast.Tuple, ast.List, ast.Dict, ast.Call),
    *(ast.BinOp, ast.BitOr, ast.UnaryOp, ast.USub),
)
IMPORTED = {
    "__future__": {"annotations"},
    "collections.abc": {"Sequence", "Mapping"},
    "datetime": {"datetime"},
    "typing": {"Any", "Final", "Literal", "NewType", "NotRequired", "TypeAlias", "TypedDict"},
}
CALLED = {"NewType", "TypedDict", "QueryRef", "MutationRef", "ActionRef", "PagedQueryRef", "StreamRef", "ShapeRef"}
TYPES = (ast.Expression, ast.Name, ast.Load, ast.Constant, ast.Subscript, ast.Tuple, ast.BinOp, ast.BitOr)
TYPES += (ast.UnaryOp, ast.USub)


def problems(text: str) -> list[str]:
    """Return what stands in a generated module and does not belong there."""
    tree = ast.parse(text)
    classes = {each.name for each in ast.walk(tree) if isinstance(each, ast.ClassDef)}
    return [problem for node in ast.walk(tree) for problem in _problems(node, classes)]


def _problems(node: ast.AST, classes: set[str]) -> list[str]:
    match node:
        case ast.ImportFrom(module=module, names=names):
            known = IMPORTED.get(str(module))
            alien = [each.name for each in names if each.asname or (known is not None and each.name not in known)]
            is_ours = module == "lunora_rx" and all(each.name.isidentifier() for each in names)
            return [f"import of {module}: {alien}"] if alien or (known is None and not is_ours) else []
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in CALLED | classes:
            is_plain = all(isinstance(each, ast.Constant | ast.Dict | ast.Name) for each in args)
            return [] if is_plain and (name in CALLED or not args) else [f"call of {name}"]
        case ast.ClassDef(bases=bases, keywords=[], decorator_list=[]):
            return [] if [ast.unparse(each) for each in bases] in ([], ["TypedDict"]) else ["bases of a class"]
        case ast.ClassDef():
            return ["a class of another sort"]
        case ast.Expr(value=value):
            return [] if isinstance(value, ast.Constant) and isinstance(value.value, str) else ["an expression"]
        case ast.Dict(values=values):
            return [problem for each in values for problem in _quoted(each)]
        case ast.AnnAssign(annotation=ast.Name(id="TypeAlias"), value=ast.Constant() as value):
            return _quoted(value)
        case ast.Call():
            return [f"call of {ast.unparse(node.func)}"]
    return [] if isinstance(node, NODES) else [type(node).__name__]


def _quoted(value: ast.AST) -> list[str]:
    """A type in quotation marks is evaluated by whoever asks for the types of a module."""
    if not (isinstance(value, ast.Constant) and isinstance(value.value, str)):
        return []
    tree = ast.parse(value.value, mode="eval")
    return [f"{type(node).__name__} in a type" for node in ast.walk(tree) if not isinstance(node, TYPES)]


def check(source: object) -> None:
    """Generate from a document, or have it refused with reasons that steer no terminal."""
    try:
        text = generate(source)
    except DocumentError as error:
        check_refusal(error)
        return
    assert problems(text) == []
    assert all(line.isprintable() for line in text.split("\n"))


def check_refusal(error: DocumentError) -> None:
    assert all(problem.isprintable() for problem in error.problems)


def sprinkled(tree: object, draw: st.DrawFn) -> object:
    """Return a document with some of its texts, and some of its names, replaced by hostile ones."""
    if isinstance(tree, dict):
        return {
            draw(texts) if key.isidentifier() and draw(st.integers(0, 9)) == 0 and key not in KEPT else key: sprinkled(
                value, draw
            )
            for key, value in tree.items()
        }
    if isinstance(tree, list):
        return [sprinkled(each, draw) for each in tree]
    return draw(texts) if isinstance(tree, str) and draw(st.integers(0, 3)) == 0 else tree


KEPT = {"openrpc", "methods", "params", "schema", "result", "properties", "type", "components", "schemas", "name"}


@st.composite
def hostile_documents(draw):
    """Any document, with hostile texts in any place."""
    return sprinkled(draw(DOCUMENTS), draw)


@given(hostile_documents())
def test_module_of_a_hostile_document_holds_no_code(source):
    """Whatever stands where: names, keys, titles, descriptions, constants, references, kinds, codes."""
    check(source)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_each_place_brings_no_code(text):
    """One place at a time, so that the others do not have the document refused."""
    args = an_object("a", a=TEXT, **{text: TEXT})
    shared = {text: {"type": "object", "properties": {text: TEXT}, "title": text, "description": text}}
    ref = {"$ref": "#/components/schemas/" + text.replace("~", "~0").replace("/", "~1").replace("%", "%25")}
    whole = document(method(description=text, errors=[{"code": 1, "message": text, "data": {"code": text}}]))
    for source in (
        document(method(name=f"{text}:list")),
        document(method(name=f"messages:{text}")),
        document(method(kind=text)),
        document(method(args=args)),
        document(method(args=an_object(a={"description": text, **TEXT}, **{"b-c": {"description": text, **TEXT}}))),
        document(method(result={"const": text})),
        document(method(result={"enum": [text, 1, -1, None, True]})),
        document(method(result={"type": "string", "x-lunora-table": text})),
        document(method(result={"x-lunora-rx-type": text, "format": text, "contentEncoding": text})),
        document(method(result={"type": text})),
        document(method(result={**an_object(a=TEXT), "title": text})),
        document(method(result=ref), **shared),
        document(method(result={"type": "array", "items": {"$ref": "#/components/schemas/A"}}), A=shared[text]),
        whole,
        {**whole, "info": {"title": text, "version": text, "description": text}},
        {**whole, text: text},
    ):
        check(copy.deepcopy(source))


@pytest.mark.parametrize(
    "code",
    [
        "import os",
        "from os import system",
        "x = __import__('os')",
        "class A(__import__('os')): pass",
        "class A(metaclass=B): pass",
        "@a\nclass A: pass",
        "print(1)",
        "1 + 1",
        "a.b",
        "x = [each for each in y]",
        "x: TypeAlias = \"__import__('os').system('x')\"",
        'A = TypedDict("A", {"a": "b.c"})',
        "lambda: 1",
        "f'{x}'",
        "def f(): pass",
        "QueryRef(f())",
        "from lunora_rx import api as os",
    ],
)
def test_code_that_does_not_belong_is_found(code):
    """The check can fail."""
    assert problems(code)
