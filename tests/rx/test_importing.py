"""Imports: chunk after chunk, told as they go, stopped where they must, and never more queued than fits."""

from __future__ import annotations

import asyncio
import gc
import io
from contextlib import asynccontextmanager

import pytest

from lunora_rx import ClientClosedError, CodecError, LunoraError, QueueError, ServerError, TransportError
from lunora_rx.rx.importing import Import, ImportProgress
from tests.support import Recorder, turn, until

NOBODY = TransportError("nobody there", transient=True)
FIVE = [{"n": number} for number in range(5)]


def import_rows(client, rows, *, function="rows:add", import_id="i", chunk_size=2, **options):
    """Import rows through a client."""
    client._driver.enter("import_rows()")
    started = Import(
        import_id,
        rows,
        lambda args, mutation_id: client.mutation(function, args, mutation_id=mutation_id),
        client._report,
        spawn=client._driver._spawn,
        chunk_size=chunk_size,
        **options,
    )
    started.start()
    return started


def watched(started):
    """Return a recorder of an import's progress."""
    seen = Recorder()
    started.subscribe(seen)
    return seen


def told(seen):
    """Return the progress that was told, as plain tuples of chunks, imported and queued rows."""
    return [(each.chunks, each.imported, each.queued) for each in seen.values]


async def answered(server, *, result=None):
    """Let the server carry the next chunk out; return its id and its rows."""
    call = await server.call()
    call.reply({"result": result})
    return call.headers["x-lunora-mutation-id"], [row["n"] for row in call.body["args"]["rows"]]


async def aiterated(rows, log=None):
    """Yield rows from an async generator that says when it is left."""
    try:
        for row in rows:
            await asyncio.sleep(0)
            yield row
    finally:
        if log is not None:
            log.append("left")


@asynccontextmanager
async def cut_client(server, **options):
    """A client whose connection was open once and is down."""
    async with server.client(queue_before_first_connect=True, **options) as client:
        server.refusal = NOBODY
        yield client


async def test_import_sends_chunks_one_after_another(server, client):
    """The next chunk goes when the one before is committed; ids are numbered, the last one holds what is left."""
    started = import_rows(client, FIVE)
    seen = watched(started)
    await turn()
    assert server.waiting_calls == 1
    chunks = [await answered(server) for _ in range(3)]
    assert chunks == [("i:0", [0, 1]), ("i:1", [2, 3]), ("i:2", [4])]
    done = await started
    assert done == ImportProgress(chunks=3, imported=5, queued=0, total=5, is_done=True)
    assert told(seen) == [(1, 0, 0), (1, 2, 0), (2, 2, 0), (2, 4, 0), (3, 4, 0), (3, 5, 0)]
    assert ([each.is_done for each in seen.values], seen.completions) == ([False] * 5 + [True], 1)


async def test_import_late_observer_gets_the_latest_progress_at_once(server, client):
    """While it runs, and after its end with the end."""
    started = import_rows(client, FIVE)
    await answered(server)
    await until(lambda: server.waiting_calls)
    late = watched(started)
    assert told(late) == [(2, 2, 0)]
    for _ in range(2):
        await answered(server)
    assert (await started).is_done
    last = watched(started)
    assert (told(last), last.completions) == ([(3, 5, 0)], 1)
    assert told(late)[-1] == (3, 5, 0)


@pytest.mark.parametrize("rows", [[], iter(()), aiterated([])], ids=["list", "iterator", "async"])
async def test_import_of_nothing_is_done_without_a_call(server, client, rows):
    """No chunk is made of no rows."""
    done = await import_rows(client, rows)
    assert (done.chunks, done.imported, done.is_done) == (0, 0, True)
    assert server.waiting_calls == 0


async def test_import_of_whole_chunks_makes_no_empty_one(server, client):
    """Rows that fill the last chunk are followed by nothing."""
    started = import_rows(client, iter(FIVE[:4]))
    assert [await answered(server) for _ in range(2)] == [("i:0", [0, 1]), ("i:1", [2, 3])]
    assert await started == ImportProgress(2, 4, 0, None, is_done=True)
    assert server.waiting_calls == 0


async def test_import_reads_rows_a_chunk_at_a_time(server, client):
    """A source of any length is never in memory as a whole."""
    taken = []
    started = import_rows(client, (taken.append(each) or each for each in FIVE))
    await turn()
    assert len(taken) == 2
    await answered(server)
    await until(lambda: server.waiting_calls)
    assert len(taken) == 4
    started.cancel()


async def test_import_takes_rows_from_an_async_source(server, client):
    """They come when they come; how many is not known before the end."""
    started = import_rows(client, aiterated(FIVE))
    assert [await answered(server) for _ in range(3)] == [("i:0", [0, 1]), ("i:1", [2, 3]), ("i:2", [4])]
    assert await started == ImportProgress(3, 5, 0, None, is_done=True)


async def test_import_makes_arguments_with_to_args(server, client):
    """The caller says what a chunk looks like to the mutation."""
    started = import_rows(client, FIVE[:2], to_args=lambda rows: {"table": "t", "items": rows})
    call = await server.call()
    call.reply({"result": 2})
    assert call.body["args"] == {"table": "t", "items": FIVE[:2]}
    assert (await started).imported == 2


async def test_import_rejected_chunk_ends_it_and_says_how_far_it_came(server, client):
    """The error is the chunk's own, with the place; nothing is sent after it."""
    started = import_rows(client, FIVE)
    await answered(server)
    call = await server.call()
    call.reply({"error": {"code": "VALIDATION_ERROR", "message": "bad row", "data": {"row": 1}}}, status=400)
    with pytest.raises(ServerError) as caught:
        await started
    error = caught.value
    assert (error.code, error.status) == ("VALIDATION_ERROR", 400)
    assert error.message == "import 'i' stopped at chunk 1, 2 rows imported: bad row"
    assert error.data == {
        "import_id": "i",
        "chunk": 1,
        "chunks": 2,
        "imported": 2,
        "queued": 0,
        "cause": {"row": 1},
    }
    await turn()
    assert server.waiting_calls == 0
    late = watched(started)
    assert (late.values, late.errors[0].data) == ([], error.data)


async def test_import_chunk_whose_result_cannot_be_read_is_committed(server, client):
    """The server has carried it out, and nobody wants the result."""
    started = import_rows(client, FIVE[:2])
    await answered(server, result=["$lunora.wire$", "bigint", "nonsense"])
    assert (await started).imported == 2


async def test_import_resumed_under_its_id_sends_the_same_ids(server, client):
    """The server knows them, and answers without writing again."""
    for _ in range(2):
        started = import_rows(client, FIVE[:3], import_id="again")
        assert [(await answered(server))[0] for _ in range(2)] == ["again:0", "again:1"]
        assert (await started).imported == 3


async def test_import_twice_at_once_under_one_id_is_refused(server, client):
    """Two that write the same ids at the same time are a mistake, and the first one goes on."""
    first = import_rows(client, FIVE[:1])
    with pytest.raises(LunoraError, match="'i:0' is that of a mutation that has no verdict yet") as caught:
        await import_rows(client, FIVE[:1])
    assert isinstance(caught.value.__cause__, ValueError)
    await answered(server)
    assert (await first).is_done


async def test_import_cancel_stops_after_the_chunk_under_way(server, client):
    """What has left is waited for and counted; nothing follows it."""
    started = import_rows(client, FIVE)
    seen = watched(started)
    assert started.cancel() is True
    assert started.cancel() is False
    await turn()
    assert seen.errors == []
    await answered(server)
    with pytest.raises(LunoraError) as caught:
        await started
    assert (caught.value.code, caught.value.data["imported"]) == ("CANCELLED", 2)
    assert seen.errors[0].code == "CANCELLED"
    await turn()
    assert server.waiting_calls == 0


@pytest.mark.parametrize("end", ["cancel", "close"])
async def test_import_that_ends_lets_go_of_an_async_source_that_it_waits_for(server, client, no_tasks_left, end):
    """The source's cleanup runs, and the end does not wait for its next row."""
    log, never = [], asyncio.Event()

    async def rows():
        try:
            yield FIVE[0]
            await never.wait()
        finally:
            log.append("left")

    started = import_rows(client, rows())
    await turn()
    getattr(started, end)()
    with pytest.raises(LunoraError, match=r"cancelled|closed"):
        await started
    await until(lambda: log == ["left"])


async def test_import_cancelled_by_an_observer_ends_for_all_after_this_progress(server, client):
    """Those who are not told yet get the progress first, then the end."""
    started = import_rows(client, FIVE)
    started.subscribe(lambda progress: progress.imported and started.cancel(), lambda error: None)
    seen = watched(started)
    await answered(server)
    await until(lambda: seen.errors)
    assert told(seen) == [(1, 0, 0), (1, 2, 0)]
    assert server.waiting_calls == 0


async def test_import_disposed_observer_and_cancelled_task_detach_only(server, client):
    """As with any call."""
    started = import_rows(client, FIVE[:2])
    gone = Recorder()
    started.subscribe(gone).dispose()
    task = asyncio.ensure_future(_await(started))
    await turn()
    task.cancel()
    await answered(server)
    assert (await started).is_done
    assert told(gone) == [(1, 0, 0)]


async def test_import_while_offline_queues_a_few_chunks(server):
    """Chunks wait in the queue, no more than the limit; they are counted as queued until they are committed."""
    async with cut_client(server) as client:
        started = import_rows(client, FIVE, chunk_size=1, limit=3)
        seen = watched(started)
        await turn()
        assert (client.pending.value, told(seen)) == (3, [(3, 0, 3)])
        server.refusal = None
        batch = await server.call()
        assert [each["mutationId"] for each in batch.body["calls"]] == ["i:0", "i:1", "i:2"]
        batch.reply({"results": [{"id": each["id"], "body": {"result": 1}} for each in batch.body["calls"]]})
        await answered(server)
        await answered(server)
        assert (await started).imported == 5
        assert (3, 1, 2) in told(seen)
        assert max(each.queued for each in seen.values) == 3


async def test_import_while_offline_tells_each_step_once(server):
    """A chunk that is queued as it is made is one step."""
    async with cut_client(server) as client:
        started = import_rows(client, aiterated(FIVE), chunk_size=1, limit=3)
        seen = watched(started)
        await until(lambda: client.pending.value == 3)
        await turn()
        assert told(seen) == [(0, 0, 0), (1, 0, 1), (2, 0, 2), (3, 0, 3)]
        started.cancel()


async def test_import_that_queues_many_chunks_at_once_does_not_nest_them(server):
    """However many may wait: each is made after the one before, not inside of it."""
    async with cut_client(server) as client:
        started = import_rows(client, FIVE * 100, chunk_size=1, limit=500)
        assert client.pending.value == 500
        started.close()


async def test_import_cancel_while_offline_takes_its_chunks_back(server):
    """Nothing was sent, so nothing stays queued."""
    async with cut_client(server) as client:
        started = import_rows(client, FIVE, chunk_size=1, limit=3)
        await turn()
        assert client.pending.value == 3
        started.cancel()
        with pytest.raises(LunoraError) as caught:
            await started
        assert caught.value.code == "CANCELLED"
        assert caught.value.data == {
            "import_id": "i",
            "chunk": None,
            "chunks": 3,
            "imported": 0,
            "queued": 0,
            "cause": None,
        }
        assert client.pending.value == 0


async def test_import_rejected_while_others_are_queued_takes_those_back(server):
    """A chunk that the queue gives up ends the import: the ones behind it must not be written without it."""
    async with cut_client(server, queue_limit=2) as client:
        started = import_rows(client, FIVE, chunk_size=1, limit=3)
        with pytest.raises(QueueError) as caught:
            await started
        assert (caught.value.code, caught.value.data["chunk"]) == ("OFFLINE_QUEUE_OVERFLOW", 0)
        assert client.pending.value == 0


async def test_import_chunk_that_comes_back_while_it_is_cancelled_is_not_waited_for(server):
    """A connection that breaks under the last chunk does not hold the end up."""
    async with server.client() as client:
        client.live("rows:list").subscribe(Recorder())
        await server.socket()
        started = import_rows(client, FIVE)
        call = await server.call()
        started.cancel()
        call.break_off()
        with pytest.raises(LunoraError, match="cancelled"):
            await started
        assert client.pending.value == 0


async def test_import_of_rows_that_raise_ends_with_why(server, client):
    """What came before them is written, and the exception is the cause."""

    def rows():
        yield from FIVE[:3]
        raise OSError("the file is gone")

    started = import_rows(client, rows())
    await answered(server)
    with pytest.raises(
        LunoraError, match="2 rows imported: reading the rows raised OSError: the file is gone"
    ) as caught:
        await started
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.data["imported"] == 2


async def test_import_of_an_async_source_that_raises_ends_with_why(server, client):
    """As any other source."""

    async def rows():
        yield FIVE[0]
        raise OSError("the file is gone")

    with pytest.raises(LunoraError, match="reading the rows raised OSError: the file is gone"):
        await import_rows(client, rows())


async def test_import_to_args_that_raises_ends_with_why(server, client):
    """The chunk is named; nothing was sent."""
    with pytest.raises(LunoraError, match=r"at chunk 0, 0 rows imported: to_args raised KeyError: 'no'"):
        await import_rows(client, FIVE, to_args=lambda rows: rows[0]["no"])
    assert server.waiting_calls == 0


async def test_import_row_that_cannot_be_encoded_says_where_it_is(server, client):
    """The path names the row within its chunk, and the data the chunk."""
    started = import_rows(client, [*FIVE[:3], {"n": object()}])
    await answered(server)
    with pytest.raises(CodecError) as caught:
        await started
    assert (caught.value.path, caught.value.data["chunk"]) == ("args.rows[1].n", 1)


async def test_import_cancelled_observer_error_is_a_new_one_for_each(server, client):
    """Exceptions are not shared."""
    started = import_rows(client, FIVE)
    seen = [watched(started), watched(started)]
    (await server.call()).refuse("FORBIDDEN")
    await until(lambda: seen[1].errors)
    assert seen[0].errors[0] is not seen[1].errors[0]


async def test_import_failed_unobserved_is_logged(server, client, caplog):
    """A failure that nobody ever asks for does not pass in silence."""
    import_rows(client, FIVE)
    (await server.call()).refuse("FORBIDDEN")
    await turn()
    gc.collect()
    assert caplog.messages == [
        "import 'i' failed and nobody asked: FORBIDDEN: import 'i' stopped at chunk 0, 0 rows imported: no"
    ]


@pytest.mark.parametrize("rows", ["text", b"bytes", {"n": 1}, 5, None])
async def test_import_of_what_is_no_rows_is_a_type_error(client, rows):
    """At once, naming the type."""
    with pytest.raises(TypeError, match=f"not {type(rows).__name__}"):
        import_rows(client, rows)


async def test_import_of_a_data_frame_says_what_to_pass(client):
    """It would iterate over the names of its columns."""

    class DataFrame(list):
        def to_dict(self, orient):
            return [dict(self)]

    with pytest.raises(TypeError, match=r'not DataFrame; of a data frame pass df.to_dict\("records"\)'):
        import_rows(client, DataFrame(["n"]))


LINES = ["n,m\n", "1,2\n"]


@pytest.mark.parametrize(
    "rows",
    [io.StringIO("".join(LINES)), io.BytesIO(b"n\n1\n"), LINES, (b"n", b"1")],
    ids=lambda rows: type(rows).__name__,
)
async def test_import_of_lines_is_refused_at_once(client, rows):
    """They are no rows before somebody reads them as such."""
    with pytest.raises(TypeError, match=r"not (an open file|a text) \(.*csv\.DictReader\("):
        import_rows(client, rows)


@pytest.mark.parametrize("make", [iter, aiterated])
async def test_import_of_a_generator_of_lines_ends_before_it_sends_them(server, client, make):
    """The rows before may have been imported."""
    with pytest.raises(LunoraError, match=r"stopped at chunk 0, 0 rows imported: a row is .*, not a text \(str\)"):
        await import_rows(client, make(LINES))
    assert server.waiting_calls == 0


async def test_import_of_a_file_whose_lines_are_made_rows(server, client):
    """By ``to_args``, which may take what it likes."""
    started = import_rows(
        client, io.StringIO("1\n2\n"), to_args=lambda lines: {"rows": [{"n": int(line)} for line in lines]}
    )
    assert await answered(server) == ("i:0", [1, 2])
    assert (await started).imported == 2


@pytest.mark.parametrize("is_async", [False, True])
async def test_import_closed_with_its_client_says_how_far_it_came(server, no_tasks_left, is_async):
    """The chunk under way has no verdict, and nothing is left running; closing again is silent."""
    client = server.client()
    log = []
    started = import_rows(client, aiterated(FIVE, log) if is_async else iter(FIVE))
    await server.call()
    started.close()
    started.close()
    await client.aclose()
    with pytest.raises(ClientClosedError) as caught:
        await started
    assert (caught.value.code, caught.value.data["chunks"]) == ("CLIENT_CLOSED", 1)
    assert started.cancel() is False
    if is_async:
        await until(lambda: log == ["left"])


async def test_import_that_is_closed_takes_no_verdict_any_more(server, client):
    """What was told as its end stays its end."""
    started = import_rows(client, FIVE)
    seen = watched(started)
    started.close()
    await answered(server)
    await turn()
    assert (told(seen), len(seen.errors), server.waiting_calls) == ([(1, 0, 0)], 1, 0)


async def test_import_whose_client_closes_under_it_fails_with_it(server, no_tasks_left):
    """Also where nobody told the import: its chunk tells."""
    client = server.client()
    started = import_rows(client, FIVE)
    await server.call()
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await started


async def _await(started):
    return await started
