"""Rows of a file: JSON Lines or CSV, checked as a whole before the first one is sent."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

from lunora_rx.cli.ending import CommandError, ExitCode
from lunora_rx.errors import CodecError
from lunora_rx.protocol.text import loads

FORMATS: Final = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
STDIN: Final = "-"


def read_rows(file: str, form: str | None, *, keeps_text: bool) -> list[Any]:
    """Return all rows of a file.

    Args:
        file: Its name, or ``-`` for the standard input.
        form: ``"jsonl"`` or ``"csv"``; by default what the name ends with says.
        keeps_text: Whether cells of CSV stay text: else numbers, ``true`` and ``false`` are read as JSON has them,
            and a cell with nothing in it as ``None``.

    Raises:
        CommandError: It cannot be read, or a line of it; the line is named.
    """
    kind = form or FORMATS.get(Path(file).suffix.lower())
    if kind not in FORMATS.values():
        raise CommandError(
            f"{file} ends with none of {', '.join(FORMATS)}: --format jsonl or csv says what it holds", ExitCode.USAGE
        )
    name = "the standard input" if file == STDIN else file
    with _opened(file, name) as lines:
        rows = _csv_rows(lines, name, keeps_text=keeps_text) if kind == "csv" else _json_rows(lines, name)
        return list(rows)


@contextmanager
def _opened(file: str, name: str) -> Iterator[TextIO]:
    try:
        if file == STDIN:
            yield sys.stdin
            return
        # A byte order mark is what spreadsheets begin with; newlines within cells are the csv module's.
        with open(file, encoding="utf-8-sig", newline="") as opened:
            yield opened
    except OSError as error:
        raise CommandError(f"cannot read {name}: {(error.strerror or str(error)).lower()}", ExitCode.USAGE) from None
    except UnicodeDecodeError as error:
        raise CommandError(f"{name} is not UTF-8: {error.reason}", ExitCode.USAGE) from None


def _json_rows(lines: Iterable[str], name: str) -> Iterator[Any]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield loads(line)
        except CodecError as error:
            raise _at(name, number, error.message.removeprefix(f"{error.path}: ")) from None


def _csv_rows(lines: Iterable[str], name: str, *, keeps_text: bool) -> Iterator[dict[str, Any]]:
    reader = csv.DictReader(lines, strict=True)
    try:
        columns = reader.fieldnames or []
        if len(set(columns)) != len(columns) or "" in columns:
            raise _at(name, 1, "the first line names the columns, each once")
        for row in reader:
            if None in row or None in row.values():
                raise _at(name, reader.line_num, f"the row has not the {len(columns)} cells that the first line names")
            yield row if keeps_text else {column: _cell(text) for column, text in row.items()}
    except csv.Error as error:
        raise _at(name, reader.line_num, str(error)) from None


def _cell(text: str) -> Any:
    if not text:
        return None
    if text[0] not in "-0123456789tf":
        return text
    try:
        value = loads(text)
    except CodecError:
        return text  # 007, a date, a word
    return value if isinstance(value, int | float) else text


def _at(name: str, line: int, reason: str) -> CommandError:
    return CommandError(f"{name}, line {line}: {reason}; no row was sent", ExitCode.USAGE)
