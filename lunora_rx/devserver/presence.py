"""Who is connected: the hooks of an app, told of one socket."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from lunora_rx.devserver.contexts import ConnectionContext
from lunora_rx.devserver.shard import Shard
from lunora_rx.devserver.surface import Hook, Hooks
from lunora_rx.devserver.tables import Writer
from lunora_rx.errors import CodecError
from lunora_rx.protocol.frames import Connect
from lunora_rx.protocol.keys import stable_wire_key
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.protocol.wire import decode_wire

__all__ = ["Presence"]

logger = logging.getLogger("lunora_rx.devserver")


class Presence:
    """Knows what a socket has said about itself, and calls the hooks when that changes and when it is gone.

    Each hook runs in one transaction, which its exception rolls back; that harms nobody else.
    """

    def __init__(self, hooks: Hooks, shard: Shard, subject: str | None) -> None:
        self._hooks = hooks
        self._shard = shard
        self._subject = subject
        self._connection = ""
        self._said: tuple[str, str] | None = None
        self._context: Any = None

    def connect(self, frame: Connect) -> None:
        """Take note of a ``connect`` frame; one that says nothing new calls nobody."""
        if not self._has_hooks:
            return
        context = _context_of(frame.context)
        said = (frame.client_id, stable_wire_key(context))
        if self._said == said:
            return
        self._said, self._context = said, context
        self._connection = self._connection or self._shard.store.new_row_id()
        self._call(self._hooks.on_connect)

    def leave(self) -> None:
        """Tell that the socket is gone; once, and only if it had introduced itself."""
        if self._said is not None:
            self._call(self._hooks.on_disconnect)
            self._said = None

    @property
    def _has_hooks(self) -> bool:
        return bool(self._hooks.on_connect or self._hooks.on_disconnect)

    def _call(self, hooks: Sequence[Hook]) -> None:
        assert self._said is not None
        client_id, _ = self._said
        make_context = partial(
            ConnectionContext,
            connection=self._connection,
            client_id=client_id,
            identity=self._subject,
            shard=self._shard.name,
            context=self._context,
        )
        for hook in hooks:
            self._shard.when_quiet(partial(self._run, hook, make_context))

    def _run(self, hook: Hook, make_context: Callable[[Writer], ConnectionContext]) -> None:
        try:
            self._shard.write(lambda db: hook(make_context(db)))
        except Exception:
            logger.exception("a hook failed: %s", getattr(hook, "__qualname__", hook))


def _context_of(tree: Any) -> Any:
    if tree is UNDEFINED:
        return None
    try:
        return decode_wire(tree)
    except CodecError as error:
        logger.warning("the context of a client cannot be decoded: %s", error)
        return None
