"""An app: functions registered in Python, and the embedded server that offers them.

It is for development, tests and demos; ``docs/devserver.md`` says what it is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import signal
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from lunora_rx.devserver.access import Access, Authenticate
from lunora_rx.devserver.backend import Backend
from lunora_rx.devserver.faults import Faults
from lunora_rx.devserver.functions import Function, FunctionKind, register
from lunora_rx.devserver.loop import run_loop
from lunora_rx.devserver.openrpc import openrpc_document
from lunora_rx.devserver.pages import check_origins
from lunora_rx.devserver.routes import Route, check_route
from lunora_rx.devserver.server import Server
from lunora_rx.devserver.serving import Serving, ServingThread
from lunora_rx.devserver.settings import Limits
from lunora_rx.devserver.surface import Hooks, Stream, Surface

__all__ = ["App"]

F = TypeVar("F", bound=Callable[..., Any])
A = TypeVar("A", bound=Authenticate)


class App:
    """Functions that clients may call, and a server for them.

    Functions run on the event loop, one at a time: one that blocks, blocks the server.

    Args:
        admin_token: Bearer that may make short-lived tokens for sockets; ``None`` turns them off.
        limits: How much the server takes.
        title: Title of the OpenRPC document.
        version: Version in the OpenRPC document.
        change_log: Whether changes are kept; without them shapes are answered SHAPE_REQUIRES_CDC.
        origins: Of web pages that may use the server beside its own and those of this machine, such as
            ``["https://app.example"]``; ``["*"]`` lets all pages. Programs need none.

    Raises:
        TypeError: ``origins`` is a string.
        ValueError: One of them is no origin.

    Attributes:
        functions: Queries, mutations and actions, by path.
        shapes: Shapes, by name.
        streams: Streaming procedures, by path.
        http_streams: Streaming routes, by path.
        hooks: What is told of sockets.
        surface: All that sockets can ask for.
        faults: Switches that make running servers misbehave.
        limits: How much the server takes.
        access: What makes a token good.
        sessions: The subject behind each value of the cookie ``lunora_session``; change it at any time.
        origins: Of web pages elsewhere that may use the server.
    """

    def __init__(
        self,
        *,
        admin_token: str | None = None,
        limits: Limits | None = None,
        title: str = "lunora_rx devserver",
        version: str = "0",
        change_log: bool = True,
        origins: Collection[str] = (),
    ) -> None:
        self.functions: dict[str, Function] = {}
        self.shapes: dict[str, Function] = {}
        self.streams: dict[str, Stream] = {}
        self.http_streams: dict[str, Route] = {}
        self.hooks = Hooks()
        self.surface = Surface(self.functions, self.shapes, self.streams, self.hooks, has_change_log=change_log)
        self.faults = Faults()
        self.limits = limits or Limits()
        self.sessions: dict[str, str] = {}
        self.access = Access(admin_token=admin_token, sessions=self.sessions)
        self.origins = check_origins(origins)
        self._title = title
        self._version = version
        self._backends: list[Backend] = []

    def __repr__(self) -> str:
        return f"<App functions={len(self.functions)} running={len(self._backends)}>"

    # --- registration

    def query(self, path: str) -> Callable[[F], F]:
        """Register a query: ``fn(ctx, ...)``, reads only, depends on nothing but its arguments, identity and reads."""
        return self._registering(path, "query")

    def mutation(self, path: str) -> Callable[[F], F]:
        """Register a mutation: ``fn(ctx, ...)`` in one transaction, which an exception rolls back."""
        return self._registering(path, "mutation")

    def action(self, path: str) -> Callable[[F], F]:
        """Register an action: ``fn(ctx, ...)``, plain or async, which reaches tables through other functions."""
        return self._registering(path, "action")

    def stream(self, path: str, *, durable: bool = False) -> Callable[[F], F]:
        """Register a streaming procedure: a generator or async generator ``fn(ctx, ...)`` of chunks.

        Args:
            path: ``"file:function"``.
            durable: Whether runs outlive sockets and leave a transcript.  Such a run belongs to its path, its
                arguments and the subject: whoever asks for the same gets the same run, or its transcript.
        """
        _check_named(path, "stream", "answers:write")

        def decorate(handler: F) -> F:
            self._check_free(path)
            self.streams[path] = Stream(register(path, "stream", handler), durable)
            return handler

        return decorate

    def shape(self, name: str) -> Callable[[F], F]:
        """Register a shape: ``fn(ctx, ...)`` returns ``ctx.db.table(...)``, narrowed by ``where``.

        It depends on nothing but its arguments, the identity and what it reads.
        """
        _check_named(name, "shape", "openTasks")

        def decorate(handler: F) -> F:
            if name in self.shapes:
                raise ValueError(f"there is a shape {name!r} already")
            self.shapes[name] = register(name, "shape", handler)
            return handler

        return decorate

    def http_stream(self, path: str, *, keepalive: float | None = 15.0) -> Callable[[F], F]:
        """Register a route of server-sent events, before the app is served: a generator ``fn(ctx, ...)``.

        Args:
            path: Such as ``"/jobs/:id/progress"``; parameters of the path and of the query string become arguments.
            keepalive: Seconds of silence after which a comment is sent; ``None`` for never.
        """
        _check_named(path, "http_stream", "/jobs/:id")

        def decorate(handler: F) -> F:
            check_route(path, self.http_streams)
            self.http_streams[path] = Route(register(path, "route", handler), keepalive)
            return handler

        return decorate

    def on_connect(self, hook: F) -> F:
        """Register ``fn(ctx)``, which is called when a socket introduces itself, and when its context changes."""
        self.hooks.on_connect.append(_checked_hook(hook))
        return hook

    def on_disconnect(self, hook: F) -> F:
        """Register ``fn(ctx)``, which is called once when a socket that has introduced itself is gone."""
        self.hooks.on_disconnect.append(_checked_hook(hook))
        return hook

    def authenticate(self, check: A) -> A:
        """Register what says whose token this is: ``check(token)`` returns the subject, or ``None`` to refuse it.

        It may be async.  Any exception refuses the token; an ``AppError`` chooses the code.
        """
        self.access = replace(self.access, authenticate=check)
        return check

    def openrpc(self) -> dict[str, Any]:
        """Return the OpenRPC document of what is registered."""
        streams = (stream.function for stream in self.streams.values())
        every = [*self.functions.values(), *streams, *self.shapes.values()]
        return openrpc_document(every, title=self._title, version=self._version)

    # --- running

    def serve(self, host: str = "127.0.0.1", port: int = 0, *, storage: str | Path | None = None) -> Serving:
        """Serve inside ``async with``, and yield the URL.

        Args:
            host: Address to listen on.
            port: Port; 0 takes a free one.
            storage: Directory for the databases, created when missing; ``None`` keeps them in memory.

        Raises:
            OSError: The address cannot be listened on, or the directory cannot be made.
            sqlite3.Error: There can be no database in it.
        """
        return Serving(self._serving(host, port, storage))

    def serve_in_thread(
        self, host: str = "127.0.0.1", port: int = 0, *, storage: str | Path | None = None
    ) -> ServingThread:
        """Serve inside ``with``, on a thread with an event loop of its own, and return the URL.

        For programs with no event loop. ``start()`` and ``close()`` are there for where no ``with`` fits, as in a
        notebook. The functions of the app run on that thread.

        Args:
            host: Address to listen on.
            port: Port; 0 takes a free one.
            storage: As for ``serve``.

        Raises:
            OSError: When it starts: the address cannot be listened on, or the directory cannot be made.
            sqlite3.Error: When it starts: there can be no database in it.
        """
        return ServingThread(lambda: self.serve(host, port, storage=storage))

    def run(self, host: str = "127.0.0.1", port: int = 8787, *, storage: str | Path | None = None) -> None:
        """Serve until SIGINT or SIGTERM, and return; a convenience for scripts, which prints the URL.

        It runs on uvloop where that is installed; ``serve`` runs on the loop that there is.

        Raises:
            OSError: The address cannot be listened on, or the directory cannot be made.
            sqlite3.Error: There can be no database in it.
        """
        with contextlib.suppress(KeyboardInterrupt):
            run_loop(self._run(host, port, storage))

    @property
    def backend(self) -> Backend:
        """The backend of the server that was started last and still runs, to look at.

        Raises:
            RuntimeError: None is running.
        """
        if not self._backends:
            raise RuntimeError("this app is not being served")
        return self._backends[-1]

    @asynccontextmanager
    async def _serving(self, host: str, port: int, storage: str | Path | None) -> AsyncIterator[str]:
        backend = Backend(self, storage=storage)
        server = Server(self, backend)
        self._backends.append(backend)
        try:
            if storage is not None:
                backend.shard()  # what is wrong with the directory shows now, not at the first call
            yield await server.start(host, port)
        finally:
            self._backends.remove(backend)
            await server.stop()
            backend.close()

    async def _run(self, host: str, port: int, storage: str | Path | None) -> None:
        is_over = asyncio.Event()
        _on_end_signal(is_over.set)
        async with self.serve(host, port, storage=storage) as url:
            print(f"lunora_rx devserver on {url} (development only); stop it with Ctrl-C", flush=True)  # noqa: T201
            await is_over.wait()

    def _registering(self, path: str, kind: FunctionKind) -> Callable[[F], F]:
        _check_named(path, kind, "messages:list")

        def decorate(handler: F) -> F:
            self._check_free(path)
            self.functions[path] = register(path, kind, handler)
            return handler

        return decorate

    def _check_free(self, path: str) -> None:
        if path in self.functions or path in self.streams:
            raise ValueError(f"there is a function {path!r} already")


def _check_named(path: object, kind: str, such_as: str) -> None:
    if not isinstance(path, str):
        raise TypeError(f"a {kind} is registered by its name: @app.{kind}({such_as!r}), not @app.{kind}")


def _checked_hook(hook: F) -> F:
    if inspect.iscoroutinefunction(hook) or inspect.isgeneratorfunction(hook) or inspect.isasyncgenfunction(hook):
        raise TypeError("a hook is a plain function: it runs in one transaction")
    return hook


def _on_end_signal(act: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        # A loop of Windows takes no signals, nor does one outside the main thread: Ctrl-C interrupts there.
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, act)
