"""The tree of exceptions."""

from __future__ import annotations

import pickle

import pytest

from lunora_rx import errors
from lunora_rx.errors import ClientClosedError, CodecError, LunoraError, RequestTimeout, ServerError, TransportError

CLASSES = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("kind", CLASSES)
def test_error_each_is_a_lunora_error_with_its_fields(kind):
    """One ``except`` catches all of ours, and each has every field."""
    error = kind("what happened", code="X")
    assert isinstance(error, LunoraError)
    assert (error.code, error.data, error.hint, error.status, error.transient) == ("X", None, None, None, False)
    assert str(error).startswith("X: ")


def test_error_tree_is_as_documented():
    """A timeout is a transport error, a codec error a ``ValueError``."""
    assert issubclass(RequestTimeout, TransportError)
    assert issubclass(CodecError, ValueError)
    assert not issubclass(RequestTimeout, TimeoutError)


def test_error_shown_without_a_code_is_its_message():
    """The message stands alone where there is no code."""
    assert (str(LunoraError("no")), repr(LunoraError("no", code="X"))) == ("no", "LunoraError('no', code='X')")


@pytest.mark.parametrize("kind", CLASSES)
def test_error_copied_or_pickled_is_equal_in_all_but_identity(kind):
    """A copy has the same class, message, fields and cause, and no traceback."""
    try:
        raise kind("what happened", code="X") from KeyError("why")
    except LunoraError as caught:
        error = caught
    twin = error.copy()
    assert (type(twin), str(twin), repr(twin), vars(twin)) == (kind, str(error), repr(error), vars(error))
    assert twin is not error
    assert twin.__cause__ is error.__cause__
    assert twin.__traceback__ is None
    revived = pickle.loads(pickle.dumps(error))
    assert (type(revived), str(revived), vars(revived)) == (kind, str(error), vars(error))


def test_error_note_on_a_copy_stays_there():
    """What one awaiter adds is not seen by the next."""
    error = ServerError("no")
    error.add_note("first")
    error.copy().add_note("second")
    assert error.__notes__ == ["first"]


@pytest.mark.parametrize(
    ("code", "flag"),
    [
        ("CONFLICT", "is_conflict"),
        ("FORBIDDEN", "is_forbidden"),
        ("UNAUTHORIZED", "is_unauthorized"),
        ("TOO_MANY_REQUESTS", "is_rate_limited"),
    ],
)
def test_error_code_has_a_question(code, flag):
    """The common codes can be asked for by name."""
    assert getattr(ServerError("no", code=code), flag)
    assert not getattr(ServerError("no", code="OTHER"), flag)


def test_error_of_a_closed_client_has_its_code():
    """The code needs not be given."""
    assert str(ClientClosedError()) == "CLIENT_CLOSED: the client is closed"
