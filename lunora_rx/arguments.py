"""Checks what callers pass: each error names the argument, what was expected, and never shows a token."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit, urlunsplit

from lunora_rx.core.identity import KEEP
from lunora_rx.errors import CodecError
from lunora_rx.interfaces import Tap
from lunora_rx.protocol.endpoints import redact_url
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.protocol.wire import encode_wire

T = TypeVar("T")


def encode_args(args: object, call: str) -> dict[str, Any]:
    """Return the arguments of a call in wire form; none are an empty object.

    Raises:
        TypeError: They are no mapping.
        CodecError: One cannot be encoded; ``path`` says which.
    """
    if args is None:
        return {}
    if not isinstance(args, Mapping):
        raise TypeError(f"{call}: args is a dict of arguments by name, not {type(args).__name__}")
    try:
        encoded = cast("dict[str, Any]", encode_wire(dict(args), root="args"))
    except CodecError as error:
        reason = error.message.removeprefix(f"{error.path}: ")
        raise CodecError(f"{reason} (in {call})", path=error.path, code=error.code) from None
    return encoded


def encode_context(context: object) -> Any:
    """Return a connection context in wire form, ``UNDEFINED`` for none."""
    return context if context is UNDEFINED else encode_wire(context, root="connection_context")


def check_shard(shard: object) -> str:
    """Return a shard key; ``None`` and the empty string both name the default shard."""
    if shard is None:
        return ""
    if not isinstance(shard, str):
        raise TypeError(f"shard is a string or None, not {type(shard).__name__}")
    try:
        shard.encode()
    except UnicodeEncodeError:
        raise ValueError("shard goes into a URL: it cannot hold a lone surrogate") from None
    return shard


def check_header_text(text: object, argument: str) -> str:
    """Return a text that can stand in an HTTP header."""
    if not isinstance(text, str):
        raise TypeError(f"{argument} is a string, not {type(text).__name__}")
    if not text or not text.isascii() or not text.isprintable():
        raise ValueError(f"{argument} goes into an HTTP header: it must be printable ASCII, and not empty")
    return text


def check_text(text: object, argument: str) -> str:
    """Return a text."""
    if not isinstance(text, str):
        raise TypeError(f"{argument} is a string, not {type(text).__name__}")
    return text


def check_topic(topic: object) -> str:
    """Return the name of a topic."""
    if not isinstance(topic, str):
        raise TypeError(f"topic is a string, not {type(topic).__name__}")
    if not topic:
        raise ValueError("topic is a name, and not empty")
    return topic


def check_path(path: object, argument: str) -> str:
    """Return the path of a URL, without a slash at its end."""
    text = check_header_text(path, argument)
    if not text.startswith("/") or any(sign in text for sign in "?# \\"):
        raise ValueError(f"{argument} is a path that begins with a slash, such as '/api/auth', not {path!r}")
    return text.rstrip("/")


def check_token(token: object, argument: str) -> str | None:
    """Return a credential; its text is in no error."""
    return None if token is None else check_header_text(token, argument)


def check_token_provider(token: Any, argument: str) -> Any:
    """Return a credential, or what provides one."""
    return token if callable(token) else check_token(token, argument)


def check_number(value: object, argument: str) -> float:
    """Return a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{argument} is a number of seconds, not {type(value).__name__}")
    if not abs(value) < inf:
        raise ValueError(f"{argument} is a finite number of seconds, not {value!r}")
    return value


def check_seconds(value: object, argument: str) -> float:
    """Return a finite number above zero."""
    number = check_number(value, argument)
    if number <= 0:
        raise ValueError(f"{argument} is above 0 seconds, not {value!r}")
    return number


def check_count(value: object, argument: str, *, of: str = "") -> int:
    """Return a whole number above zero; ``of`` says of what."""
    noun = f"number of {of}" if of else "whole number"
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{argument} is a {noun}, not {type(value).__name__}")
    if value <= 0:
        raise ValueError(f"{argument} is a {noun} above 0, not {value}")
    return value


def check_subject(subject: Any, argument: str) -> Any:
    """Return the id of a user, ``None`` for nobody, or ``KEEP``."""
    if subject is None or subject is KEEP:
        return subject
    if not isinstance(subject, str):
        raise TypeError(f"{argument} is a string, None for nobody, or KEEP, not {type(subject).__name__}")
    try:
        subject.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{argument} goes into a header: it cannot hold a lone surrogate") from None
    return subject


def check_callable(value: T | None, argument: str) -> T | None:
    """Return a callable, or ``None``."""
    if value is not None and not callable(value):
        raise TypeError(f"{argument} is a callable or None, not {type(value).__name__}")
    return value


def check_instance(value: object, kind: type[T], argument: str) -> T:
    """Return a value of a class."""
    if not isinstance(value, kind):
        raise TypeError(f"{argument} is a {kind.__name__}, not {type(value).__name__}")
    return value


def check_bookmarks(store: Any, argument: str) -> Any:
    """Return a store that has the two methods of a bookmark store."""
    missing = [name for name in ("get", "set") if not callable(getattr(store, name, None))]
    if missing:
        raise TypeError(
            f"{argument} has the methods get() and set(value), and {type(store).__name__} lacks {missing[0]}()"
        )
    return store


def check_tap(tap: Any) -> Any:
    """Return an object that has all methods of a tap."""
    names = [name for name in vars(Tap) if name.startswith("note_")]
    missing = [name for name in names if not callable(getattr(tap, name, None))]
    if missing:
        raise TypeError(f"tap() takes a subclass of lunora_rx.Tap, and {type(tap).__name__} lacks {missing[0]}()")
    return tap


def show_url(url: str) -> str:
    """Return a URL fit to be shown: without a password, without tokens."""
    parts = urlsplit(url)
    return redact_url(urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])))
