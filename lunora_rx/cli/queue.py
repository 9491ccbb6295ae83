"""``lunora-rx queue``: the unsent writes of a storage directory, looked at, exported or dropped."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from lunora_rx.cli.text import counted
from lunora_rx.cli.text import printable as _safe
from lunora_rx.core.records import QueuedMutation
from lunora_rx.errors import CodecError, LunoraError, StorageError
from lunora_rx.protocol.text import parse, serialize
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.storage.browse import BrowsedLane, StoredWrite, browse, drop, set_aside_in

_PLAIN_ARGS = 120
_SHOWN_ARGS = 1_000
_ASKED_ABOUT = 20
Chosen = list[tuple[BrowsedLane, list[StoredWrite]]]


class _DirectoryFirst(TyperGroup):
    """Helps whoever writes the command before the directory."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if len(args) > 1 and args[0] in self.commands and args[1] not in self.commands:
            if not {"-h", "--help"} & set(args):
                raise typer.BadParameter(f"the directory comes first: lunora-rx queue {args[1]} {args[0]}")
            args = [os.curdir, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_DirectoryFirst, no_args_is_help=True)


@app.callback(epilog="Example: lunora-rx queue ./data list")
def queue(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Storage directory of a client.")],
) -> None:
    """Show, export, send or drop the writes that wait in a storage directory to be sent."""
    context.obj = directory


@app.command("list", epilog="Example: lunora-rx queue ./data list --json")
def list_(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a write.")] = False,
) -> None:
    """Show the waiting writes, lane by lane, in the order of sending.

    Changes nothing, so it may run beside a client.
    A lane belongs to one process; a free one goes to the next client.
    Exit code 1 if something could not be read.
    """
    with _errors_told():
        lanes = browse(context.obj)
    if as_json:
        _write_out(_lines(lanes))
    elif sys.stdout.isatty():
        console = Console()
        console.print(_tables(lanes, context.obj, console.width))
    else:
        _say(_plain(lanes, context.obj))
    _finish(lanes, context.obj, notes=as_json)


@app.command(epilog="Example: lunora-rx queue ./data export unsent.jsonl")
def export(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="File to write; - for the standard output.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file if there is one.")] = False,
) -> None:
    """Write all waiting writes to a file, as JSON Lines.

    The lines are those of list --json. Changes nothing in the directory.
    Exit code 1 if something could not be read; the rest is written.
    """
    with _errors_told():
        lanes = browse(context.obj)
        lines = _lines(lanes)
        if file == "-":
            _write_out(lines)
        else:
            _write_file(Path(file), b"".join(lines), force=force)
            _say(f"exported {_count(_writes(lanes))} to {file}")
    _finish(lanes, context.obj)


@app.command("drop", epilog="Example: lunora-rx queue ./data drop --id 5e0c7d3a-90f2-4a6f-8a55-0a4c3f1b7e21")
def drop_(
    context: typer.Context,
    ids: Annotated[list[str] | None, typer.Option("--id", help="Mutation id to drop; may be repeated.")] = None,
    lane: Annotated[str | None, typer.Option("--lane", help="Only this lane; alone, all of its writes.")] = None,
    drop_all: Annotated[bool, typer.Option("--all", help="All writes of all lanes.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Drop writes for ever: they will never be sent.

    Only in lanes that no process holds: end the client first.
    Drops all that was asked for, or nothing; exit code 1 if nothing matched.
    To keep a copy, use export before.
    """
    if drop_all == bool(ids or lane):
        raise typer.BadParameter("say what to drop: --id, --lane, or --all alone")
    if not yes and not _can_ask():
        raise typer.BadParameter("there is no terminal to ask in: --yes drops without asking")
    with _errors_told():
        chosen = _choose(browse(context.obj), ids or [], lane)
        if not yes:
            _confirm(chosen, context.obj)
        _drop(chosen, context.obj)


def _choose(lanes: list[BrowsedLane], ids: list[str], lane: str | None) -> Chosen:
    """Return the writes to drop; raises ``StorageError`` if one of them is not there or in a lane that is held."""
    if lane is not None:
        lanes = [each for each in lanes if each.name.lstrip("0") == lane.lstrip("0")]
        if not lanes:
            raise StorageError(f"there is no lane {lane}")
    chosen = [(each, [write for write in each.writes if not ids or _id(write) in ids]) for each in lanes]
    chosen = [(each, writes) for each, writes in chosen if writes]
    found = {_id(write) for _, writes in chosen for write in writes}
    missing = [mutation_id for mutation_id in ids if mutation_id not in found]
    if missing:
        raise StorageError(f"nothing was dropped: no write has the id {', '.join(map(_safe, missing))}")
    if not chosen:
        raise StorageError("nothing was dropped: no write is waiting there")
    held = [f"lane {each.name} is {_holder(each)}" for each, _ in chosen if each.is_held]
    if held:
        raise StorageError(f"nothing was dropped: {'; '.join(held)}: end that process first")
    return chosen


def _confirm(chosen: Chosen, directory: Path) -> None:
    writes = [(lane, write) for lane, writes in chosen for write in writes]
    for lane, write in writes[:_ASKED_ABOUT]:
        _say(f"lane {lane.name}: {_title(write)}")
    if len(writes) > _ASKED_ABOUT:
        _say(f"and {len(writes) - _ASKED_ABOUT} more")
    _say(f"to keep a copy first: lunora-rx queue {directory} export FILE")
    if not typer.confirm(f"drop {_count(writes)}, never to be sent?"):
        raise StorageError("nothing was dropped")


def _can_ask() -> bool:
    return sys.stdin.isatty()


def _drop(chosen: Chosen, directory: Path) -> None:
    titles = {lane.name: {key: _title(write) for write in writes if (key := _id(write))} for lane, writes in chosen}
    dropped: list[str] = []
    moved: list[StorageError] = []
    for name, ids in drop(directory, titles, report=moved.append):
        dropped += ids
        for mutation_id in ids:
            _say(f"dropped from lane {name}: {titles[name][mutation_id]}")
    for error in moved:
        _complain(error.message)
    if not dropped and not moved:
        raise StorageError("nothing was dropped: a client took the writes meanwhile")
    _say(f"dropped {_count(dropped)}")


def _lines(lanes: list[BrowsedLane]) -> list[bytes]:
    """Return the JSON Lines: one a write, and one for what is wrong with a lane."""
    trees: list[dict[str, Any]] = []
    for lane in lanes:
        owner = {"lane": lane.name, "held": lane.is_held, "pid": lane.holder}
        trees += [{**owner, "place": write.place, **_stored_tree(write)} for write in lane.writes]
        trees += [{**owner, "place": None, "record": None, "damage": damage} for damage in lane.damage]
    return [_json(tree) + b"\n" for tree in trees]


def _stored_tree(write: StoredWrite) -> dict[str, Any]:
    if write.record is None:
        return {"record": None, "damage": write.damage, "stored_base64": base64.b64encode(write.stored).decode()}
    return {"record": parse(write.stored), "damage": None}


def _tables(lanes: list[BrowsedLane], directory: Path, width: int) -> RenderableType:
    parts: list[RenderableType] = []
    for lane in lanes:
        parts.append(Text(_heading(lane), style="bold cyan" if lane.is_held else "bold"))
        parts += [Text(f"  damaged: {_safe(damage)}", style="bold red") for damage in lane.damage]
        if lane.writes:
            parts.append(_table(lane, width))
        parts.append("")
    return Group(*parts, Text(_summary(lanes, directory)))


def _table(lane: BrowsedLane, width: int) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, expand=True, header_style="dim")
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("write", ratio=1, overflow="fold")
    # From 60 columns on an id stays whole; what is left goes to the identity first, and then to the args.
    table.add_column("identity", width=max(8, min(36, (width - 44) // 2)), no_wrap=True, overflow="ellipsis")
    table.add_column("size", justify="right", no_wrap=True)
    for write in lane.writes:
        table.add_row(str(write.place), *_cells(write))
    return table


def _cells(write: StoredWrite) -> tuple[RenderableType, str | Text, str]:
    record = write.record
    if record is None:
        return Text(f"damaged: {_safe(write.damage or '')}", style="bold red"), "", decimal(len(write.stored))
    function = Text(f"{_safe(record.function_path)}  {_shard(record)}".rstrip(), style="green")
    args = Text(_args(record, _SHOWN_ARGS), style="dim", no_wrap=True, overflow="ellipsis")
    stamp = Text(f"{_identity(record)}\n{_version(record)}".rstrip())
    return Group(Text(_safe(record.mutation_id)), function, args), stamp, decimal(len(_json(record.args)))


def _plain(lanes: list[BrowsedLane], directory: Path) -> str:
    lines: list[str] = []
    for lane in lanes:
        lines.append(_heading(lane))
        lines += [f"  damaged: {_safe(damage)}" for damage in lane.damage]
        lines += [f"{write.place:>3}  {_plain_line(write)}" for write in lane.writes]
    return "\n".join([*lines, _summary(lanes, directory)])


def _plain_line(write: StoredWrite) -> str:
    record = write.record
    if record is None:
        return f"{_title(write)}  {decimal(len(write.stored))}"
    about = (_shard(record), _identity(record), _version(record), decimal(len(_json(record.args))))
    return "  ".join([_title(write), *filter(None, about), _args(record, _PLAIN_ARGS)])


def _heading(lane: BrowsedLane) -> str:
    damaged = sum(write.record is None for write in lane.writes)
    return f"lane {lane.name}: {_holder(lane)}, {_count(lane.writes)}{f', {damaged} damaged' if damaged else ''}"


def _summary(lanes: list[BrowsedLane], directory: Path) -> str:
    number, aside = _count(_writes(lanes)), len(set_aside_in(directory))
    kept = f"; {counted(aside, 'damaged database')} set aside earlier in it" if aside else ""
    return f"{number} waiting in {directory}{kept}"


def _holder(lane: BrowsedLane) -> str:
    if not lane.is_held:
        return "free"
    return "held by a running process" if lane.holder is None else f"held by process {lane.holder}"


def _title(write: StoredWrite) -> str:
    if write.record is None:
        return f"damaged: {_safe(write.damage or '')}"
    return f"{_safe(write.record.mutation_id)}  {_safe(write.record.function_path)}"


def _shard(record: QueuedMutation) -> str:
    return f"shard {_safe(record.shard)}" if record.shard else ""


def _identity(record: QueuedMutation) -> str:
    if record.identity is UNDEFINED:
        return "no stamp"
    return "signed out" if record.identity is None else _safe(str(record.identity))


def _version(record: QueuedMutation) -> str:
    return "" if record.version is None else f"version {_safe(record.version)}"


def _args(record: QueuedMutation, limit: int) -> str:
    text = _safe(_json(record.args).decode())
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _id(write: StoredWrite) -> str | None:
    return None if write.record is None else write.record.mutation_id


def _writes(lanes: list[BrowsedLane]) -> list[StoredWrite]:
    return [write for lane in lanes for write in lane.writes]


def _count(writes: Sized) -> str:
    return counted(len(writes), "write") if len(writes) else "no writes"


def _json(tree: Any) -> bytes:
    try:
        return serialize(tree)
    except CodecError:  # a lone surrogate, which only escaped text can hold
        return json.dumps(tree, separators=(",", ":")).encode()


def _finish(lanes: list[BrowsedLane], directory: Path, *, notes: bool = True) -> None:
    """Tell what the output does not show, and end with 1 if records may be missing in it."""
    broken = [f"lane {lane.name}: {damage}" for lane in lanes for damage in lane.damage]
    aside = set_aside_in(directory) if notes else []
    for path in aside:
        _complain(f"not included, set aside as damaged: {path}")
    for each in broken if notes else []:
        _complain(each)
    if broken:
        raise typer.Exit(1)


@contextmanager
def _errors_told() -> Iterator[None]:
    try:
        yield
    except LunoraError as error:
        _complain(error.message)
        raise typer.Exit(1) from error


def _write_file(path: Path, content: bytes, *, force: bool) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise StorageError(f"cannot export to {path}: it is no file")
    if path.exists() and not force:
        raise StorageError(f"the file {path} exists: --force replaces it")
    draft = path.with_name(f".{path.name}-{os.getpid()}") if path.exists() else path
    try:
        _write_new(draft, content)
        draft.replace(path)
    except OSError as error:
        raise StorageError(f"cannot export to {path}: {(error.strerror or str(error)).lower()}") from error


def _write_new(path: Path, content: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with open(file, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(file)
    except BaseException:
        path.unlink()
        raise


def _write_out(lines: list[bytes]) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.writelines(lines)
    sys.stdout.buffer.flush()


def _say(text: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def _complain(text: str) -> None:
    typer.echo(f"lunora-rx queue: {_safe(text)}", err=True)
