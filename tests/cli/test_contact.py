"""A URL where something answers, and no Lunora server; and a Lunora server that is late, or says little of itself."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from lunora_rx import LunoraClient, TransportError
from lunora_rx.cli.contact import Contact
from lunora_rx.protocol.endpoints import BATCH_PATH, RPC_PATH
from lunora_rx.protocol.rpc import HttpReply, HttpRequest, RpcCall
from tests.cli.conftest import answering, notes_app, serving

PAGE = b"<html>hello</html>"


def hear(status, body=PAGE, *, path=BATCH_PATH, is_known=False, url="http://h", **headers):
    """What a contact makes of a reply."""
    contact = Contact(LunoraClient(url), is_known=is_known)
    request = HttpRequest(1, path, {}, b"{}", 1.0, (RpcCall("a:b"),))
    contact.note_reply(request, HttpReply(status, headers, body, place=f"http://h{path}"))
    return contact


@pytest.mark.parametrize("path", [RPC_PATH, BATCH_PATH])
@pytest.mark.parametrize(("status", "is_strange"), [(404, True), (501, True), (200, True), (302, True), (403, False)])
def test_page_is_no_lunora_server_unless_a_gate_or_a_proxy_may_have_sent_it(path, status, is_strange):
    """Those may open, or find their server again."""
    contact = hear(status, path=path)
    assert (contact.stranger is not None) is is_strange
    assert f"http://h{path} answered {status}" in contact.failure


@pytest.mark.parametrize("status", [500, 502, 503])
def test_server_that_is_down_behind_a_proxy_is_waited_for(status):
    """It is told, and may be one of Lunora."""
    contact = hear(status)
    assert contact.stranger is None
    assert f"answered {status}" in contact.failure


@pytest.mark.parametrize(
    ("status", "body"), [(200, b'{"results":[]}'), (404, b'{"error":{"code":"NOT_FOUND","message":"none"}}')]
)
def test_page_after_an_answer_of_the_protocol_makes_no_stranger(status, body):
    """The server was one of Lunora, and may be again."""
    contact = hear(status, body)
    assert (contact.stranger, contact.failure) == (None, None)
    request = HttpRequest(2, RPC_PATH, {}, b"{}", 1.0, (RpcCall("a:b"),))
    contact.note_reply(request, HttpReply(404, {}, PAGE))
    assert contact.stranger is None
    assert contact.failure is not None


def test_server_that_is_known_is_never_a_stranger():
    """One that told of its functions."""
    assert hear(404, is_known=True).stranger is None


def test_stranger_says_where_the_url_comes_from_and_what_it_may_be():
    """Without a password that it holds."""
    stranger = hear(404, url="http://ada:secret@h:1/api").stranger
    assert isinstance(stranger, TransportError)
    assert stranger.hint == ["the URL comes from --url or LUNORA_URL", "is it http://h:1, without /api?"]
    assert "secret" not in f"{stranger} {stranger.hint}"
    assert "leads to https://h/" in hear(301, location="https://h/").stranger.hint[1]


@pytest.mark.parametrize("status", [404, 501, 200])
@pytest.mark.parametrize("command", [["watch", "notes:list", "--count", 1], ["call", "notes:list"], ["mutate", "a:b"]])
def test_url_of_another_server_ends_with_3_and_says_so(served, command, status):
    """It answers, and there is nothing to wait for."""
    with answering(status) as url:
        done = served.run(*command, "--url", url)
    assert (done.exit_code, done.stdout) == (3, "")
    assert f"what answers at {url} is no Lunora server" in done.stderr
    assert "hint: the URL comes from --url or LUNORA_URL" in done.stderr


@pytest.mark.parametrize("command", [["watch", "notes:list", "--count", 1], ["call", "notes:list"], ["mutate", "a:b"]])
def test_url_with_a_path_too_many_ends_with_3_and_the_right_one(served, command):
    """The server itself is at the URL without it."""
    done = served.run(*command, "--url", f"{served.url}/api")
    assert (done.exit_code, done.stdout) == (3, "")
    assert f"hint: is it {served.url}, without /api?" in done.stderr


def test_import_into_another_server_says_where_the_url_comes_from(served, tmp_path):
    """And how to go on."""
    (tmp_path / "rows.jsonl").write_text("{}\n")
    with answering(404) as url:
        done = served.run("import", "notes:add", tmp_path / "rows.jsonl", "--url", url)
    assert done.exit_code == 1
    assert "hint: the URL comes from --url or LUNORA_URL" in done.stderr
    assert "--import-id" in done.stderr


def test_server_that_has_neither_document_nor_sockets_is_watched_by_polling(served, monkeypatch):
    """Its answers are those of Lunora."""
    monkeypatch.setattr(served.app, "openrpc", lambda: ["a page of a proxy"])
    served.do(served.app.faults.refuse_sockets)
    done = served.run("watch", "notes:list", "--count", 1)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["value"] == []
    assert "no value yet: cannot connect to ws://" in done.stderr


def test_server_that_is_down_at_first_is_waited_for():
    """The reason is told meanwhile, once."""
    command = [sys.executable, "-m", "lunora_rx.cli", "watch", "notes:list", "--count", "1", "--url"]
    with answering(503) as url:
        process = subprocess.Popen([*command, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        told = [process.stderr.readline(), process.stderr.readline()]
    with serving(notes_app(), port=int(url.rpartition(":")[2])):
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert json.loads(out)["value"] == []
    assert all("no value yet: " in line and "answered 503" in line for line in told)
    assert told[0] != told[1]
    assert "503" not in err
