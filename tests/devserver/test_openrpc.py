"""The document that typed clients are generated from."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, NewType, NotRequired, TypedDict, TypeVar

import pytest

from lunora_rx.devserver import App, TableId
from lunora_rx.devserver.annotations import kind_of
from lunora_rx.devserver.kinds import Components, Mismatch
from lunora_rx.protocol import WireBigInt, WireUrl

T = TypeVar("T")
UserId = NewType("UserId", str)


class Message(TypedDict):
    _id: str
    text: str


class Tree(TypedDict):
    """A tree."""

    kids: list[Tree]
    owner: NotRequired[Annotated[UserId, TableId("users")]]


class Box(TypedDict, Generic[T]):
    held: NotRequired[list[T]]
    label: str


class Lost(TypedDict):
    where: Nowhere  # noqa: F821


def schema_of(annotation):
    """Return the schema of an annotation, and the components that it needs."""
    components = Components()
    return kind_of(annotation).schema(components), components.schemas


def twin_of_message():
    """Return another typed dict of the same name."""
    return TypedDict("Message", {"body": str})


def documented_app() -> App:
    app = App(title="chat", version="1.2")

    @app.query("messages:list")
    def list_messages(ctx, channelId: str, limit: int = 50) -> list[Message]:
        """List the messages of a channel.

        Newest first.
        """
        return []

    @app.mutation("admin:everything")
    def everything(
        ctx,
        a: float,
        b: bytes,
        c: WireBigInt,
        d: Literal["x", "y"] | None,
        e: dict[str, bool],
        f: datetime,
        g: Any,
        **h: Any,
    ):
        return None

    @app.action("admin:ping")
    async def ping(ctx) -> None: ...

    return app


def test_document_lists_methods_by_name_and_kind():
    """Every registered function is a method, sorted, with its kind and namespace."""
    document = documented_app().openrpc()
    assert document["openrpc"] == "1.3.2"
    assert document["info"]["title"] == "chat"
    assert [(each["name"], each["x-lunora-function-kind"]) for each in document["methods"]] == [
        ("admin:everything", "mutation"),
        ("admin:ping", "action"),
        ("messages:list", "query"),
    ]
    assert [each["x-tags"] for each in document["methods"]][2] == [{"name": "messages"}]


def test_method_declares_arguments_result_and_documentation():
    """One object parameter; required are those without a default."""
    method = documented_app().openrpc()["methods"][2]
    assert method["params"] == [
        {
            "name": "args",
            "required": True,
            "schema": {
                "type": "object",
                "properties": {"channelId": {"type": "string"}, "limit": {"type": "integer"}},
                "required": ["channelId"],
            },
        }
    ]
    assert method["result"]["schema"] == {"type": "array", "items": {"$ref": "#/components/schemas/Message"}}
    assert (method["summary"], method["description"].splitlines()[-1]) == (
        "List the messages of a channel.",
        "Newest first.",
    )
    assert {each["data"]["code"] for each in method["errors"]} >= {"VALIDATION_ERROR", "INTERNAL"}
    assert len({each["code"] for each in method["errors"]}) == len(method["errors"])


def test_schemas_follow_the_table_of_the_protocol():
    """Each annotation has the schema that code generation knows."""
    method = documented_app().openrpc()["methods"][0]
    schema = method["params"][0]["schema"]
    assert schema["properties"] == {
        "a": {"type": "number"},
        "b": {"type": "string", "contentEncoding": "base64"},
        "c": {"type": "string", "format": "int64"},
        "d": {"anyOf": [{"anyOf": [{"const": "x"}, {"const": "y"}]}, {"type": "null"}]},
        "e": {"type": "object", "additionalProperties": {"type": "boolean"}},
        "f": {"x-lunora-rx-type": "datetime"},
        "g": {},
    }
    assert schema["additionalProperties"] is True
    assert set(method["result"]["schema"]) == {"description"}


def test_function_without_arguments_requires_none():
    """An optional args object stays optional."""
    ping = documented_app().openrpc()["methods"][1]
    assert ping["params"][0]["required"] is False
    assert ping["result"]["schema"] == {"type": "null"}


def test_same_app_gives_same_document():
    """Generated code does not change by itself."""
    assert json.dumps(documented_app().openrpc()) == json.dumps(documented_app().openrpc())


def test_typed_dict_is_a_component_of_the_document():
    """Its name and its docstring reach the generated code; two of one name stay two."""
    app = App()

    @app.query("a:b")
    def both(ctx, one: Message, two: twin_of_message(), three: list[Tree]) -> Message: ...

    both_of_them = app.openrpc()["components"]["schemas"]
    assert list(both_of_them) == ["Message", "Message2", "Tree"]
    assert both_of_them["Message2"]["properties"] == {"body": {"type": "string"}}
    assert both_of_them["Tree"]["description"] == "A tree."
    assert "components" not in App().openrpc()


def test_typed_dict_that_holds_itself_is_described_and_checked():
    """A tree refers to itself, and is checked as deep as it goes."""
    schema, schemas = schema_of(Tree)
    assert schema == {"$ref": "#/components/schemas/Tree"}
    assert schemas["Tree"]["properties"]["kids"] == {"type": "array", "items": schema}
    kind = kind_of(Tree)
    assert kind.check({"kids": [{"kids": []}]}, "tree") == {"kids": [{"kids": []}]}
    with pytest.raises(Mismatch, match=r"tree\.kids\[0\]\.kids must be"):
        kind.check({"kids": [{"kids": 3}]}, "tree")


def test_generic_typed_dict_has_its_arguments_filled_in():
    """``Box[int]`` is another type than ``Box[str]``; one that is not filled holds anything."""
    schema, schemas = schema_of(Box[int])
    assert schema == {"$ref": "#/components/schemas/Boxint"}
    assert schemas["Boxint"]["properties"]["held"] == {"type": "array", "items": {"type": "integer"}}
    assert schemas["Boxint"]["required"] == ["label"]
    assert schema_of(Box)[1]["Box"]["properties"]["held"] == {"type": "array", "items": {}}


def test_id_of_a_table_is_a_string_that_names_it():
    """The mark goes into the schema and into the refusal; the value is any string."""
    kind = kind_of(Annotated[UserId, TableId("users")])
    assert kind.schema(Components()) == {"type": "string", "x-lunora-table": "users"}
    assert kind.check("u1", "user") == "u1"
    with pytest.raises(Mismatch, match="user must be the id of a row of users"):
        kind.check(3, "user")
    with pytest.raises(TypeError, match=r"TableId\('users'\) marks a string, and this is a whole number"):
        kind_of(Annotated[int, TableId("users")])


def test_value_with_a_tag_is_named_by_a_keyword_of_ours():
    """The wire carries it, and no schema of the document says so."""
    assert schema_of(WireUrl)[0] == {"x-lunora-rx-type": "WireUrl"}
    assert schema_of(datetime)[0] == {"x-lunora-rx-type": "datetime"}


def test_annotation_in_a_typed_dict_that_is_not_defined_is_told():
    """The error names the typed dict and what it lacks."""
    with pytest.raises(TypeError, match="Lost names 'Nowhere', which is not defined"):
        kind_of(Lost)


def test_result_that_is_not_supported_stays_undeclared():
    """What a function returns is not checked, so its annotation may be anything."""
    app = App()

    @app.query("a:b")
    def odd(ctx) -> set[int]: ...

    assert app.openrpc()["methods"][0]["result"]["schema"] == {"description": "No output declared."}


def test_streams_and_shapes_stand_beside_the_methods():
    """Nobody can call them, and no client is generated from them; whoever looks for them sees their arguments."""
    app = documented_app()
    methods = app.openrpc()["methods"]

    @app.stream("numbers:count")
    def count(ctx, upto: int):
        """Count."""
        yield from range(upto)

    app.shape("unread")(lambda ctx: ctx.db.table("messages"))
    document = app.openrpc()
    assert document["methods"] == methods
    (stream,), (shape,) = document["x-lunora-streams"], document["x-lunora-shapes"]
    assert (stream["name"], stream["x-lunora-function-kind"]) == ("numbers:count", "stream")
    assert stream["params"][0]["schema"]["required"] == ["upto"]
    assert (shape["name"], shape["x-lunora-function-kind"]) == ("unread", "shape")
