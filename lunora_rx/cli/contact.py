"""What a command has heard of its server so far: whether it is one of Lunora, and what the last attempt came to.

Source: ``docs/protocol.md``, section "RPC".
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from reactivex import Subject

from lunora_rx.client import LunoraClient
from lunora_rx.errors import LunoraError, TransportError
from lunora_rx.interfaces import SocketStage, Tap
from lunora_rx.protocol.endpoints import BATCH_PATH, CLOSE_TOKEN_EXPIRED
from lunora_rx.protocol.rpc import HttpReply, HttpRequest, Refused, decode_batch_reply, decode_reply

WHENCE: Final = "the URL comes from --url or LUNORA_URL"

# What other servers say of a path that they do not know. A 502 or a 503 comes from a proxy whose server is down for
# now, a 401 or a 403 from a gate before it: those may open.
_NOT_THERE: Final = frozenset({404, 405, 410, 501})


class Contact(Tap):
    """Looks on at a client, and remembers what has gone wrong since something last went right.

    It does not know whether anybody waits for a value: who does decides what a failure means.

    Args:
        client: The client; whoever makes this taps it with it.
        is_known: Whether the server has shown already that it is one of Lunora.

    Attributes:
        failure: What the last attempt came to; ``None`` if it succeeded, or none was made.
        stranger: Set once it is clear that no Lunora server answers at the URL; says what to look at.
        failures: Emits each failure, but for those of a stranger.
        strangers: Emits the stranger.
    """

    def __init__(self, client: LunoraClient, *, is_known: bool = False) -> None:
        self.failure: str | None = None
        self.stranger: TransportError | None = None
        self.failures: Subject[str] = Subject()
        self.strangers: Subject[TransportError] = Subject()
        self._client = client
        self._is_known = is_known

    def note_socket(self, shard: str, stage: SocketStage, code: int | None) -> None:
        """Remember why a socket could not be had."""
        if stage == "open":
            self._is_known, self.failure = True, None
        elif stage == "closed" and code != CLOSE_TOKEN_EXPIRED:  # that is told by ``client.token_expired``
            lost = "the connection was lost" + ("" if code is None else f" (code {code})")
            self._fail(self._client.debug()["last_error"] or lost)

    def note_reply(self, request: HttpRequest, reply: HttpReply | LunoraError) -> None:
        """Remember what a call, or a question asked instead of a socket's, was answered."""
        if not isinstance(reply, HttpReply):
            self._fail(str(reply))
            return
        refused = None if request.body is None else _refusal(request, reply)
        if refused is None or refused.is_readable:
            self._is_known, self.failure = True, None
            return
        if self._is_known or not (reply.status < 400 or reply.status in _NOT_THERE):
            self._fail(refused.error.message)
            return
        self.failure = refused.error.message
        self.stranger = _stranger(self._client.debug()["url"], reply)
        self.strangers.on_next(self.stranger)

    def _fail(self, failure: str) -> None:
        self.failure = failure
        self.failures.on_next(failure)


def _refusal(request: HttpRequest, reply: HttpReply) -> Refused | None:
    is_batch = request.path == BATCH_PATH
    outcome = decode_batch_reply(reply, len(request.calls)) if is_batch else decode_reply(reply)
    return outcome if isinstance(outcome, Refused) else None


def _stranger(url: str, reply: HttpReply) -> TransportError:
    message = f"what answers at {url} is no Lunora server: {reply.place} answered {reply.status}"
    hints = [WHENCE]
    if location := reply.headers.get("location"):
        hints.append(f"redirects are not followed, and this one leads to {location}")
    elif path := urlsplit(url).path:
        hints.append(f"is it {url.removesuffix(path)}, without {path}?")
    return TransportError(message, hint=hints, status=reply.status)
