"""From functions in Python to a document, to a module, to a program that runs against them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from lunora_rx import LunoraClient, WireBigInt
from lunora_rx.codegen import generate
from tests.typing.chat_program import program
from tests.typing.chat_server import app

MODULE = Path(__file__).parents[1] / "typing" / "chat_api.py"


def test_committed_module_of_the_chat_is_what_is_generated_now():
    """What mypy and pyright check is what the server's document gives today."""
    assert generate(app.openrpc()) == MODULE.read_text(encoding="utf-8")


async def test_program_with_generated_references_runs_against_their_server(no_tasks_left):
    """The values are what the type checkers were told."""
    async with app.serve() as url, LunoraClient(url) as client:
        seen = await program(client)
    (row,) = seen["rows"]
    assert row["_id"] == seen["id"]
    assert (row["text"], row["mood"], row["attachments"]) == ("hi", "loud", [{"name": "a.txt", "size": 3}])
    assert seen["pages"] == seen["page"] == seen["preloaded"] == seen["rows"]
    assert (seen["count"], seen["url"]) == (1, "https://example.org/ada")
    assert seen["thread"]["replies"] == [{"text": "b", "replies": []}]
    assert seen["no thread"] == {"text": "", "replies": []}
    assert seen["given"]["data"] == b"\0"
    assert seen["given"]["big"] == WireBigInt(2**70)
    assert seen["given"]["at"].tzinfo is not None
    assert seen["clock"] == datetime(2026, 1, 1, tzinfo=UTC)
