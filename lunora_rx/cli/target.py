"""Which server a command talks to, and as whom: the options that these commands share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from lunora_rx.arguments import check_header_text
from lunora_rx.client import LunoraClient
from lunora_rx.core.identity import Identity
from lunora_rx.protocol.endpoints import check_origin
from lunora_rx.protocol.values import UNDEFINED

DEFAULT_URL = "http://127.0.0.1:8787"


def _checked_url(url: str) -> str:
    try:
        return check_origin(url, argument="--url")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _checked_token(token: str | None) -> str | None:
    try:
        return None if not token else check_header_text(token, "--token")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Url = Annotated[
    str, typer.Option("--url", envvar="LUNORA_URL", callback=_checked_url, help="Where the server is.", metavar="URL")
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="LUNORA_TOKEN",
        callback=_checked_token,
        show_default=False,
        metavar="TOKEN",
        help="Token for calls and sockets; in the variable it is in no list of processes.",
    ),
]
Subject = Annotated[
    str | None,
    typer.Option("--subject", metavar="ID", help="User whose token it is, where waiting writes say whose they are."),
]
Shard = Annotated[str | None, typer.Option("--shard", metavar="KEY", help="Shard key; the default shard without one.")]
FunctionName = Annotated[str, typer.Argument(metavar="FUNCTION", help="Function, such as messages:list.")]
ArgsText = Annotated[str, typer.Argument(metavar="ARGS", help="Its arguments, a JSON object.", show_default=False)]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print lines of JSON, as is done without asking where the output is no terminal.")
]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, metavar="SECONDS", help="Seconds to wait for the reply.")]


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and the credential for it; the credential is in no message and no repr.

    Attributes:
        url: The origin.
        token: Bearer of calls and token of sockets, or ``None``.
        shard: The shard key, or ``None``.
        subject: The stable id of the user behind the token, or ``None`` if it is not known.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    shard: str | None = None
    subject: str | None = None

    @property
    def identity(self) -> Identity:
        """Who the server and the stored writes see; without a token it is known to be nobody."""
        known = UNDEFINED if self.token and self.subject is None else self.subject
        return Identity(self.token, known)

    def redact(self, text: str) -> str:
        """Return a message without the credential, whoever put it there."""
        return text.replace(self.token, "[redacted]") if self.token else text

    def client(self, **options: Any) -> LunoraClient:
        """Return a client of the server; options as those of ``LunoraClient``."""
        subject = self.identity.subject
        if subject is not UNDEFINED:
            options["auth_subject"] = subject
        return LunoraClient(self.url, auth_token=self.token, ws_token=self.token, **options)

    @asynccontextmanager
    async def connect(self, **options: Any) -> AsyncIterator[LunoraClient]:
        """Yield a client of the server, closed at the end; options as those of ``LunoraClient``."""
        async with self.client(**options) as client:
            yield client
