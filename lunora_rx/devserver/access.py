"""Who is asking: bearer tokens, cookie sessions, tokens of sockets, the cross-site guard.

No token is ever logged or put into a message.  Source: ``docs/protocol.md``, section
"Auth, identity, session".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import inspect
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Final, TypeAlias

from lunora_rx.devserver.refusals import AppError
from lunora_rx.protocol.endpoints import HEADER_AUTHORIZATION, HEADER_EXPECT_SUBJECT

__all__ = [
    "SESSION_COOKIE",
    "Access",
    "Authenticate",
    "check_cross_site",
    "check_cross_site_socket",
    "check_expected_subject",
    "sign_ws_token",
]

logger = logging.getLogger("lunora_rx.devserver")

Authenticate: TypeAlias = Callable[[str], str | Awaitable[str | None] | None]

SESSION_COOKIE: Final = "lunora_session"

_BEARER: Final = "bearer "
_EPHEMERAL: Final = "v1"


@dataclass(frozen=True, slots=True)
class Access:
    """Knows what makes a token good.

    Attributes:
        authenticate: Returns the subject behind a token, or ``None`` or an exception to refuse it.
            Without it every token is accepted and names nobody.
        admin_token: Makes and checks the short-lived tokens of sockets; ``None`` turns them off.
        sessions: The subject behind each value of the session cookie.
    """

    authenticate: Authenticate | None = None
    admin_token: str | None = field(default=None, repr=False)
    sessions: Mapping[str, str] = field(default_factory=dict, repr=False)

    async def subject_of_request(self, headers: Mapping[str, str]) -> str | None:
        """Return the verified subject of a request: that of its bearer, else of its cookie, else ``None``.

        Raises:
            AppError: The bearer is refused; code ``UNAUTHORIZED`` or the application's own.
        """
        token = bearer_of(headers)
        return self._subject_of_cookie(headers) if token is None else await self._subject_of(token)

    async def open_socket(
        self, token: str | None, headers: Mapping[str, str], now: float
    ) -> tuple[str | None, float | None]:
        """Return the subject of a new socket, and when its token expires (``None``: never).

        Without a token the cookie of the upgrade request counts.

        Raises:
            AppError: The token is refused or expired.
        """
        if token is None:
            return self._subject_of_cookie(headers), None
        if self.admin_token is not None and token.startswith(f"{_EPHEMERAL}."):
            return None, _ephemeral_expiry(self.admin_token, token, now)
        return await self._subject_of(token), None

    def make_ws_token(self, headers: Mapping[str, str], now: float, lifetime: float) -> tuple[str, int]:
        """Return a new short-lived token and its expiry in epoch milliseconds.

        Raises:
            AppError: The bearer is not the admin token, or there is none.
        """
        given = bearer_of(headers)
        if self.admin_token is None or given is None or not _equal(given, self.admin_token):
            raise AppError("UNAUTHORIZED", "the bearer is not the admin token")
        expires_at_ms = int((now + lifetime) * 1000)
        return sign_ws_token(self.admin_token, expires_at_ms), expires_at_ms

    def _subject_of_cookie(self, headers: Mapping[str, str]) -> str | None:
        value = session_cookie_of(headers)
        return None if value is None else self.sessions.get(value)

    async def _subject_of(self, token: str) -> str | None:
        if self.authenticate is None:
            return None
        try:
            found = self.authenticate(token)
            subject = await found if inspect.isawaitable(found) else found
        except AppError:
            raise
        except Exception as error:  # its text may hold the token
            logger.warning("authenticate raised %s", type(error).__name__)
            raise AppError("UNAUTHORIZED", "the credential is refused") from None
        if not isinstance(subject, str):
            raise AppError("UNAUTHORIZED", "the credential is refused")
        return subject


def bearer_of(headers: Mapping[str, str]) -> str | None:
    """Return the bearer token of a request, if it has one."""
    value = headers.get(HEADER_AUTHORIZATION, "")
    return value[len(_BEARER) :].strip() if value.lower().startswith(_BEARER) else None


def session_cookie_of(headers: Mapping[str, str]) -> str | None:
    """Return the value of the session cookie of a request, if it has one."""
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(SESSION_COOKIE)
    except CookieError:
        return None
    return None if morsel is None else morsel.value


def sign_ws_token(admin_token: str, expires_at_ms: int) -> str:
    """Return ``v1.<expiry ms>.<signature>``."""
    signed = f"{_EPHEMERAL}.{expires_at_ms}"
    digest = hmac.new(admin_token.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def check_cross_site(headers: Mapping[str, str], origin: str) -> None:
    """Refuse a request that carries a cookie and does not come from this origin.

    Raises:
        AppError: Code ``FORBIDDEN``.
    """
    if "cookie" in headers and headers.get("origin") != origin:
        raise AppError("FORBIDDEN", "a request with a cookie must come from the deployment's own origin")


def check_cross_site_socket(headers: Mapping[str, str], origin: str) -> None:
    """Refuse a socket that a browser opens with a cookie from another site; other clients name no origin.

    Raises:
        AppError: Code ``FORBIDDEN``.
    """
    if "origin" in headers:
        check_cross_site(headers, origin)


def check_expected_subject(headers: Mapping[str, str], subject: str | None) -> None:
    """Refuse a replay that was stamped for somebody else than who is asking.

    Raises:
        AppError: Code ``IDENTITY_MISMATCH``, or ``BAD_REQUEST`` for an unreadable header.
    """
    header = headers.get(HEADER_EXPECT_SUBJECT)
    if header is not None and _expected_subject(header) != subject:
        raise AppError("IDENTITY_MISMATCH", "the caller is not the subject that the request names")


def _expected_subject(header: str) -> object:
    try:
        padded = header + "=" * (-len(header) % 4)
        stamp = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        return stamp["subject"]
    except (ValueError, KeyError, TypeError):
        raise AppError("BAD_REQUEST", f"header {HEADER_EXPECT_SUBJECT!r} cannot be read") from None


def _ephemeral_expiry(admin_token: str, token: str, now: float) -> float:
    _, _, rest = token.partition(".")
    milliseconds, _, _ = rest.partition(".")
    is_number = milliseconds.isascii() and milliseconds.isdigit() and len(milliseconds) <= 15
    if not is_number or not _equal(token, sign_ws_token(admin_token, int(milliseconds))):
        raise AppError("TOKEN_EXPIRED", "the token is not good")
    expires_at = int(milliseconds) / 1000
    if expires_at <= now:
        raise AppError("TOKEN_EXPIRED", "the token has expired")
    return expires_at


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="surrogatepass"), other.encode(errors="surrogatepass"))
