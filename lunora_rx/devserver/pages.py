"""Which web pages may use the server: a browser lets any page of the world talk to what listens on its own machine.

A page cannot choose its ``origin`` header, nor the ``host`` of its own address.  Programs send no origin, so for them
nothing changes, unless they reach a server on loopback by a name that is none of loopback's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from lunora_rx.devserver.refusals import AppError

__all__ = ["ANYWHERE", "Pages", "check_origins", "grants", "is_loopback", "preflight"]

ANYWHERE: Final = "*"
_PORTS: Final = {"http": 80, "https": 443}
_MAX_AGE: Final = "600"  # seconds


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages that may use one server.

    Attributes:
        origins: Those elsewhere, such as ``"https://app.example"``; ``"*"`` is any.
        host: What the server listens on.
    """

    origins: frozenset[str]
    host: str

    def check(self, headers: Mapping[str, str], own_origin: str) -> None:
        """Refuse a request of a page from elsewhere: one served neither here, nor by this machine, nor named.

        Args:
            headers: Of the request, names in lower case.
            own_origin: Where the request was sent to, by its ``host`` header.

        Raises:
            AppError: Code ``FORBIDDEN``.
        """
        if ANYWHERE in self.origins:
            return
        # Under a name that resolves to this machine, a page of that name would be one of the server's own.
        own = _upgraded(own_origin)  # a tunnel may speak TLS with the page, and not with the server
        if is_loopback(self.host) and not (own_origin in self.origins or self._is_known(own)):
            raise _refusal(own_origin)
        origin = headers.get("origin")
        if origin is not None and origin not in (own_origin, own) and not self._is_known(origin):
            raise _refusal(origin)

    def _is_known(self, origin: str) -> bool:
        return origin in self.origins or is_loopback(_host(origin))


def grants(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers by which a browser lets a page from elsewhere read a reply; ``check`` has let it pass.

    Cookies are not among what it may send: calls with a cookie are for pages of the server's own.

    Args:
        headers: Of the request, names in lower case.
    """
    origin = headers.get("origin")
    if origin is None:
        return {}
    return {"access-control-allow-origin": origin, "access-control-expose-headers": "*", "vary": "origin"}


def preflight(headers: Mapping[str, str]) -> dict[str, str] | None:
    """Return the headers of the answer to a browser that asks what a page may send; ``None`` if it does not ask.

    Args:
        headers: Of the request, names in lower case.
    """
    method = headers.get("access-control-request-method")
    if method is None or "origin" not in headers:
        return None
    asked = headers.get("access-control-request-headers", "")
    allowed = {"access-control-allow-methods": method, "access-control-allow-headers": asked}
    return {**allowed, "access-control-max-age": _MAX_AGE}


def check_origins(origins: Collection[str]) -> frozenset[str]:
    """Return the origins of pages.

    Raises:
        TypeError: They are one string instead of several.
        ValueError: One is no origin.
    """
    if isinstance(origins, str):
        raise TypeError(f"origins is a list of origins, such as [{origins!r}]")
    for each in origins:
        if each != ANYWHERE and _spelt(each) is None:
            raise ValueError(f"origins: {each!r} is no origin such as 'https://app.example', and not '*'")
    return frozenset(_spelt(each) or each for each in origins)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, for this machine only."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).hostname or ""
    except ValueError:
        return ""


def _spelt(origin: str) -> str | None:
    """Return an origin as browsers spell it, or ``None`` if it is none."""
    try:
        parts = urlsplit(origin)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        return None
    if (
        scheme not in _PORTS
        or not host
        or origin.lower() != f"{scheme}://{parts.netloc}".lower()
        or "@" in parts.netloc
    ):
        return None
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}" if port in (None, _PORTS[scheme]) else f"{scheme}://{name}:{port}"


def _upgraded(origin: str) -> str:
    return f"https{origin.removeprefix('http')}" if origin.startswith("http:") else origin


def _refusal(origin: str) -> AppError:
    return AppError("FORBIDDEN", f"pages of {origin} may not use this server; App(origins=[{origin!r}]) lets them")
