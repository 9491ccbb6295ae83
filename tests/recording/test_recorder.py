"""What a recording holds, what it leaves out, and how it ends."""

from __future__ import annotations

import gzip
import resource
import signal
import stat
from contextlib import contextmanager

import orjson
import pytest

from lunora_rx import ClientClosedError, LunoraClient, StorageError, TransportError
from lunora_rx.devserver import App
from tests.support import QUICK, Recorder, until

TOKEN, BEARER, ROTATED, COOKIE = (f"canary-{name}-Zx81" for name in ("ws", "bearer", "rotated", "cookie"))


def lines(path):
    """The lines of a recording."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [orjson.loads(line) for line in content.splitlines()]


def kinds(path):
    return [line["kind"] for line in lines(path)[1:]]


async def test_recording_holds_frames_calls_and_connections_with_times(server, tmp_path):
    """A header, then what happened, each with its time since the beginning."""
    async with server.client() as client:
        with client.record(tmp_path / "s.jsonl") as recording:
            values = Recorder()
            client.live("a:b", {"x": 1}, shard="room").subscribe(values.on_next)
            socket, subscription = await server.subscribed()
            await socket.push("data", id=subscription, data=[1])
            call = client.query("a:c")
            (await server.call()).reply({"result": 7})
            await call
            assert recording.is_recording
        assert not recording.is_recording
    header, *entries = lines(tmp_path / "s.jsonl")
    assert header["lunora_rx_recording"] == 1
    assert header["url"] == "http://server.test"
    assert [each["kind"] for each in entries] == [
        *("connecting", "opened", "sent", "sent", "received", "received", "request", "reply", "end")
    ]
    assert {each.get("shard", "") for each in entries[:6]} == {"room"}
    assert orjson.loads(entries[5]["text"])["data"] == [1]
    assert entries[6]["path"] == "POST /_lunora/rpc"
    assert [each["t"] for each in entries] == sorted(each["t"] for each in entries)


async def test_recording_holds_no_credential(server, tmp_path):
    """Bearer, socket tokens old and new, what a probe says of the session: none of it, wherever it stands."""
    tokens = iter([TOKEN, ROTATED])
    async with server.client(
        auth_token=BEARER, auth_subject="ada", ws_token=lambda: next(tokens), connection_context={"key": COOKIE}
    ) as client:
        client.record(tmp_path / "s.jsonl")
        client.live("a:b", {"leak": TOKEN}).snapshots.subscribe()
        socket, subscription = await server.subscribed()
        await socket.push("data", id=subscription, data=[TOKEN, BEARER])
        call = client.query("a:c", {"leak": BEARER})
        (await server.call()).reply({"result": BEARER})
        await call
        user = client.current_user()
        (await server.call()).reply({"user": {"id": "ada", "key": COOKIE}, "session": {"token": COOKIE}})
        assert (await user).id == "ada"
        socket.cut()
        await server.socket()
        failing = client.query("a:d")
        (await server.call())._future.set_exception(TransportError(f"no way to ws://h/?token={COOKIE}"))
        with pytest.raises(TransportError):
            await failing
    text = (tmp_path / "s.jsonl").read_text()
    assert "[redacted]" in text
    assert [secret for secret in (TOKEN, BEARER, ROTATED, COOKIE) if secret in text] == []
    assert "ada" in text


@pytest.mark.parametrize("name", ["s.jsonl", "s.jsonl.gz"])
async def test_recording_file_is_its_owners_alone(server, tmp_path, name):
    """Values are in it."""
    async with server.client() as client:
        client.record(tmp_path / name)
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert kinds(tmp_path / name) == ["end"]


async def test_recording_does_not_overwrite_unasked(server, tmp_path):
    """What is there stays, and the error says what to do."""
    path = tmp_path / "s.jsonl"
    path.write_text("precious")
    async with server.client() as client:
        with pytest.raises(FileExistsError, match="overwrite=True"):
            client.record(path)
        assert path.read_text() == "precious"
        client.record(path, overwrite=True)
    assert kinds(path) == ["end"]


async def test_recording_where_no_file_can_be_is_refused(server, tmp_path):
    """The error names the path."""
    async with server.client() as client:
        with pytest.raises(StorageError, match="nowhere"):
            client.record(tmp_path / "nowhere" / "s.jsonl")


async def test_second_recording_waits_for_the_first(server, tmp_path):
    """One at a time; a closed one makes room."""
    async with server.client() as client:
        first = client.record(tmp_path / "a.jsonl")
        with pytest.raises(RuntimeError, match=r"a\.jsonl"):
            client.record(tmp_path / "b.jsonl")
        first.close()
        first.close()
        async with client.record(tmp_path / "b.jsonl") as second:
            assert second.is_recording
    with pytest.raises(ClientClosedError):
        client.record(tmp_path / "c.jsonl")


async def test_recording_before_the_first_use_needs_no_loop(tmp_path):
    """A client may be set up outside of any loop."""
    async with App().serve() as url:
        client = LunoraClient(url, reconnect=QUICK)
        client.record(tmp_path / "s.jsonl")
        async with client:
            assert client.debug()["closed"] is False
    assert kinds(tmp_path / "s.jsonl") == ["end"]


@contextmanager
def small_files(limit):
    """Let no file of this process grow past a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


async def test_full_disk_ends_the_recording_and_nothing_else(server, tmp_path):
    """It is reported once; the client goes on."""
    reports = []
    async with server.client(on_storage_error=reports.append) as client:
        values = Recorder()
        client.live("a:b").subscribe(values.on_next)
        socket, subscription = await server.subscribed()
        with small_files(10_000):
            recording = client.record(tmp_path / "s.jsonl")
            await socket.push("data", id=subscription, data="x" * 20_000)
            await until(lambda: reports)
        assert not recording.is_recording
        await socket.push("data", id=subscription, data="on")
        assert values.last == "on"
    (error,) = reports
    assert isinstance(error, StorageError)
    assert "s.jsonl" in str(error)


async def test_client_that_nobody_records_has_no_tap(server, tmp_path):
    """Once a recording is over, frames pass as if it had never been."""
    async with server.client() as client:
        assert not client._driver.taps
        with client.record(tmp_path / "s.jsonl"):
            assert client._driver.taps
        assert not client._driver.taps
