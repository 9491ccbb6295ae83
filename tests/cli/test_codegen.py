"""``lunora-rx codegen`` as its user runs it."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given, settings
from typer.testing import CliRunner

from lunora_rx.cli.commands import app as command_line
from lunora_rx.codegen import DocumentError, generate
from lunora_rx.codegen.source import read_document
from lunora_rx.devserver import App
from tests.codegen.documents import DOCUMENTS, an_object, document, method

SOURCE = document(method(args=an_object(), result={"type": "string"}), method("a:b", kind="action"))


def run(*arguments, given="", env=None):
    done = CliRunner().invoke(command_line, ["codegen", *map(str, arguments)], input=given, env=env)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "openrpc.json"
    file.write_text(json.dumps(SOURCE), encoding="utf-8")
    return file


def test_codegen_writes_the_module_and_says_what_is_in_it(source, tmp_path):
    """A second run changes nothing, not even the time of the file."""
    target = tmp_path / "api.py"
    done = run(source, "-o", target)
    assert done.exit_code == 0
    assert done.stdout == f"{target}: 1 query, 0 mutations, 1 action; 1 declares no result\n"
    assert target.read_bytes() == generate(SOURCE).encode()
    os.utime(target, (1, 1))
    assert run(source, "-o", target).stdout.endswith("no result; unchanged\n")
    assert target.stat().st_mtime == 1


def test_codegen_without_a_file_prints_the_module(source):
    """From a file or from the standard input, to the standard output."""
    assert run(source).stdout == run("-", given=source.read_text(encoding="utf-8")).stdout == generate(SOURCE)


def test_codegen_check_of_a_fresh_module_succeeds(source, tmp_path):
    """Also where the checkout has made the line ends of Windows of it."""
    target = tmp_path / "api.py"
    target.write_bytes(generate(SOURCE).replace("\n", "\r\n").encode())
    done = run(source, "-o", target, "--check")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")


def test_codegen_check_of_a_stale_module_fails_with_a_diff(source, tmp_path):
    """The diff leads from the file to what would be written, and nothing is written."""
    target = tmp_path / "api.py"
    stale = generate(document(SOURCE["methods"][0]))
    target.write_text(stale, encoding="utf-8")
    done = run(source, "-o", target, "--check")
    assert done.exit_code == 1
    assert f"--- {target}\n" in done.stdout
    assert '+    """The action ``a:b``."""\n' in done.stdout
    assert "stale" in done.stderr
    assert target.read_text(encoding="utf-8") == stale


def test_codegen_check_of_a_missing_module_fails(source, tmp_path):
    """The whole module is the diff."""
    done = run(source, "-o", tmp_path / "api.py", "--check")
    assert done.exit_code == 1
    assert "missing" in done.stderr
    assert not (tmp_path / "api.py").exists()


@settings(max_examples=20)
@given(DOCUMENTS)
def test_codegen_check_agrees_with_what_was_written(tmp_path_factory, made):
    """What was just generated is fresh, and one more function makes it stale."""
    target = tmp_path_factory.mktemp("codegen") / "api.py"
    if run("-", "-o", target, given=json.dumps(made)).exit_code:
        return
    assert run("-", "-o", target, "--check", given=json.dumps(made)).exit_code == 0
    made["methods"].append(method("one:more"))
    assert run("-", "-o", target, "--check", given=json.dumps(made)).exit_code == 1


def test_codegen_as_json_tells_what_a_script_reads(source, tmp_path):
    """One object: the counts, what is untyped, whether anything changed."""
    target = tmp_path / "api.py"
    expected = {"file": str(target), "queries": 1, "mutations": 0, "actions": 1, "untyped_results": ["a:b"], "diff": ""}
    assert json.loads(run(source, "-o", target, "--json").stdout) == {**expected, "changed": True}
    assert json.loads(run(source, "-o", target, "--json").stdout) == {**expected, "changed": False}
    target.unlink()
    done = run(source, "-o", target, "--json", "--check")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["diff"].startswith("--- ")


def test_codegen_of_a_file_that_somebody_wrote_leaves_it(source, tmp_path):
    """Only ``--force`` replaces what this command has not written."""
    target = tmp_path / "main.py"
    target.write_text("print('mine')\n", encoding="utf-8")
    done = run(source, "-o", target)
    assert done.exit_code == 1
    assert "--force" in done.stderr
    assert target.read_text(encoding="utf-8") == "print('mine')\n"
    assert run(source, "-o", target, "--force").exit_code == 0
    assert target.read_text(encoding="utf-8") == generate(SOURCE)


@pytest.mark.parametrize("option", ["--check", "--json"])
def test_codegen_option_that_needs_a_file_says_so(source, option):
    """What is printed cannot be compared."""
    done = run(source, option)
    assert done.exit_code == 2
    assert "-o" in done.stderr


def test_codegen_of_a_refused_document_names_every_problem_and_writes_nothing(tmp_path):
    """One line each on the standard error, exit code 1."""
    text = json.dumps(document(method("a-b:c"), method("d:getX"), method("d:get_x")))
    done = run("-", "-o", tmp_path / "api.py", given=text)
    assert done.exit_code == 1
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("lunora-rx codegen: ") for line in lines)
    assert not (tmp_path / "api.py").exists()


def test_codegen_into_a_directory_that_is_not_there_says_so(source, tmp_path):
    """The error names the file, and no draft is left."""
    done = run(source, "-o", tmp_path / "none" / "api.py")
    assert done.exit_code == 1
    assert "cannot write" in done.stderr


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"{", "not valid JSON"), (b"\xff", "not valid JSON"), (b"[]", "no OpenRPC document"), (None, "cannot read")],
)
def test_codegen_of_a_file_that_is_no_document_says_what_it_is(tmp_path, content, told):
    """Missing, no JSON, or JSON of something else."""
    file = tmp_path / "openrpc.json"
    if content is not None:
        file.write_bytes(content)
    done = run(file)
    assert done.exit_code == 1
    assert told in done.stderr


def test_document_with_a_byte_order_mark_is_read(monkeypatch):
    """Some editors write one."""
    standard_input = io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbf{}"))
    monkeypatch.setattr(sys, "stdin", standard_input)
    assert read_document("-") == {}


async def test_document_of_a_running_server_is_found_at_its_url():
    """A URL without a path is that of a server; one with a path is that of the document."""
    app = App(title="served")
    async with app.serve() as url:
        for each in (url, f"{url}/", f"{url}/_lunora/openrpc.json"):
            assert await asyncio.to_thread(read_document, each) == app.openrpc()
        with pytest.raises(DocumentError, match="answered with 404"):
            await asyncio.to_thread(read_document, f"{url}/else")


async def test_document_of_a_server_that_asks_who_is_there():
    """The bearer goes along, and is in no message."""

    async def answer(request):
        return web.Response(status=200 if request.headers.get("authorization") == "Bearer sesame" else 401, text="{}")

    routes = web.Application()
    routes.router.add_get("/_lunora/openrpc.json", answer)
    async with TestServer(routes) as server:
        url = str(server.make_url("/"))
        assert await asyncio.to_thread(read_document, url, auth_token="sesame") == {}
        with pytest.raises(DocumentError, match="401: --auth-token") as caught:
            await asyncio.to_thread(read_document, f"{url}?token=canary", auth_token="canary")
    assert "canary" not in str(caught.value)


def test_document_of_a_server_that_is_not_there_cannot_be_read():
    """The error names the place and not what goes along."""
    with pytest.raises(DocumentError, match=r"cannot read http://127\.0\.0\.1:9") as caught:
        read_document("http://127.0.0.1:9/?token=canary", auth_token="canary")
    assert "canary" not in str(caught.value)


def test_token_that_no_header_carries_is_refused_unseen():
    """The error names the argument only."""
    with pytest.raises(DocumentError, match="auth_token goes into an HTTP header") as caught:
        read_document("http://127.0.0.1:9", auth_token="canary\n")
    assert "canary" not in str(caught.value)


def test_codegen_help_has_an_example():
    """``--help`` shows a call."""
    assert "lunora-rx codegen http://127.0.0.1:8787 -o api.py" in run("--help").stdout


def test_committed_example_is_found_fresh_by_the_command():
    """What CI runs."""
    typing = Path(__file__).parents[1] / "typing"
    assert run(typing / "every_type.json", "-o", typing / "every_type_api.py", "--check").exit_code == 0
