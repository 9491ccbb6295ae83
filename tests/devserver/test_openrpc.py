"""The document that typed clients are generated from."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Literal, TypedDict

from lunora_rx.devserver import App
from lunora_rx.protocol import WireBigInt


class Message(TypedDict):
    _id: str
    text: str


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
    assert method["result"]["schema"]["items"]["required"] == ["_id", "text"]
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
        "f": {},
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
