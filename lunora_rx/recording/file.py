"""Reads recordings: a line at a time, however large the file is."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple, cast

from lunora_rx.errors import CodecError
from lunora_rx.protocol.recording import Entry, Header, decode_entry, decode_header

LINE_LIMIT: Final = 512 * 2**20
"""Bytes of one line: the largest frame of a client with the default limits, however its text is escaped."""


class Line(NamedTuple):
    """One entry, and where in the file (uncompressed) its line begins."""

    entry: Entry
    offset: int


class RecordingFile:
    """A recording on disk.

    A last line that was cut off, as a crash leaves it, is passed over; any other damage is an error.

    Args:
        path: The file; compressed if its name ends in ``.gz``.

    Raises:
        OSError: The file cannot be read.
        CodecError: It is no recording, or one of an unknown version.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with self._open() as file:
            self.header = self._read_header(file)

    def lines(self) -> Iterator[Line]:
        """Read all entries, in order.

        Raises:
            CodecError: A line is damaged; ``path`` says which.
        """
        with self._open() as file:
            self._read_header(file)
            number, offset = 2, file.tell()
            while line := self._read_line(file, number):
                entry = self._decode(line, number)
                if entry is None:
                    return
                yield Line(entry, offset)
                number, offset = number + 1, offset + len(line)

    def entries(self) -> Iterator[Entry]:
        """Read all entries, in order; raises as ``lines``."""
        return (line.entry for line in self.lines())

    def entry_at(self, offset: int) -> Entry:
        """Read the entry whose line begins at an offset, as ``lines`` told it."""
        with self._open() as file:
            file.seek(offset)
            return decode_entry(file.readline())

    def _open(self) -> IO[bytes]:
        if self.path.suffix == ".gz":
            return cast("IO[bytes]", gzip.open(self.path, "rb"))
        return self.path.open("rb")

    def _read_header(self, file: IO[bytes]) -> Header:
        try:
            return decode_header(self._read_line(file, 1))
        except CodecError as error:
            raise self._error(1, error.message.removeprefix("header: ")) from None

    def _read_line(self, file: IO[bytes], number: int) -> bytes:
        try:
            line = file.readline(LINE_LIMIT + 1)
        except EOFError:  # compressed, and cut off
            return b""
        except (OSError, zlib.error) as error:
            raise self._error(number, f"cannot be decompressed: {error}") from None
        if len(line) > LINE_LIMIT:
            raise self._error(number, f"is longer than {LINE_LIMIT} bytes")
        return line

    def _decode(self, line: bytes, number: int) -> Entry | None:
        try:
            return decode_entry(line)
        except CodecError as error:
            if not line.endswith(b"\n"):
                return None
            raise self._error(number, error.message) from None

    def _error(self, number: int, reason: str) -> CodecError:
        return CodecError(reason, path=f"{self.path} line {number}")
