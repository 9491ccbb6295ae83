"""``lunora-rx import``: the rows of a file as writes, a chunk after another, with a progress bar."""

from __future__ import annotations

import enum
import sys
import uuid
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from lunora_rx.cli.arguments import parse_args
from lunora_rx.cli.calling import explained
from lunora_rx.cli.contact import Contact
from lunora_rx.cli.document import fetch_document
from lunora_rx.cli.ending import run
from lunora_rx.cli.progress import progress_bar
from lunora_rx.cli.rowfile import open_rows
from lunora_rx.cli.target import DEFAULT_URL, AsJson, FunctionName, Shard, Target, Token, Url
from lunora_rx.cli.text import complain, counted, write_line
from lunora_rx.errors import LunoraError
from lunora_rx.functions import any_path
from lunora_rx.rx.importing import Import, ImportProgress


class Format(enum.StrEnum):
    """What a file of rows holds."""

    JSONL = "jsonl"
    CSV = "csv"


def import_(
    function: FunctionName,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="JSON Lines or CSV; - for the standard input.")],
    url: Url = DEFAULT_URL,
    token: Token = None,
    shard: Shard = None,
    form: Annotated[
        Format | None, typer.Option("--format", help="What the file holds, if its name does not say.")
    ] = None,
    keeps_text: Annotated[
        bool,
        typer.Option("--text", help="Keep cells of CSV as text; else numbers, true, false are read, empty is null."),
    ] = False,
    rows_as: Annotated[str, typer.Option("--rows-as", metavar="NAME", help="Argument that takes the rows.")] = "rows",
    args: Annotated[
        str, typer.Option("--args", metavar="ARGS", help="Other arguments, a JSON object.", show_default=False)
    ] = "{}",
    chunk_size: Annotated[int, typer.Option("--chunk-size", min=1, metavar="N", help="Rows a write.")] = 500,
    import_id: Annotated[
        str | None,
        typer.Option(
            "--import-id", metavar="ID", help="Go on with the import of this name, whose rows are not doubled."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the rows of a file by a mutation that takes a list of them.

    The file is read and checked as a whole before the first row is sent, and then read again: it may be of any size.
    An import that stops tells its name: the same command with --import-id goes on where it stopped.
    Exit code 0 if every row is committed, 1 if the server refused, 2 for wrong usage, 3 if no answer came.
    """
    target, name = Target(url, token, shard), import_id or str(uuid.uuid4())
    others = args

    async def main() -> None:
        path, fixed = any_path(function, method="FUNCTION"), parse_args(others, name="--args")
        with open_rows(file, form, keeps_text=keeps_text) as rows:
            document = await fetch_document(target)
            document.check_kind(path, "mutation")
            # Without sign-in the server knows a write again by its client: the import is one.
            async with target.connect(client_id=f"import-{name}") as client:
                contact = Contact(client, is_known=bool(document.methods))
                client.tap(contact)
                importing = client.import_rows(
                    path,
                    rows,
                    shard=shard,
                    chunk_size=chunk_size,
                    to_args=lambda chunk: {**fixed, rows_as: chunk},
                    import_id=name,
                )
                try:
                    await _follow(importing, len(rows), as_json=as_json or not sys.stdout.isatty())
                except LunoraError as error:
                    stopped = explained(error.copy(), document, path, "mutation")
                    whence = contact.stranger.hint if contact.stranger else None
                    stopped.hint = [*_texts(stopped.hint), *_texts(whence), _go_on(name)]
                    raise stopped from None
                except BaseException:
                    complain("import", f"stopped\n{_go_on(name)}")
                    raise

    run("import", main(), redact=target.redact)


async def _follow(importing: Import, total: int, *, as_json: bool) -> None:
    told: dict[str, Any] = {}

    def show(progress: ImportProgress) -> None:
        waits = f"waiting for the connection: {counted(progress.queued, 'row')}" if progress.queued else ""
        bar.update(task, completed=progress.imported, note=waits)
        tree = _tree(importing.import_id, progress)
        if as_json and tree != told:
            told.update(tree)
            write_line(tree)

    with progress_bar("rows") as bar:
        task = bar.add_task("importing", total=total, note="")
        importing.subscribe(show, on_error=lambda error: None)  # whoever awaits is told
        done = await importing
    if not as_json:
        print(f"imported {counted(done.imported, 'row')}")


def _go_on(name: str) -> str:
    return f"to go on where it stopped, run the same command with --import-id {name}"


def _texts(hint: str | Sequence[str] | None) -> list[str]:
    return [hint] if isinstance(hint, str) else list(hint or ())


def _tree(import_id: str, progress: ImportProgress) -> dict[str, Any]:
    return {
        "import_id": import_id,
        "imported": progress.imported,
        "queued": progress.queued,
        "total": progress.total,
        "is_done": progress.is_done,
    }
