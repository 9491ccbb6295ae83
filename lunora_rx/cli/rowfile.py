"""Rows of a file: JSON Lines or CSV, checked as a whole before the first one is sent, and then read again.

So a file of any size is imported in little memory, and a mistake in its last line is found before anything is sent.
"""

from __future__ import annotations

import csv
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final, TextIO

from lunora_rx.cli.ending import CommandError, ExitCode
from lunora_rx.errors import CodecError
from lunora_rx.protocol.text import loads

FORMATS: Final = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
STDIN: Final = "-"


class RowFile:
    """The rows of an open file, read a line at a time whenever somebody asks for them; none is kept.

    Args:
        lines: The file, which can be read from its beginning again.
        name: How it is called in messages.
        kind: ``"jsonl"`` or ``"csv"``.
        keeps_text: Whether cells of CSV stay text.
    """

    def __init__(self, lines: TextIO, name: str, kind: str, *, keeps_text: bool) -> None:
        self._lines = lines
        self._name = name
        self._kind = kind
        self._keeps_text = keeps_text
        self._count = 0
        self._seen: tuple[int, int] | None = None

    def check(self) -> None:
        """Read all rows once, and count them; from then on the file may not change.

        Raises:
            CommandError: A line cannot be read; it is named.
        """
        self._seen = self._state()
        try:
            self._count = sum(1 for _ in self)
        except ValueError as error:
            raise CommandError(f"{error}; no row was sent", ExitCode.USAGE) from None

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        self._lines.seek(0)
        try:
            for row in self._rows():
                self._check_unchanged()
                yield row
        except UnicodeDecodeError as error:
            raise ValueError(f"{self._name} is not UTF-8: {error.reason}") from None
        except ValueError:
            self._check_unchanged()  # then that is why a line cannot be read which could be
            raise
        self._check_unchanged()

    def _rows(self) -> Iterator[Any]:
        if self._kind == "csv":
            return _csv_rows(self._lines, self._name, keeps_text=self._keeps_text)
        return _json_rows(self._lines, self._name)

    def _check_unchanged(self) -> None:
        if self._state() != self._seen:
            raise ValueError(f"{self._name} was changed while it was read: what was sent may not be what is in it now")

    def _state(self) -> tuple[int, int]:
        found = os.fstat(self._lines.fileno())
        return found.st_size, found.st_mtime_ns


@contextmanager
def open_rows(file: str, form: str | None, *, keeps_text: bool) -> Iterator[RowFile]:
    """Open a file of rows that are checked; what can be read only once is copied to the disk first.

    Args:
        file: Its name, or ``-`` for the standard input.
        form: ``"jsonl"`` or ``"csv"``; by default what the name ends with says.
        keeps_text: Whether cells of CSV stay text: else numbers, ``true`` and ``false`` are read as JSON has them,
            and a cell with nothing in it as ``None``.

    Raises:
        CommandError: It cannot be read, or a line of it; the line is named.
    """
    kind = form or FORMATS.get(Path(file).suffix.lower())
    if kind is None or kind not in FORMATS.values():
        raise CommandError(
            f"{file} ends with none of {', '.join(FORMATS)}: --format jsonl or csv says what it holds", ExitCode.USAGE
        )
    name = "the standard input" if file == STDIN else file
    with ExitStack() as stack:
        try:
            rows = RowFile(stack.enter_context(_readable(file, name)), name, kind, keeps_text=keeps_text)
            rows.check()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise CommandError(f"cannot read {name}: {reason}", ExitCode.USAGE) from None
        yield rows


@contextmanager
def _readable(file: str, name: str) -> Iterator[TextIO]:
    """Open what can be read from its beginning again: the file itself, or a copy."""
    if file == STDIN:
        with _copied(sys.stdin, name) as copy:
            yield copy
        return
    # A byte order mark is what spreadsheets begin with; newlines within cells are the csv module's.
    with open(file, encoding="utf-8-sig", newline="") as opened:
        if opened.seekable():
            yield opened
            return
        with _copied(opened, name) as copy:
            yield copy


@contextmanager
def _copied(source: TextIO, name: str) -> Iterator[TextIO]:
    with TemporaryFile("w+", encoding="utf-8", newline="") as copy:
        try:
            shutil.copyfileobj(source, copy)
        except UnicodeDecodeError as error:
            raise CommandError(f"{name} is not UTF-8: {error.reason}", ExitCode.USAGE) from None
        copy.flush()
        yield copy


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


def _at(name: str, line: int, reason: str) -> ValueError:
    return ValueError(f"{name}, line {line}: {reason}")
