"""Every exception class of the package, in one tree.

A class exists only where some caller would catch it alone; everything finer is
a ``code`` (``docs/protocol.md``, section "Error codes").  No message, ``repr``
or attribute of these exceptions ever holds a token.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "ClientClosedError",
    "CodecError",
    "LunoraError",
    "ProtocolError",
    "QueueError",
    "RequestTimeout",
    "ServerError",
    "StorageError",
    "StreamError",
    "TransportError",
]


class LunoraError(Exception):
    """Something that this package reports went wrong.

    Attributes:
        message: What happened, lower case, naming the thing and its state.
        code: A code of the protocol's catalogue or of the application, or ``None``.
        data: What the server attached, decoded; ``None`` if it attached nothing.
        hint: What the server suggests to do about it: one text, or several.
        docs_url: Where the server says more about it.
        status: HTTP status of the reply, where there was one.
        transient: Whether repeating the same call may help.
        retry_after: Seconds to wait before a retry, where the server named a wait.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        data: object = None,
        hint: str | Sequence[str] | None = None,
        docs_url: str | None = None,
        status: int | None = None,
        transient: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.data = data
        self.hint = hint
        self.docs_url = docs_url
        self.status = status
        self.transient = transient
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.code else self.message

    def __repr__(self) -> str:
        code = f", code={self.code!r}" if self.code else ""
        return f"{type(self).__name__}({self.message!r}{code})"

    @property
    def is_conflict(self) -> bool:
        """Whether the write lost an optimistic-concurrency race."""
        return self.code == "CONFLICT"

    @property
    def is_forbidden(self) -> bool:
        """Whether the caller is known and not allowed."""
        return self.code == "FORBIDDEN"

    @property
    def is_unauthorized(self) -> bool:
        """Whether the credential is missing or refused."""
        return self.code == "UNAUTHORIZED"

    @property
    def is_rate_limited(self) -> bool:
        """Whether the server asks to slow down."""
        return self.code == "TOO_MANY_REQUESTS"

    def copy(self) -> LunoraError:
        """Return an equal exception with no traceback: one for each awaiter."""
        twin = type(self).__new__(type(self), *self.args)
        twin.__dict__.update(self.__dict__)
        if "__notes__" in twin.__dict__:
            twin.__notes__ = list(twin.__notes__)
        twin.__cause__ = self.__cause__
        return twin


class ServerError(LunoraError):
    """The server answered no."""


class TransportError(LunoraError):
    """Nothing arrived, or nothing readable; retrying may help."""


class RequestTimeout(TransportError):
    """No reply within the time allowed; the fate of the call is unknown."""


class ProtocolError(LunoraError):
    """The peer broke the protocol."""


class CodecError(LunoraError, ValueError):
    """A value cannot be encoded or decoded.

    Attributes:
        path: Where the offending value is, such as ``args.items[3].when``.
    """

    def __init__(self, message: str, *, path: str = "value", code: str | None = None) -> None:
        super().__init__(f"{path}: {message}", code=code)
        self.path = path


class QueueError(LunoraError):
    """The offline queue gave a write up."""


class StreamError(LunoraError):
    """A stream ended early."""


class StorageError(LunoraError):
    """The disk refused."""


class ClientClosedError(LunoraError):
    """The client was closed."""

    def __init__(self, message: str = "the client is closed", *, code: str = "CLIENT_CLOSED") -> None:
        super().__init__(message, code=code)
