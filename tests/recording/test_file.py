"""Recordings that were cut off, damaged, made by another version, or are huge."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest

from lunora_rx import CodecError, replay
from lunora_rx.protocol.recording import Entry, Header, Kind, encode_entry, encode_header
from lunora_rx.recording import file as file_module
from lunora_rx.recording.file import RecordingFile

ENTRIES = [Entry(1.5, Kind.OPENED, "room"), Entry(2.0, Kind.RECEIVED, "room", '{"type":"ack"}'), Entry(9.0, Kind.END)]


def written(path, *, header=None, ending=b""):
    content = header or encode_header(Header("2026-01-01T00:00:00Z", "http://h"))
    content += b"".join(map(encode_entry, ENTRIES)) + ending
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("name", ["s.jsonl", "s.jsonl.gz"])
def test_file_gives_back_what_was_written(tmp_path, name):
    """Header and entries, and each entry by the place of its line."""
    file = RecordingFile(written(tmp_path / name))
    assert file.header == Header("2026-01-01T00:00:00Z", "http://h")
    assert list(file.entries()) == ENTRIES
    assert [file.entry_at(line.offset) for line in file.lines()] == ENTRIES


def test_last_line_that_was_cut_off_is_passed_over(tmp_path):
    """As a crash leaves it."""
    file = RecordingFile(written(tmp_path / "s.jsonl", ending=b'{"t":10,"kind":"rece'))
    assert list(file.entries()) == ENTRIES


def test_compressed_file_that_was_cut_off_gives_what_is_whole(tmp_path):
    """Its end is missing, and so is the end of its last line."""
    path = written(tmp_path / "s.jsonl.gz", ending=b"x" * 5)
    path.write_bytes(path.read_bytes()[:-12])
    assert list(RecordingFile(path).entries()) == ENTRIES[: len(list(RecordingFile(path).entries()))]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"nonsense\n", "JSON"),
        (b"[]\n", "not a JSON object"),
        (b'{"kind":"opened"}\n', "'t' is not a number"),
        (b'{"t":1,"kind":"unheard"}\n', "unknown kind 'unheard'"),
        (b'{"t":1,"kind":' + b"[" * 1000 + b"]" * 1000 + b"}\n", "unknown kind list"),
        (b'{"t":1,"kind":"opened","shard":"\\ud800"}\n', "'shard' holds a lone surrogate"),
        (b'{"t":1,"kind":"opened","shard":5}\n', "'shard' is not a string"),
        (b'{"t":1,"kind":"lost","code":"5"}\n', "'code' is not an integer"),
    ],
)
def test_damaged_line_is_named(tmp_path, line, reason):
    """File, line number, and what is wrong with it; told at the beginning, not in the middle of a replay."""
    path = written(tmp_path / "s.jsonl", ending=line + encode_entry(ENTRIES[0]))
    with pytest.raises(CodecError, match=reason) as caught:
        replay(path)
    assert f"{path} line 5" in str(caught.value)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b'{"lunora_rx_recording":2}\n', "format version 2; known here is 1"),
        (b'{"some":"json"}\n', "no recording"),
        (b"text\n", "no recording"),
        (b"\n", "no recording"),
    ],
)
def test_file_of_another_kind_is_refused(tmp_path, header, reason):
    """Before anything is read from it."""
    with pytest.raises(CodecError, match=reason):
        RecordingFile(written(tmp_path / "s.jsonl", header=header))


def test_file_that_is_not_there_is_named(tmp_path):
    """By the error that Python has for it."""
    with pytest.raises(FileNotFoundError, match=r"none\.jsonl"):
        replay(tmp_path / "none.jsonl")


def test_huge_file_is_read_line_by_line(tmp_path):
    """Twenty megabytes take less than two."""
    path = written(tmp_path / "s.jsonl", ending=encode_entry(Entry(9.0, Kind.RECEIVED, text="x" * 20_000)) * 1_000)
    tracemalloc.start()
    client = replay(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert client.playback.steps == 1_001
    assert peak < 2_000_000


def test_line_without_an_end_is_refused_before_it_takes_all_memory(tmp_path, monkeypatch):
    """A compressed file of a megabyte may hold a line of many gigabytes."""
    path = written(tmp_path / "s.jsonl.gz", ending=b'{"t":10,"kind":"received","text":"' + b"a" * 5_000 + b'"}\n')
    monkeypatch.setattr(file_module, "LINE_LIMIT", 1_000)
    with pytest.raises(CodecError, match="line 5: is longer than 1000 bytes"):
        list(RecordingFile(path).entries())


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Kind.SENT, '{"type":"later","id":"sub_1","query":{"functionPath":"a:b"}}'),
        (Kind.SENT, '{"id":"sub_1","query":{"functionPath":"a:b"}}'),
        (Kind.SENT, '{"type":"subscribe","id":"sub_1","query":{"functionPath":"a:b","args":{"x":"\\ud800"}}}'),
        (Kind.RECEIVED, '{"type":["data"],"id":"sub_1"}'),
        (Kind.RECEIVED, '{"id":"sub_1","data":1}'),
        (Kind.RECEIVED, '{"type":"error","id":"sub_1","message":' + "[" * 990 + "]" * 990 + "}"),
    ],
)
async def test_frame_of_any_form_is_recorded_and_replayed(tmp_path, kind, text):
    """A recording holds what was sent, be it of a later version or nonsense."""
    subscribe = '{"type":"subscribe","id":"sub_1","query":{"functionPath":"a:b","args":{}}}'
    path = written(
        tmp_path / "s.jsonl",
        ending=b"".join(map(encode_entry, [Entry(10.0, Kind.SENT, "", subscribe), Entry(11.0, kind, "", text)])),
    )
    async with replay(path, speed=None) as client:
        assert all("a:b" in str(each) for each in client.contents.queries.values())
        client.live("a:b").subscribe(lambda value: None, lambda error: None)
        await client.playback.run()


def test_header_whose_fields_are_no_text_is_read_without_them(tmp_path):
    """They are shown, and nothing depends on them."""
    deep = b"[" * 1000 + b"]" * 1000
    path = written(tmp_path / "s.jsonl", header=b'{"lunora_rx_recording":1,"started_at":' + deep + b',"url":5}\n')
    assert RecordingFile(path).header == Header("", "")
