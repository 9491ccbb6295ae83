"""``lunora-rx call`` and ``lunora-rx mutate``: one function, once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from lunora_rx.cli.arguments import parse_args
from lunora_rx.cli.contact import Contact
from lunora_rx.cli.document import Document, fetch_document
from lunora_rx.cli.ending import run
from lunora_rx.cli.target import DEFAULT_URL, ArgsText, AsJson, FunctionName, Shard, Target, Timeout, Token, Url
from lunora_rx.cli.text import write_line, write_pretty
from lunora_rx.client import LunoraClient
from lunora_rx.errors import LunoraError, ServerError, TransportError
from lunora_rx.functions import any_path
from lunora_rx.rx.calls import Call

Ask = Callable[[LunoraClient, str, dict[str, Any]], Call[Any]]


def call(
    function: FunctionName,
    args: ArgsText = "{}",
    url: Url = DEFAULT_URL,
    token: Token = None,
    shard: Shard = None,
    timeout: Timeout = 30,
    as_json: AsJson = False,
) -> None:
    """Run a query or an action once, and print its result as JSON.

    Exit code 0 if there is a result, 1 if the server refused, 2 for wrong usage, 3 if no answer came.
    """
    target = Target(url, token, shard)

    def ask(client: LunoraClient, path: str, arguments: dict[str, Any]) -> Call[Any]:
        return client.action(path, arguments, shard=shard, timeout=timeout)

    run("call", _once(target, function, args, ask, kinds=("query", "action"), as_json=as_json), redact=target.redact)


def mutate(
    function: FunctionName,
    args: ArgsText = "{}",
    url: Url = DEFAULT_URL,
    token: Token = None,
    shard: Shard = None,
    timeout: Timeout = 30,
    mutation_id: Annotated[
        str | None,
        typer.Option("--mutation-id", metavar="ID", help="Idempotency key: the server carries one out once."),
    ] = None,
    client_id: Annotated[
        str | None,
        typer.Option("--client-id", metavar="ID", help="Whose write it is if nobody is signed in; keys belong to it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a mutation once, and print its result as JSON.

    Nothing is queued: a write that gets no answer ends with exit code 3, and may have been carried out.
    Repeat it with the same --mutation-id and --client-id, or the same token, to be sure that it is, once.
    Exit code 0 if it is committed, 1 if the server refused, 2 for wrong usage, 3 if no answer came.
    """
    target = Target(url, token, shard)

    def ask(client: LunoraClient, path: str, arguments: dict[str, Any]) -> Call[Any]:
        return client.mutation(path, arguments, shard=shard, timeout=timeout, mutation_id=mutation_id)

    main = _once(target, function, args, ask, kinds=("mutation",), as_json=as_json, client_id=client_id)
    run("mutate", main, redact=target.redact)


async def _once(
    target: Target, function: str, args: str, ask: Ask, *, kinds: tuple[str, ...], as_json: bool, **options: Any
) -> None:
    path, arguments = any_path(function, method="FUNCTION"), parse_args(args)
    document = await fetch_document(target)
    document.check_kind(path, *kinds)
    async with target.connect(**options) as client:
        contact = Contact(client, is_known=bool(document.methods))
        client.tap(contact)
        try:
            result = await ask(client, path, arguments)
        except (ServerError, TransportError) as error:
            raise contact.stranger or explained(error, document, path, *kinds) from None
    show = write_line if as_json or not sys.stdout.isatty() else write_pretty
    show(result)


def explained(error: LunoraError, document: Document, function: str, *kinds: str) -> LunoraError:
    """Return the error of a refused call with what the server's document says about it as a hint."""
    explanation = document.explain(error, function, *kinds)
    if explanation is None:
        return error
    twin = error.copy()
    twin.hint = explanation
    return twin
