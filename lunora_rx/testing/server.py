"""A server that a test scripts: it says what functions answer, and when, and the client is the real one."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from lunora_rx.arguments import encode_args
from lunora_rx.client import LunoraClient
from lunora_rx.errors import LunoraError, ServerError
from lunora_rx.functions import Function, ShapeRef, any_path, function_path
from lunora_rx.interfaces import Transport
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.protocol.wire import encode_wire
from lunora_rx.testing.answers import Answers, Rows
from lunora_rx.testing.calls import ServerCall
from lunora_rx.testing.network import Network, Opening, ServerHalf
from lunora_rx.testing.requests import Requests
from lunora_rx.testing.script import ANY, Anything, Entry, Failure, Kind, Script, Target, Word
from lunora_rx.testing.streams import Run

__all__ = ["ScriptedServer"]

Args: TypeAlias = Mapping[str, Any] | Anything
Shard: TypeAlias = str | Anything | None
Chunks: TypeAlias = Iterable[Any] | AsyncIterable[Any]

URL = "http://server.test"


class ScriptedServer:
    """A Lunora server in the same process, which knows what a test has told it and nothing else.

    The client talks to it as to any other, with the same frames and requests: only the network is in memory. What
    ``args`` and ``shard`` leave out is whatever they may be; an answer for exactly what is asked for goes before one
    for anything. ``shard=None`` is the default shard.

    A call or a live query that nobody scripted fails with code ``NOT_FOUND``, and fails the test at its end.

    Args:
        subject: Whose sockets and sessions these are; ``None`` for nobody.

    Attributes:
        latency: Seconds that each request takes to arrive.
    """

    def __init__(self, *, subject: str | None = None) -> None:
        self._script = Script()
        self._answers = Answers(self._script)
        self._answers.subject = subject
        self._requests = Requests(self._answers)
        self._network = Network(self._open, self._requests.respond, self._requests.respond_bit_by_bit)

    def __repr__(self) -> str:
        return f"<ScriptedServer sockets={len(self._network.connections)} calls={len(self.calls)}>"

    # --- clients and their connections

    def client(self, url: str = URL, **options: Any) -> LunoraClient:
        """Return a client of this server, which ``aclose`` closes; options are those of ``LunoraClient``.

        Without ``on_error``, what its observers, taps and optimistic updates raise is a problem of the test.
        """
        return self._network.client(url, options)

    @property
    def transport(self) -> Transport:
        """What reaches this server, for clients that the program makes: ``LunoraClient(url, transport=...)``."""
        return self._network.transport

    @property
    def clients(self) -> tuple[LunoraClient, ...]:
        """The clients that ``client`` has made."""
        return tuple(self._network.clients)

    @property
    def latency(self) -> float:
        """Seconds that each request takes to arrive."""
        return self._network.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self._network.latency = seconds

    @property
    def client_errors(self) -> tuple[Exception, ...]:
        """What observers, taps and optimistic updates raised, of clients that ``client`` made without ``on_error``."""
        return tuple(self._network.client_errors)

    @property
    def allows_client_errors(self) -> bool:
        """Whether ``client_errors`` are no problem; unless it is set to true, they fail the test at its end."""
        return self._network.allows_client_errors

    @allows_client_errors.setter
    def allows_client_errors(self, allows: bool) -> None:
        self._network.allows_client_errors = allows

    def drop(self, code: int | None = None) -> None:
        """Cut every socket: as a lost network does, or closed by the server with a code."""
        self._network.drop(code)

    def refuse(self, *, calls: bool = True) -> None:
        """Let no socket open from now on, and no call arrive unless ``calls`` is false; open sockets stay."""
        self._network.refuses_sockets, self._network.refuses_calls = True, calls

    def accept(self) -> None:
        """Let sockets and calls through again; clients come back when their backoff is over."""
        self._network.refuses_sockets = self._network.refuses_calls = False

    def expire_token(self) -> None:
        """Tell every socket that its token has expired, and close it with 4001."""
        for session in tuple(self._answers.sessions):
            session.expire()

    def sign_in(self, subject: str | None) -> None:
        """Say whose sockets and sessions these are from now on; sockets that are open stay what they were."""
        self._answers.subject = subject

    # --- live queries

    def push(self, function: Function, value: Any, args: Args = ANY, *, shard: Shard = ANY) -> None:
        """Set the value of a query, and send it to all who watch it.

        Raises:
            CodecError: The value cannot be sent.
        """
        self._show(replace(self._entry("query", function, args, shard, encode_wire(value)), is_value=True))

    def insert(self, function: Function, row: Mapping[str, Any], args: Args = ANY, *, shard: Shard = ANY) -> None:
        """Add a row to the value of a query, and send only the row.

        Raises:
            ValueError: The value was not pushed as a list of rows with ``_id``, nor as an object with such a ``page``,
                for just these ``args`` and ``shard``; or the row has no ``_id``.
        """
        self._change("insert", function, row, args, shard)

    def update(self, function: Function, row: Mapping[str, Any], args: Args = ANY, *, shard: Shard = ANY) -> None:
        """Replace the row with the same ``_id``, and send only the row.

        Raises:
            ValueError: As ``insert``, or there is no such row.
        """
        self._change("update", function, row, args, shard)

    def delete(self, function: Function, key: str, args: Args = ANY, *, shard: Shard = ANY) -> None:
        """Take the row with an ``_id`` away, and send only that; raises as ``update``."""
        self._change("delete", function, {"_id": key}, args, shard)

    def on_query(self, function: Function, answer: Any, args: Args = ANY, *, shard: Shard = ANY) -> None:
        """Say what a query answers, live or asked for once.

        Args:
            function: The query.
            answer: A value; a function of the arguments (a dict), which is asked anew after each mutation; an error
                to raise, such as ``ServerError("no", code="FORBIDDEN")``; or ``PENDING``. A function may raise such
                an error itself. It may be async where the query is not live.
            args: The arguments that it is about; any without them.
            shard: The shard that it is about; any without one.
        """
        self._show(self._answering("query", function, args, shard, answer))

    def refresh(self) -> None:
        """Ask the functions given to ``on_query`` anew, and send what has changed."""
        self._answers.step()
        self._answers.settle()

    # --- calls

    def on_mutation(self, function: Function, answer: Any = None, args: Args = ANY, *, shard: Shard = ANY) -> None:
        """Say what a mutation answers; a function may ``push`` what the write changes.

        Arguments as ``on_query``. An error with a code is a refusal; a ``TransportError`` means that the write never
        arrived. A write that was carried out is not carried out again: whoever repeats it gets the same result.
        """
        self._script.write(self._answering("mutation", function, args, shard, answer))

    def on_action(self, function: Function, answer: Any = None, args: Args = ANY, *, shard: Shard = ANY) -> None:
        """Say what an action answers; arguments as ``on_query``."""
        self._script.write(self._answering("action", function, args, shard, answer))

    def fail(
        self,
        function: Function,
        code: str,
        message: str = "the test says no",
        *,
        data: Any = None,
        times: int | None = None,
        args: Args = ANY,
        shard: Shard = ANY,
    ) -> None:
        """Let a function fail, whatever is scripted for it: calls are refused, and who watches it hears it at once.

        Args:
            function: Any query, mutation, action, stream or shape.
            code: Such as ``"FORBIDDEN"``.
            message: What happened, for people.
            data: What the error carries; any value that can be sent.
            times: How many times; without it until ``heal``, or until something else is scripted for the same.
            args: As ``on_query``.
            shard: As ``on_query``.
        """
        if times is not None and times < 1:
            raise ValueError(f"times is a number from 1, or None for always, not {times!r}")
        place = self._place(function, "fail()", args, shard).place
        failure = Failure(place, ServerError(message, code=code, data=data), times)
        self._script.failures.append(failure)
        self._answers.step()
        self._answers.push(failure)
        self._answers.reset_shapes(failure)

    def heal(self, function: Function, args: Args = ANY, *, shard: Shard = ANY) -> None:
        """Take back what ``fail`` has said of just these ``args`` and ``shard``; who watches gets the value again."""
        place = self._place(function, "heal()", args, shard)
        self._script.heal(place.place)
        about = Failure(place.place, LunoraError("healed"))
        self._answers.push(about)
        self._answers.reset_shapes(about)

    def lose_reply(self, function: Function, *, times: int = 1) -> None:
        """Carry the next calls of a function out, and lose the replies on the way."""
        self._requests.losses[_path(function, "lose_reply()")] += times

    @property
    def calls(self) -> tuple[ServerCall, ...]:
        """All calls over HTTP, as they arrived; subscriptions are none."""
        return tuple(self._requests.calls)

    def calls_of(self, function: Function) -> list[ServerCall]:
        """Return the calls of one function."""
        path = _path(function, "calls_of()")
        return [call for call in self._requests.calls if call.function == path]

    # --- shapes, streams, whispers

    def set_shape(
        self,
        shape: Function,
        rows: Iterable[Mapping[str, Any]],
        args: Args = ANY,
        *,
        shard: Shard = ANY,
        key: str = "_id",
    ) -> None:
        """Set all rows of a shape, and send them to all who watch it.

        Raises:
            ValueError: A row has no ``key``.
        """
        members = Rows(_table(_path(shape, "set_shape()", "shape")), _by_key(rows, key), self._answers.step())
        self._answers.reset_shapes(self._script.write(self._entry("shape", shape, args, shard, members)))

    def poke(
        self,
        shape: Function,
        upsert: Iterable[Mapping[str, Any]] = (),
        delete: Iterable[str] = (),
        args: Args = ANY,
        *,
        shard: Shard = ANY,
        key: str = "_id",
    ) -> None:
        """Change rows of a shape in one poke: insert or replace some, take others away by their keys.

        Raises:
            ValueError: The shape was not set for just these ``args`` and ``shard``, or a row has no ``key``.
        """
        entry = self._script.known(self._place(shape, "poke()", args, shard, "shape"))
        if entry.kind != "shape":
            raise ValueError(f"the {entry} is no shape; set_shape() comes first")
        self._answers.change_shape(entry, _by_key(upsert, key), list(delete))

    def on_stream(
        self,
        function: Function,
        chunks: Chunks | Callable[[dict[str, Any]], Chunks] | Any,
        args: Args = ANY,
        *,
        shard: Shard = ANY,
        durable: bool = False,
    ) -> None:
        """Say what a streaming procedure yields.

        Args:
            function: The procedure.
            chunks: Values; or a function of the arguments that returns them, an async generator too, which may
                ``asyncio.sleep``; an error; or ``PENDING`` for a stream that ``chunk`` and ``end_stream`` feed.
            args: As ``on_query``.
            shard: As ``on_query``.
            durable: Whether runs outlive sockets: a client that comes back goes on where it was.
        """
        self._script.write(replace(self._entry("stream", function, args, shard, chunks), is_durable=durable))

    def chunk(self, function: Function, *values: Any) -> None:
        """Send chunks to all runs of a stream that are under way."""
        for run in self._open_runs(function):
            for value in values:
                run.say(value)

    def end_stream(self, function: Function, error: LunoraError | None = None) -> None:
        """End all runs of a stream that are under way, well or with an error."""
        for run in self._open_runs(function):
            run.end(error)

    def on_http_stream(self, path: str, chunks: Chunks | Callable[[dict[str, Any]], Chunks] | Any) -> None:
        """Say what a route of server-sent events yields; ``chunks`` as ``on_stream``, of plain JSON.

        A function gets the parameters of the query string, as texts.
        """
        self._script.write(Entry(path, ANY, ANY, "http stream", chunks))

    def whisper(self, topic: str, data: Any = None, *, sender: str | None = None, shard: str | None = None) -> None:
        """Tell a topic something, as another client would."""
        self._answers.whisper(topic, encode_wire(data), sender, shard or "")

    @property
    def whispers(self) -> tuple[tuple[str, str, Any], ...]:
        """What clients told topics: shard, topic and data."""
        return tuple(self._answers.whispers)

    # --- what there is to look at

    @property
    def openings(self) -> tuple[Opening, ...]:
        """The sockets that clients have asked for, also in vain."""
        return tuple(self._network.openings)

    @property
    def open_sockets(self) -> int:
        """How many sockets are open."""
        return len(self._network.connections)

    @property
    def watched(self) -> list[Target]:
        """Live queries, shapes and streams that clients have open, one for each subscription."""
        queries = [watch.target for watch in self._answers.watches()]
        shapes = [watch.target for watch in self._answers.shape_watches()]
        return queries + shapes + [run.target for each in self._answers.sessions for run in each.runs.values()]

    @property
    def contexts(self) -> list[Any]:
        """What the clients on open sockets say of themselves, where they say anything."""
        return [each.context for each in self._answers.sessions if each.context is not UNDEFINED]

    @property
    def problems(self) -> tuple[str, ...]:
        """What was not scripted, scripts that failed, and ``client_errors`` unless they are allowed, in words."""
        scripted = self._script.problems
        # An observer that takes no errors is told of what is not scripted too; once is enough.
        return (*scripted, *(each for each in self._network.problems() if not any(map(each.__contains__, scripted))))

    def wait_for_disks(self) -> None:
        """Block until the storage of each client has done what it was asked for; virtual time calls it."""
        self._network.wait_for_disks()

    def check(self) -> None:
        """Raise ``AssertionError`` if there are ``problems``; a test that uses the fixtures does so at its end."""
        if self.problems:
            raise AssertionError("\n".join(self.problems))

    async def aclose(self) -> None:
        """Close the clients, cut what is left, and end the scripts of streams."""
        await self._network.aclose()
        await self._answers.producers.aclose()

    async def _open(self, shard: str, token: str | None) -> ServerHalf:
        return self._answers.open(shard)

    def _place(self, function: Function, method: str, args: Args, shard: Shard, kind: Kind | None = None) -> Entry:
        if args is not ANY:
            encode_args(args, method)
        return Entry(_path(function, method, kind), args if args is ANY else dict(args), shard or "")

    def _entry(self, kind: Kind, function: Function, args: Args, shard: Shard, answer: Any) -> Entry:
        place = self._place(function, f"the script of a {kind}", args, shard, kind)
        return replace(place, kind=kind, answer=answer)

    def _answering(self, kind: Kind, function: Function, args: Args, shard: Shard, answer: Any) -> Entry:
        if callable(answer) or isinstance(answer, LunoraError | Word):
            return self._entry(kind, function, args, shard, answer)
        return replace(self._entry(kind, function, args, shard, encode_wire(answer)), is_value=True)

    def _show(self, entry: Entry) -> None:
        self._script.write(entry)
        self._answers.step()
        self._answers.push(entry)

    def _change(self, op: str, function: Function, row: Mapping[str, Any], args: Args, shard: Shard) -> None:
        entry = self._script.known(self._place(function, f"{op}()", args, shard, "query"))
        ((key, wire),) = _by_key([row], "_id").items()
        delta = {"op": op, "key": key, "table": _table(entry.function)}
        self._answers.change_row(entry, delta if op == "delete" else delta | {"row": wire})

    def _open_runs(self, function: Function) -> list[Run]:
        path = _path(function, "a stream")
        return [run for run in self._answers.runs if run.target.function == path and not run.is_over]


def _path(function: Function, method: str, kind: Kind | None = None) -> str:
    if kind is not None:
        return function_path(function, kind=kind, method=method)
    # Shapes are named freely: what is no path may be one.
    is_name = isinstance(function, str | ShapeRef)
    return function_path(function, kind="shape", method=method) if is_name else any_path(function, method=method)


def _table(function: str) -> str:
    return function.partition(":")[0]


def _by_key(rows: Iterable[Mapping[str, Any]], key: str) -> dict[str, Any]:
    found = {}
    for row in rows:
        if not isinstance(row, Mapping) or not isinstance(row.get(key), str):
            raise ValueError(f"a row is a dict whose {key!r} is a string, not {row!r}")
        found[row[key]] = encode_wire(dict(row))
    return found
