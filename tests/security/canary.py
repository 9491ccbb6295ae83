"""Planted secrets, and an eavesdropper who reads whatever a program could show of them.

Each secret holds a word that is nowhere else, so that a part or a spelling of it is as easily found as the whole.
"""

from __future__ import annotations

import base64
import gc
import hashlib
import logging
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

WORD = "5b1fe0c0ffee4711"
"""What every secret holds."""


def planted(name: str) -> str:
    """Return a secret with characters that URLs, JSON and base64 each spell differently."""
    return f'canary-{name}/+&="{WORD}"~'


def spellings(word: str = WORD) -> dict[str, str]:
    """Return how a word, or the inner part of it, may be spelt."""
    text = word.encode()
    found = {
        "as it is": word,
        "first half": word[: len(word) // 2],
        "second half": word[len(word) // 2 :],
        "hexadecimal": text.hex(),
        "percent-encoded": "".join(f"%{each:02X}" for each in text),
        "reversed": word[::-1],
    }
    for shift in range(3):  # base64 of a text that holds the word, wherever it begins therein
        encoded = base64.b64encode(b"\0" * shift + text).decode()
        found[f"base64, shifted by {shift}"] = encoded[4 : 4 * (len(text) // 3)]
    return found


def digests(secrets: Iterable[str]) -> set[str]:
    """Return the one-way digests of secrets, as identities are told apart by them."""
    return {hashlib.sha256(secret.encode()).hexdigest()[:32] for secret in secrets}


def leaks(text: str) -> list[str]:
    """Return which spellings of the word a text holds."""
    folded = text.lower()
    return [name for name, spelt in spellings().items() if spelt in text or spelt.lower() in folded]


class Ear(logging.Handler):
    """Keeps all that any logger says, with its traceback and everything else that a formatter could show."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.heard: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        told = [self.format(record), record.getMessage(), repr(vars(record))]
        if record.exc_info and record.exc_info[1] is not None:
            told += all_of_error(record.exc_info[1])
        self.heard.append((f"log of {record.name}", "\n".join(told)))


class Eavesdropper:
    """Collects what a program shows, and says where a secret stands in it.

    Attributes:
        told: Where something was heard, and what.
        errors: Exceptions that reached the application.
    """

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.errors: list[BaseException] = []
        self._ear = Ear()
        self._levels: dict[logging.Logger, int] = {}

    def __enter__(self) -> Eavesdropper:
        root = logging.getLogger()
        loggers = [root, *(each for each in root.manager.loggerDict.values() if isinstance(each, logging.Logger))]
        self._levels = {each: each.level for each in loggers}
        for each in loggers:
            each.setLevel(logging.DEBUG)
        root.addHandler(self._ear)
        return self

    def __exit__(self, *exc_info: object) -> None:
        logging.getLogger().removeHandler(self._ear)
        for each, level in self._levels.items():
            each.setLevel(level)

    @property
    def loggers(self) -> set[str]:
        """The loggers that said something."""
        return {place.removeprefix("log of ") for place, _ in self._ear.heard}

    def hear(self, place: str, *shown: object) -> None:
        """Take down how things are shown."""
        for each in shown:
            self.told.append((place, "\n".join([repr(each), str(each), f"{each}"])))

    def catch(self, error: BaseException) -> None:
        """Take an exception that reached the application."""
        self.errors.append(error)
        self.told += [(f"error {type(error).__name__}", text) for text in all_of_error(error)]

    def look_around(self) -> None:
        """Take down how every object of the library that lives now is shown; its integers hold no text."""
        for each in gc.get_objects():
            if str(type(each).__module__).startswith("lunora_rx") and not isinstance(each, type | int):
                self.hear(f"repr of {type(each).__qualname__}", each)

    def read(self, *directories: Path) -> None:
        """Take down all that files hold, and their names."""
        for path in (path for directory in directories for path in sorted(directory.rglob("*"))):
            content = path.read_bytes().decode("latin-1") if path.is_file() else ""
            self.told.append((f"file {path.name}", f"{path}\n{content}"))

    def leaks(self) -> set[str]:
        """Return where a secret was heard, and how it was spelt."""
        everything = [*self.told, *self._ear.heard]
        return {f"{place}: {spelt}" for place, text in everything for spelt in leaks(text)}


def all_of_error(error: BaseException) -> list[str]:
    """Return all that an exception could show: itself, those behind it, and the local variables of our frames."""
    told = ["".join(traceback.format_exception(error))]
    for each in _with_those_behind(error, set()):
        told += [str(each), repr(each), repr(each.args), repr(vars(each)), repr(getattr(each, "__notes__", None))]
        told += _locals(each.__traceback__)
    return told


def _with_those_behind(error: BaseException | None, seen: set[int]) -> Iterator[BaseException]:
    """An exception, and what it came of, whether or not a traceback would show that."""
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield error
    for behind in (error.__cause__, error.__context__, *getattr(error, "exceptions", ())):
        yield from _with_those_behind(behind, seen)


def _locals(trace: TracebackType | None) -> list[str]:
    found: list[Any] = []
    while trace is not None:
        if "/lunora_rx/" in trace.tb_frame.f_code.co_filename.replace("\\", "/"):
            found.append({name: _shown(value) for name, value in trace.tb_frame.f_locals.items()})
        trace = trace.tb_next
    return [repr(each) for each in found]


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:
        return f"no repr: {type(error).__name__}"
