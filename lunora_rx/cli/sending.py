"""``lunora-rx queue DIR send``: the waiting writes of a storage directory, sent, with a progress bar."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from lunora_rx.cli.document import fetch_document
from lunora_rx.cli.ending import CommandError, ExitCode, run
from lunora_rx.cli.progress import progress_bar
from lunora_rx.cli.target import DEFAULT_URL, AsJson, Subject, Target, Token, Url
from lunora_rx.cli.text import complain, write_line
from lunora_rx.core.backoff import Backoff
from lunora_rx.core.identity import Gate, Identity, gate
from lunora_rx.core.records import QueuedMutation
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.rx.mutations import MutationSettled
from lunora_rx.storage.browse import browse

_RECONNECT = Backoff(maximum=5.0)
_QUEUE_LIMIT = 1000


def send(
    context: typer.Context,
    url: Url = DEFAULT_URL,
    token: Token = None,
    subject: Subject = None,
    patience: Annotated[
        float,
        typer.Option("--timeout", min=0.1, metavar="SECONDS", help="Give up when so long no write got a verdict."),
    ] = 60,
    as_json: AsJson = False,
) -> None:
    """Send the waiting writes of lanes that no process holds, in order, and tell what became of each.

    Nothing is sent unless every write may be: one of another user would be given up, so that is refused.
    What gets no verdict stays in the directory.
    Exit code 0 if all are committed, 1 if one was rejected, 2 for wrong usage, 3 if some still wait.
    """
    target, directory = Target(url, token, subject=subject), Path(context.obj)

    async def main() -> None:
        records = waiting_writes(directory, target.identity)
        if not records:
            print("no write waits in a free lane", file=sys.stderr)
            return
        await fetch_document(target)
        await _send_all(target, directory, records, patience, as_json=as_json or not sys.stdout.isatty())

    run("queue", main(), redact=target.redact)


def waiting_writes(directory: Path, identity: Identity) -> list[QueuedMutation]:
    """Return the writes that a client of a directory would send, all of which this identity may send.

    Raises:
        CommandError: It may not send one of them, or one cannot be read; a client would give it up.
        StorageError: The directory cannot be read.
    """
    lanes = [lane for lane in browse(directory) if not lane.is_held]
    writes = [write for lane in lanes for write in lane.writes]
    damaged = [damage for lane in lanes for damage in lane.damage] + [write.damage for write in writes if write.damage]
    if damaged:
        raise CommandError(
            f"nothing was sent, something is damaged: {damaged[0]}; see lunora-rx queue {directory} list"
        )
    records = [write.record for write in writes if write.record is not None]
    others = sorted({_owner(each) for each in records if gate(each.identity, identity) is not Gate.SEND})
    if others:
        raise CommandError(
            f"nothing was sent: in {directory} writes of {', '.join(others)} wait;"
            " with --token, or LUNORA_TOKEN, and --subject they are sent as that user, without as nobody",
            ExitCode.USAGE,
        )
    return records


async def _send_all(
    target: Target, directory: Path, records: list[QueuedMutation], patience: float, *, as_json: bool
) -> None:
    waiting, rejected, news = {record.mutation_id for record in records}, 0, asyncio.Event()

    def tell(settled: MutationSettled) -> None:
        nonlocal rejected
        waiting.discard(settled.mutation_id)
        rejected += settled.status == "rejected"
        bar.update(task, completed=len(records) - len(waiting))
        news.set()
        if as_json:
            write_line(_line(settled))
        elif settled.status == "rejected":
            complain("queue", target.redact(f"rejected: {settled.mutation_id}  {settled.function}: {settled.error}"))

    with progress_bar("writes") as bar:
        task = bar.add_task("sending", total=len(records), note="")
        options = {"storage": directory, "reconnect": _RECONNECT, "queue_limit": max(_QUEUE_LIMIT, 2 * len(records))}
        async with target.connect(**options) as client:
            client.settled.subscribe(tell)
            with suppress(TimeoutError):
                while waiting:
                    news.clear()
                    await asyncio.wait_for(news.wait(), patience)
    _sum_up(len(records), len(waiting), rejected, as_json=as_json)


def _sum_up(total: int, waiting: int, rejected: int, *, as_json: bool) -> None:
    if not as_json:
        print(f"{total - waiting - rejected:,} committed, {rejected:,} rejected, {waiting:,} still waiting")
    if waiting:
        raise CommandError(f"{waiting} of {total} writes got no verdict and still wait", ExitCode.UNREACHABLE)
    if rejected:
        raise CommandError(f"{rejected} of {total} writes were rejected")


def _line(settled: MutationSettled) -> dict[str, object]:
    error = settled.error
    return {
        "mutation_id": settled.mutation_id,
        "function": settled.function,
        "shard": settled.shard,
        "status": settled.status,
        "error": None if error is None else {"code": settled.code, "message": error.message},
    }


def _owner(record: QueuedMutation) -> str:
    if record.identity is None or record.identity is UNDEFINED:
        return "nobody signed in"
    kind, _, name = str(record.identity).partition(":")
    return f"user {name}" if kind == "subj" else "a token"
