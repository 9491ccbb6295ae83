"""What an error says, and what it has to say."""

from __future__ import annotations

from lunora_rx import LunoraError, ServerError, StreamError
from tests.support import Recorder, until

PREDICATES = {
    "CONFLICT": "is_conflict",
    "FORBIDDEN": "is_forbidden",
    "UNAUTHORIZED": "is_unauthorized",
    "TOO_MANY_REQUESTS": "is_rate_limited",
}


async def error_of(call):
    """Return the error that a call fails with."""
    try:
        await call
    except LunoraError as error:
        return error
    raise AssertionError("it did not fail")


async def error_when_seen(observable):
    """Return the error that an observer gets."""
    seen = Recorder()
    observable.subscribe(seen)
    await until(lambda: seen.errors)
    return seen.errors[0]


def check_error(error, case, kind, *, transient):
    """Fail unless an error is of a class, has the code that the name of its case begins with, and may pass or not."""
    code, _, _ = case.partition("-")
    assert type(error) is kind
    assert (error.code, error.transient) == (None if code == "no code" else code, transient)


def check_told(error, code):
    """Fail unless an error is told as that code is, and answers the predicate of that code alone."""
    kind = StreamError if code.startswith("STREAM_") and error.status is None else ServerError
    assert (type(error), error.code) == (kind, code)
    assert {each: getattr(error, name) for each, name in PREDICATES.items()} == {
        each: each == code for each in PREDICATES
    }
