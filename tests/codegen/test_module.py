"""The module as a whole: what it holds, what is refused, and where the fault lies."""

from __future__ import annotations

import json
import time
import types
from pathlib import Path

import pytest

from lunora_rx.codegen import DocumentError, generate
from tests.codegen.documents import TEXT, an_object, document, method

TYPING = Path(__file__).parents[1] / "typing"


def run(text):
    module = types.ModuleType("generated_api")
    exec(compile(text, "generated_api.py", "exec", dont_inherit=True), module.__dict__)
    return module


def refusal(*methods, **schemas):
    with pytest.raises(DocumentError) as caught:
        generate(document(*methods, **schemas))
    return str(caught.value)


def type_of(schema, *, kind="Result", **schemas):
    """Return the source of the type that a schema becomes, as a result or as an argument."""
    if kind == "Result":
        text = generate(document(method("a:b", result=schema), **schemas))
        return text.partition("\nABResult: TypeAlias = ")[2].partition("\n")[0]
    text = generate(document(method("a:b", args=an_object("it", it=schema)), **schemas))
    return text.partition("    it: ")[2].partition("\n")[0]


def test_committed_module_of_every_type_is_what_is_generated_now():
    """The example that the type checkers look at is never stale."""
    source = json.loads((TYPING / "every_type.json").read_text(encoding="utf-8"))
    assert generate(source) == (TYPING / "every_type_api.py").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, "str"),
        ({"type": "string", "x-lunora-table": "user_files"}, "UserFilesId"),
        ({"type": "string", "x-lunora-table": "!"}, "str"),
        ({"type": "string", "x-lunora-storage": True}, "str"),
        ({"type": "number"}, "float"),
        ({"type": "string", "format": "int64"}, "WireBigInt"),
        ({"type": "integer", "format": "int64"}, "WireBigInt"),
        ({"type": "string", "contentEncoding": "base64"}, "bytes | WireBytes"),
        ({"type": "integer", "description": "a date"}, "int"),
        ({"type": "boolean"}, "bool"),
        ({"const": "a"}, 'Literal["a"]'),
        ({"const": "it's"}, 'Literal["it\'s"]'),
        ({"const": 'a "b"'}, "Literal['a \"b\"']"),
        ({"const": 1.5}, "float"),
        ({"enum": [1, None, "a", True]}, 'Literal[1, "a", True] | None'),
        ({"enum": []}, "Any"),
        ({"type": "array", "items": TEXT}, "list[str]"),
        ({"type": "array", "items": [TEXT, TEXT]}, "list[Any]"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "dict[str, float]"),
        ({"type": "object"}, "dict[str, Any]"),
        ({"anyOf": [{"type": "null"}, TEXT, TEXT]}, "str | None"),
        ({"anyOf": [{"const": "a"}, {"anyOf": [{"const": "b"}, {"type": "null"}]}]}, 'Literal["a", "b"] | None'),
        ({"anyOf": [TEXT, {}]}, "Any"),
        ({"type": ["string", "null"]}, "str | None"),
        ({"type": "string", "anyOf": [{"minLength": 1}, {"pattern": "a"}]}, "str"),
        ({"allOf": [TEXT, {"description": "and more"}]}, "str"),
        ({"allOf": [TEXT, {"type": "number"}]}, "Any"),
        ({"type": "frobnicate"}, "Any"),
        ({"not": TEXT}, "Any"),
        ({"$ref": "https://example.org/schema.json"}, "Any"),
        ({"x-lunora-rx-type": "datetime"}, "datetime"),
        ({"x-lunora-rx-type": "os.system"}, "Any"),
        ({}, "Any"),
        (True, "Any"),
    ],
)
def test_schema_of_a_result_becomes_the_type_of_the_table(schema, expected):
    """Each row of the protocol's table, and what has no row."""
    assert type_of(schema) == expected


def test_array_of_the_arguments_may_be_any_sequence():
    """What is given may be a tuple; but a row that was got fits where a row is given, so its own arrays are lists."""
    nested = {"type": "array", "items": {"type": "array", "items": TEXT}}
    assert type_of(nested, kind="Args") == "Sequence[Sequence[str]]"
    text = generate(document(method("a:b", args=an_object("row", row=an_object("tags", tags=nested)))))
    assert "    tags: list[list[str]]\n" in text


def test_required_optional_and_nullable_fields_are_three_things():
    """A field that may be missing is not one that may be null."""
    nullable = {"anyOf": [TEXT, {"type": "null"}]}
    text = generate(document(method("a:b", args=an_object("one", "three", one=TEXT, two=TEXT, three=nullable))))
    assert "    one: str\n    two: NotRequired[str]\n    three: str | None\n" in text


def test_field_that_is_required_and_not_described_holds_anything():
    """It cannot be left out, whatever it is."""
    text = generate(document(method("a:b", args=an_object("one", "more", one=TEXT))))
    assert "    one: str\n    more: Any\n" in text


@pytest.mark.parametrize(
    ("args", "needed", "expected"),
    [
        (an_object("x", x=TEXT), False, "ABArgs"),
        (an_object(x=TEXT), True, "ABArgs | None"),
        (an_object(), True, "ABArgs | None"),
        ({}, True, "ABArgs"),
        ({}, False, "ABArgs | None"),
    ],
)
def test_arguments_may_be_left_out_where_none_is_required(args, needed, expected):
    """The schema says so; where it says nothing, the parameter does."""
    source = document(method("a:b", args=args))
    source["methods"][0]["params"][0]["required"] = needed
    assert f"b: Final[QueryRef[{expected}, ABResult]]" in generate(source)


def test_recursive_schema_refers_to_itself():
    """A tree is a class that holds itself; an alias of itself stands in quotation marks."""
    ref = {"$ref": "#/components/schemas/Tree"}
    tree = an_object("kids", kids={"type": "array", "items": ref})
    assert "class Tree(TypedDict):\n    kids: list[Tree]\n" in generate(document(method(result=ref), Tree=tree))
    listed = {"anyOf": [TEXT, {"type": "array", "items": ref}]}
    assert 'Tree: TypeAlias = "str | list[Tree]"' in generate(document(method(result=ref), Tree=listed))


def test_reference_that_leads_nowhere_but_to_itself_is_anything():
    """One is the other is the one: no type checker could make sense of it."""
    schemas = {"A": {"$ref": "#/components/schemas/B"}, "B": {"anyOf": [TEXT, {"$ref": "#/components/schemas/A"}]}}
    text = generate(document(method(result={"$ref": "#/components/schemas/A"}), **schemas))
    assert "A: TypeAlias = Any" in text
    assert "B: TypeAlias = Any" in text
    assert run(text).api.messages.list.path == "messages:list"


def test_query_that_answers_pages_can_be_paged_through():
    """It is told by what it takes and gives; its own arguments are known without the page's."""
    page = an_object("page", page={"type": "array", "items": TEXT}, isDone={}, continueCursor={}, splitCursor=TEXT)
    args = an_object("paginationOpts", "of", paginationOpts={}, of=TEXT)
    text = generate(document(method("a:b", args=args, result=page)))
    assert "ABResult: TypeAlias = PageValue[str]" in text
    assert "PagedQueryRef[ABArgs, ABResult, ABPageArgs]" in text
    for other in (method("a:b", kind="mutation", args=args, result=page), method("a:b", result=page)):
        assert "PagedQueryRef" not in generate(document(other))


def test_docstring_of_a_function_tells_what_it_does_and_its_errors():
    """Summary, description and codes; whatever they hold stays a docstring."""
    odd = method("a:b", summary="Do.", description='A \\ and """ and "', errors=[{"data": {"code": "CONFLICT"}}, 3])
    module = generate(document(odd))
    assert '    """Do.\n\n    A \\\\ and \\"\\"\\" and "\n\n    Errors: ``CONFLICT``.\n    """' in module
    assert run(module).__doc__.startswith("Typed functions of a deployment.")


def test_reference_of_an_unknown_kind_is_that_of_a_mutation():
    """Nothing is sent as a query that might write."""
    for kind in ("frob", None, ["query"]):
        assert 'MutationRef(\n        "messages:list"' in generate(document(method(kind=kind)))


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("messages:getURL", "messages:getUrl"), ["messages:getURL", "messages:getUrl", "api.messages.get_url"]),
        (("userFiles:a", "user_files:b"), ["namespace 'userFiles'", "namespace 'user_files'", "api.user_files"]),
        (("admin:users", "admin/users:list"), ["function 'admin:users'", "namespace 'admin/users'"]),
        (("user:listAll", "userList:all"), ["user:listAll", "userList:all", "UserListAllArgs"]),
        (("a:b", "a:b"), ["methods[1] 'a:b': there is a method 'a:b' already"]),
        (("my-file:list",), ["methods[0] 'my-file:list'", "'my-file' is no valid identifier"]),
        (("messages:a-b",), ["'a-b' is no valid identifier"]),
        (("messages",), ["methods[0] 'messages': '' is no valid identifier"]),
        (("a:b:c",), ["'b:c' is no valid identifier"]),
        (("a//b:c",), ["'' is no valid identifier"]),
        (("a:__init__",), ["'__init__' is no valid identifier"]),
    ],
)
def test_name_that_would_have_to_be_guessed_is_refused(names, told):
    """What is no identifier, or collides once its case is converted, is named; both of the two."""
    text = refusal(*(method(name) for name in names))
    assert [each for each in told if each not in text] == []


def test_every_problem_of_a_document_is_told_at_once():
    """Nobody repairs one name to be told of the next; a flood is cut."""
    text = refusal(*(method(f"a-{number}:b") for number in range(30)))
    assert text.count("no valid identifier") == 20
    assert text.endswith("and 10 more")


@pytest.mark.parametrize("source", [None, [], {}, {"methods": {}}, "text"])
def test_something_else_than_a_document_is_refused(source):
    """The message says what a document is."""
    with pytest.raises(DocumentError, match="object with a list 'methods'"):
        generate(source)


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (3, "methods[0] must be an object with a string 'name'"),
        ({"name": 3}, "methods[0] must be an object with a string 'name'"),
        ({"name": "a:b", "params": {}}, "methods[0] 'a:b': params must be a list of one parameter"),
        ({"name": "a:b", "params": [{}, {}]}, "params must be a list of one parameter"),
        ({"name": "a:b", "params": [1]}, "methods[0] 'a:b': params[0] must be an object"),
        ({"name": "a:b", "result": []}, "methods[0] 'a:b': result must be an object"),
        (method("a:b", args=TEXT), "methods[0] 'a:b': params[0].schema must be the schema of an object"),
        (method("a:b", result=3), "methods[0] 'a:b': result.schema must be a schema"),
        (method("a:b", result={"type": "array", "items": 3}), "result.schema.items must be a schema"),
        (method("a:b", result=an_object(x=3)), "result.schema.properties.x must be a schema"),
        (method("a:b", result={"properties": 3}), "result.schema.properties must be an object of schemas by name"),
        (method("a:b", result={**an_object(x=TEXT), "required": 3}), "result.schema.required must be a list of names"),
        (method("a:b", result={"anyOf": [TEXT, 3]}), "result.schema.anyOf.[1] must be a schema"),
        (method("a:b", result={"enum": 3}), "result.schema.enum must be a list of values"),
        (method("a:b", result={"allOf": 3}), "result.schema.allOf must be a list of schemas"),
        (method("a:b", result={"$ref": 3}), "result.schema.$ref must be a text"),
        (method("a:b", result={"$ref": "#/no"}), "result.schema.$ref must be a part of this document, and '#/no' is"),
        (method("a:b", result={"$ref": "#/components/schemas/Bad"}), "#/components/schemas/Bad.items must be a schema"),
        (method("a:b", result=an_object(**{"a\x1b": 3})), r"properties.a\x1b must be a schema"),
    ],
)
def test_bad_document_is_refused_with_the_method_and_the_place(broken, told):
    """Whoever wrote the document finds the place."""
    assert told in refusal(broken, Bad={"type": "array", "items": None})


def test_huge_document_is_generated_in_time():
    """Thousands of methods and of references in a chain cost what they hold, and no recursion."""
    count = 3000
    chain = {
        f"N{index}": an_object("next", next={"$ref": f"#/components/schemas/N{index + 1}"}) for index in range(count)
    }
    chain[f"N{count}"] = TEXT
    methods = [method(f"files/f{index}:list", result={"$ref": "#/components/schemas/N0"}) for index in range(count)]
    start = time.perf_counter()
    text = generate(document(*methods, **chain))
    assert time.perf_counter() - start < 20
    assert text.count("TypedDict):") == 2 * count


def test_type_that_is_a_list_within_a_list_is_anything():
    """No schema says so; a document that does, a thousand times over, is generated from all the same."""
    kind = ["string"]
    for _ in range(1_000):
        kind = [kind]
    text = generate({"methods": [{"name": "a:b", "params": [], "result": {"schema": {"type": kind}}}]})
    assert "ABResult: TypeAlias = Any" in text
