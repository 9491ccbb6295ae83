"""The proxy by itself, before a server that echoes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import pytest

from tests.faults.proxy import HOST, End, Proxy, Way, flip
from tests.support import until


@asynccontextmanager
async def echo() -> AsyncIterator[int]:
    """A server that sends back what it gets; yields its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(4096):
                writer.write(chunk)
        except ConnectionError:
            pass
        await close(writer)

    server = await asyncio.start_server(serve, HOST, 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


@pytest.fixture
async def proxy(no_tasks_left) -> AsyncIterator[Proxy]:
    """A proxy before a server that echoes; no task is left of either."""
    async with echo() as port, Proxy(port) as proxy:
        yield proxy


@asynccontextmanager
async def connected(proxy: Proxy) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(HOST, urlsplit(proxy.url).port)
    try:
        yield reader, writer
    finally:
        await close(writer)


async def answer(reader, writer, sent: bytes, size: int | None = None) -> bytes:
    """Send bytes and return what comes back of them."""
    writer.write(sent)
    async with asyncio.timeout(5):
        return await reader.readexactly(len(sent) if size is None else size)


async def test_proxy_without_a_fault_passes_bytes_on_and_counts_connections(proxy):
    """Each connection arrives and is counted."""
    for _ in range(2):
        async with connected(proxy) as ends:
            assert await answer(*ends, b"x" * 200_000) == b"x" * 200_000
    assert proxy.connections == 2
    await until(lambda: proxy.open_connections == 0)


@pytest.mark.parametrize("after", [1, 5])
async def test_cut_after_some_bytes_delivers_exactly_those(proxy, after):
    """The connection ends in the middle; the next one is whole."""
    async with connected(proxy) as (reader, writer):
        proxy.cut(after=after)
        writer.write(b"0123456789")
        assert await reader.read() == b"0123456789"[:after]
    async with connected(proxy) as ends:
        assert await answer(*ends, b"0123456789") == b"0123456789"


async def test_cut_before_a_direction_delivers_none_of_it(proxy):
    """What was to be passed on next is lost with the connection."""
    async with connected(proxy) as (reader, writer):
        proxy.cut_before(Way.DOWN)
        writer.write(b"lost")
        assert await reader.read() == b""


async def test_cut_now_ends_every_connection(proxy):
    """With FIN, a reader comes to the end."""
    async with connected(proxy) as ends:
        await answer(*ends, b"x")
        proxy.cut()
        assert await ends[0].read() == b""


async def test_cut_with_a_reset_is_a_reset(proxy):
    """A reader is told so."""
    async with connected(proxy) as ends:
        await answer(*ends, b"x")
        proxy.cut(end=End.RST)
        with pytest.raises(ConnectionResetError):
            await ends[0].read()


async def test_strand_silences_the_connections_there_are_and_no_other(proxy):
    """The old connection stays open and says nothing."""
    async with connected(proxy) as old:
        await answer(*old, b"x")
        proxy.strand(Way.DOWN)
        async with connected(proxy) as new:
            old[1].write(b"unheard")
            assert await answer(*new, b"heard") == b"heard"
        assert not old[0].at_eof()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(old[0].read(1), 0.05)


async def test_swallow_silences_what_lost_bytes_and_ends_with_heal(proxy):
    """New connections are silent too, until then; no stream ever has a hole."""
    proxy.swallow(Way.UP)
    async with connected(proxy) as old:
        old[1].write(b"lost")
        await until(lambda: proxy.stranded_connections == 1)
        await proxy.heal()
        old[1].write(b"lost too")
        async with connected(proxy) as new:
            assert await answer(*new, b"heard") == b"heard"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(old[0].read(1), 0.05)


async def test_stall_holds_bytes_back_and_loses_none(proxy):
    """They arrive in order once it is over, with what was sent since."""
    proxy.stall(Way.DOWN)
    async with connected(proxy) as (reader, writer):
        writer.write(b"held ")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.05)
        await proxy.heal()
        writer.write(b"and more")
        assert await answer(reader, writer, b"", size=13) == b"held and more"


async def test_duplicate_passes_everything_on_twice(proxy):
    """One way only, if so asked."""
    proxy.duplicate(Way.UP)
    async with connected(proxy) as ends:
        assert await answer(*ends, b"abc", size=6) == b"abcabc"


async def test_drop_one_leaves_out_what_holds_the_mark_once(proxy):
    """What comes before and after it arrives."""
    proxy.drop_one(Way.DOWN, b"lost")
    async with connected(proxy) as ends:
        assert await answer(*ends, b"first") == b"first"
        ends[1].write(b"lost")
        await until(lambda: proxy.rules[Way.DOWN].change is None)
        assert await answer(*ends, b"lost no more") == b"lost no more"


async def test_accepted_at_tells_when_each_connection_came(proxy):
    """By the clock of the loop."""
    began = asyncio.get_running_loop().time()
    for _ in range(2):
        async with connected(proxy) as ends:
            await answer(*ends, b"x")
    assert began <= proxy.accepted_at[0] <= proxy.accepted_at[1] <= asyncio.get_running_loop().time()


async def test_delay_holds_each_byte_for_as_long_and_does_not_add_up(proxy):
    """Ten messages in a row arrive after one delay each way, not after ten."""
    loop = asyncio.get_running_loop()
    proxy.delay(0.1)
    async with connected(proxy) as (reader, writer):
        began = loop.time()
        for _ in range(10):
            writer.write(b"x")
            await asyncio.sleep(0.001)
        await reader.readexactly(10)
        assert 0.2 <= loop.time() - began < 1.0


async def test_split_makes_segments(proxy):
    """A reader gets the bytes in pieces, all of them."""
    proxy.split(7)
    async with connected(proxy) as (reader, writer):
        writer.write(b"x" * 70)
        first = await reader.read(70)
        assert len(first) < 70
        assert len(await reader.readexactly(70 - len(first))) == 70 - len(first)


async def test_throttle_takes_its_time(proxy):
    """A thousand bytes at ten thousand a second take a tenth of a second each way."""
    loop = asyncio.get_running_loop()
    proxy.throttle(10_000, piece=100)
    async with connected(proxy) as ends:
        began = loop.time()
        await answer(*ends, b"x" * 1000)
        assert loop.time() - began >= 0.09


async def test_refused_connections_find_a_closed_port_until_accepted_again(proxy):
    """The port stays the same."""
    async with connected(proxy) as ends:
        await answer(*ends, b"x")
        proxy.refuse()
        with pytest.raises(ConnectionError):
            assert await ends[0].read()
    with pytest.raises(ConnectionRefusedError):
        async with connected(proxy):
            pass
    await proxy.accept()
    async with connected(proxy) as ends:
        assert await answer(*ends, b"x") == b"x"


async def test_change_replaces_chunks(proxy):
    """A flipped byte arrives flipped."""
    proxy.change(Way.DOWN, flip(1))
    async with connected(proxy) as ends:
        assert await answer(*ends, b"abc") == b"a\x9dc"


async def test_answer_says_garbage_to_new_connections(proxy):
    """The server never sees them."""
    proxy.answer(b"garbage")
    async with connected(proxy) as (reader, writer):
        writer.write(b"x")
        assert await reader.read() == b"garbage"
    assert proxy.open_connections == 0


async def test_end_at_once_accepts_and_resets(proxy):
    """Connections are counted, and end before anything was said."""
    proxy.end_at_once()
    async with connected(proxy) as (reader, _):
        with pytest.raises(ConnectionResetError):
            await reader.read()
    assert proxy.connections == 1


async def test_target_that_is_gone_is_a_reset(no_tasks_left):
    """Whoever connects is told, and not left waiting."""
    async with echo() as port:
        pass
    async with Proxy(port) as proxy, connected(proxy) as (reader, _):
        with pytest.raises(ConnectionError):
            assert await reader.read()
