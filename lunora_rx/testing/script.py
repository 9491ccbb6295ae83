"""What a scripted server answers: a table of functions, arguments and shards, with an answer for each."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from lunora_rx.errors import LunoraError, TransportError
from lunora_rx.protocol.keys import stable_wire_key
from lunora_rx.protocol.wire import encode_wire

__all__ = ["ANY", "PENDING", "Anything", "Entry", "Failure", "Kind", "Script", "Target", "Word"]

Kind: TypeAlias = Literal["query", "mutation", "action", "stream", "shape", "http stream"]


class Word(enum.Enum):
    """What stands where no value can: ``ANY`` and ``PENDING``."""

    ANY = "ANY"
    PENDING = "PENDING"

    def __repr__(self) -> str:
        return self.value


ANY: Final = Word.ANY
"""Stands for whatever arguments, or whatever shard."""

PENDING: Final = Word.PENDING
"""An answer that does not come: a live query stays pending, a call waits for its timeout."""

Anything: TypeAlias = Literal[Word.ANY]


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked for: a function with decoded arguments on a shard."""

    function: str
    args: Mapping[str, Any]
    shard: str
    key: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", stable_wire_key(self.args))


@dataclass(slots=True)
class Entry:
    """One answer of the script, and what it is about.

    Attributes:
        kind: What kind of function it is.
        answer: A value in wire form, a function, an error, or ``PENDING``; for streams, chunks.
        is_value: Whether it is a value in wire form.
        is_durable: Whether runs of the stream outlive sockets.
    """

    function: str
    args: Mapping[str, Any] | Anything
    shard: str | Anything
    kind: Kind | None = None
    answer: Any = PENDING
    is_value: bool = False
    is_durable: bool = False

    @property
    def place(self) -> tuple[str, str | Anything, str | Anything]:
        """What it is about, to compare."""
        return self.function, ANY if self.args is ANY else stable_wire_key(self.args), self.shard

    def fits(self, target: Target) -> bool:
        """Tell whether this is about what is asked for."""
        return _fits(self.place, target)

    def __str__(self) -> str:
        return f"{self.kind or 'function'} {_shown(self.function, self.args, self.shard)}"


@dataclass(slots=True)
class Failure:
    """An error that is given instead of answers; ``times`` is how often yet, ``None`` for always."""

    place: tuple[str, str | Anything, str | Anything]
    error: LunoraError
    times: int | None = None

    def fits(self, target: Target) -> bool:
        """Tell whether this is about what is asked for."""
        return _fits(self.place, target)


class Script:
    """The table, and what went wrong with it.

    Attributes:
        failures: What comes instead of answers, the first that fits.
        problems: What was asked for and not scripted, and scripts that failed themselves, in words.
    """

    def __init__(self) -> None:
        self.failures: list[Failure] = []
        self.problems: list[str] = []
        self._entries: dict[str, list[Entry]] = {}

    def write(self, new: Entry) -> Entry:
        """Put an entry in the place of the one that is about the same, if any; failures of the same are over."""
        self.heal(new.place)
        entries = self._entries.setdefault(new.function, [])
        entries[:] = [entry for entry in entries if entry.place != new.place] + [new]
        return new

    def heal(self, place: object) -> None:
        """Take back the failures that are about just this."""
        self.failures = [failure for failure in self.failures if failure.place != place]

    def known(self, wanted: Entry) -> Entry:
        """Return the entry that is about the same as another one.

        Raises:
            ValueError: There is none; those that there are are named.
        """
        for entry in self._entries.get(wanted.function, []):
            if entry.place == wanted.place:
                return entry
        raise ValueError(f"there is no {wanted}; {self._overview(wanted.function)}")

    def find(self, target: Target) -> Entry | None:
        """Return the entry that says most exactly what is asked for, the latest of equals."""
        fitting = [entry for entry in self._entries.get(target.function, []) if entry.fits(target)]
        return max(reversed(fitting), key=lambda each: (each.args is not ANY, each.shard is not ANY), default=None)

    def ask(self, target: Target, what: str, kinds: Container[Kind | None], hint: str) -> Entry:
        """Return the entry for what is asked for.

        Args:
            target: It.
            what: What kind of thing that is, in words.
            kinds: Which kinds of entries will do.
            hint: How to script it.

        Raises:
            LunoraError: A failure is scripted, or nothing.
        """
        self._fail(target)
        entry = self.find(target)
        if entry is None or entry.kind not in kinds:
            raise self._refuse(target, what, hint)
        return entry

    def answer(self, entry: Entry, args: Mapping[str, Any]) -> Any:
        """Return the answer in wire form, ``PENDING``, or an awaitable of a value.

        Raises:
            LunoraError: The script says so, or it failed itself.
        """
        answer = entry.answer
        if entry.is_value:
            return answer
        if isinstance(answer, LunoraError):
            raise answer.copy()
        if answer is PENDING:
            return answer
        try:
            value = answer(dict(args))
            return value if inspect.isawaitable(value) or value is PENDING else encode_wire(value)
        except Exception as error:
            raise self.failure_of(entry, error) from None

    def failure_of(self, entry: Entry, error: Exception) -> LunoraError:
        """Return what the client is told of an exception in a function of the script."""
        if isinstance(error, TransportError) or (isinstance(error, LunoraError) and error.code):
            return error
        self.problems.append(f"the script of the {entry} raised {type(error).__name__}: {error}")
        return LunoraError(self.problems[-1], code="INTERNAL")

    def _fail(self, target: Target) -> None:
        failure = next((each for each in self.failures if each.fits(target)), None)
        if failure is None:
            return
        if failure.times is not None:
            failure.times -= 1
            if failure.times == 0:
                self.failures.remove(failure)
        raise failure.error.copy()

    def _refuse(self, target: Target, what: str, hint: str) -> LunoraError:
        asked = _shown(target.function, target.args, target.shard)
        problem = f"nobody scripted the {what} {asked}; {self._overview(target.function)}. Script it with {hint}"
        if problem not in self.problems:
            self.problems.append(problem)
        return LunoraError(problem, code="NOT_FOUND")

    def _overview(self, function: str) -> str:
        entries = self._entries.get(function) or [entry for each in self._entries.values() for entry in each]
        return "scripted: " + "; ".join(map(str, entries)) if entries else "nothing is scripted yet"


def _fits(place: tuple[str, str | Anything, str | Anything], target: Target) -> bool:
    function, key, shard = place
    return function == target.function and key in (ANY, target.key) and shard in (ANY, target.shard)


def _shown(function: str, args: Mapping[str, Any] | Anything, shard: str | Anything) -> str:
    with_args = "any arguments" if args is ANY else repr(dict(args))
    return f"{function!r} with {with_args}" + ("" if shard in (ANY, "") else f", shard={shard!r}")
