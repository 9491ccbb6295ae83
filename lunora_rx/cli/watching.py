"""``lunora-rx watch``: a live query in the terminal, or as lines of JSON in a pipe."""

from __future__ import annotations

import logging
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from reactivex import operators as ops

from lunora_rx.arguments import show_url
from lunora_rx.cli.arguments import parse_args
from lunora_rx.cli.calling import explained
from lunora_rx.cli.contact import Contact
from lunora_rx.cli.document import fetch_document
from lunora_rx.cli.ending import CommandError, ExitCode, Redact, run
from lunora_rx.cli.sending import waiting_writes
from lunora_rx.cli.target import DEFAULT_URL, ArgsText, AsJson, FunctionName, Shard, Subject, Target, Token, Url
from lunora_rx.cli.text import complain
from lunora_rx.cli.watch.lines import write_lines
from lunora_rx.cli.watch.status import refusal
from lunora_rx.client import LunoraClient
from lunora_rx.core.backoff import Backoff
from lunora_rx.errors import LunoraError
from lunora_rx.functions import any_path
from lunora_rx.rx.live_query import LiveQuery

# Somebody is looking: half a minute between attempts would be long.
_RECONNECT = Backoff(maximum=5.0)


def watch(
    function: FunctionName,
    args: ArgsText = "{}",
    url: Url = DEFAULT_URL,
    token: Token = None,
    shard: Shard = None,
    sort: Annotated[
        str | None, typer.Option("--sort", metavar="COLUMN", help="Sort by a column; -COLUMN for the largest first.")
    ] = None,
    filter_: Annotated[
        str,
        typer.Option(
            "--filter", metavar="WORDS", help="Rows to show: text, column=text, column>5.", show_default=False
        ),
    ] = "",
    spark: Annotated[
        str | None, typer.Option("--spark", metavar="COLUMN", help="Draw the numbers of a column as a line.")
    ] = None,
    page_size: Annotated[
        int | None,
        typer.Option("--page-size", min=1, metavar="N", help="Watch a paginated query, so many rows a page."),
    ] = None,
    storage: Annotated[
        Path | None,
        typer.Option(
            "--storage", help="Storage directory: last values show at once, and writes that wait there are sent."
        ),
    ] = None,
    subject: Subject = None,
    count: Annotated[
        int | None,
        typer.Option("--count", min=1, metavar="N", help="End after so many live values; for lines of JSON."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Watch a query: a table that follows it, changed cells marked, until q or Ctrl-C.

    Keys: arrows move, s sorts by the column, / filters, g draws the column, space pauses, Enter shows the row,
    m loads another page, r asks for the value again, q leaves.
    With --json, or in a pipe, each change is a line: status, value, cursor, updated_at, error.
    A lost connection comes back by itself: values are dimmed until then.
    Exit code 0 when it is left, 1 if query or token are refused, 2 for wrong usage, 3 if no Lunora server answered.
    """
    target, is_screen = Target(url, token, shard, subject), not as_json and sys.stdout.isatty() and sys.stderr.isatty()
    if is_screen and find_spec("textual") is None:
        raise typer.BadParameter("the table is drawn with textual: pip install 'lunora-rx[cli]'; or use --json")
    if is_screen and count is not None:
        raise typer.BadParameter("--count is for --json and pipes")

    async def main() -> None:
        path, arguments = any_path(function, method="FUNCTION"), parse_args(args)
        if storage is not None and storage.is_dir():
            waiting_writes(storage, target.identity)
        document = await fetch_document(target)
        document.check_kind(path, "query")
        async with target.connect(storage=storage, reconnect=_RECONNECT) as client:
            live = _live(client, path, arguments, shard, page_size)
            contact = Contact(client, is_known=bool(document.methods))
            try:
                if is_screen:
                    title = f"{path} {args if arguments else ''}".strip()
                    await _show(client, live, contact, f"{title}  at {show_url(url)}", sort, filter_, spark)
                else:
                    await _write(client, live, contact, target.redact, count)
            except LunoraError as error:
                raise explained(error, document, path, "query") from None

    # What is wrong shows in the status line and in the lines; a log would be written across the screen.
    logging.getLogger("lunora_rx").addHandler(logging.NullHandler())
    run("watch", main(), redact=target.redact, interrupted=ExitCode.SUCCESS)


def _live(
    client: LunoraClient, path: str, args: dict[str, Any], shard: str | None, page_size: int | None
) -> LiveQuery[Any]:
    if page_size is None:
        return client.live(path, args, shard=shard)
    return client.paginate(path, args, page_size=page_size, shard=shard)


async def _write(
    client: LunoraClient, live: LiveQuery[Any], contact: Contact, redact: Redact, count: int | None
) -> None:
    told: set[str] = set()

    def complain_once(failure: str) -> None:
        # Once there is a value the lines say how far it can be trusted.
        if not live.snapshot.has_value and failure not in told:
            told.add(failure)
            complain("watch", redact(f"no value yet: {failure}"))

    refusals = client.token_expired.pipe(ops.map(lambda _: refusal()))
    strangers = contact.strangers.pipe(ops.filter(lambda _: not live.snapshot.has_value))
    with client.tap(contact), contact.failures.subscribe(complain_once):
        await write_lines(live, strangers.pipe(ops.merge(refusals)), count=count)


async def _show(
    client: LunoraClient,
    live: LiveQuery[Any],
    contact: Contact,
    title: str,
    sort: str | None,
    words: str,
    spark: str | None,
) -> None:
    from lunora_rx.cli.watch.screen import View, WatchApp
    from lunora_rx.cli.watch.table import Order

    order = None if not sort else Order(sort.removeprefix("-"), is_descending=sort.startswith("-"))
    app = WatchApp(client, live, View(title, order, words, spark), contact=contact)
    error = await app.run_async()
    if error is not None:
        raise error
    if app.return_code:
        raise CommandError("the screen ended with an error")
