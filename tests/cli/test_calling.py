"""``lunora-rx call`` and ``lunora-rx mutate``, against the embedded server."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.cli.conftest import TOKEN, words

NOBODY = "http://127.0.0.1:9"


def test_call_of_a_query_prints_its_value_as_one_line(served):
    """A pipe gets JSON without asking."""
    served.run("mutate", "notes:write", '{"text": "hi"}')
    done = served.run("call", "notes:list", '{"limit": 5}')
    assert done.exit_code == 0
    (line,) = done.stdout.splitlines()
    assert [row["text"] for row in json.loads(line)] == ["hi"]


def test_call_of_an_action_prints_its_result(served):
    """Queries and actions are called alike."""
    done = served.run("call", "notes:shout", '{"text": "hi"}', "--json")
    assert (done.exit_code, done.stdout) == (0, '"HI"\n')


def test_mutate_repeated_under_its_id_writes_once(served):
    """The id and the client are what the server knows a write by."""
    command = ("mutate", "notes:write", '{"text": "once"}', "--mutation-id", "m1", "--client-id", "script")
    first, second = served.run(*command), served.run(*command)
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert first.stdout == second.stdout
    assert [row["text"] for row in served.rows] == ["once"]


def test_value_that_json_does_not_have_is_printed_as_the_wire_has_it(served):
    """And is read from ARGS in the same form."""
    tagged = '["$lunora.wire$","bigint","12"]'
    done = served.run("mutate", "notes:add", f'{{"rows": [{{"n": {tagged}}}]}}')
    assert done.exit_code == 0, done.stderr
    assert tagged in served.run("call", "notes:list").stdout


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        ("notes:lst", "did you mean notes:list"),
        ("note:list", "did you mean notes:list"),
        ("zebras:ride", "the server has: notes:first, notes:leak, notes:list, notes:shout, notes:whoami"),
    ],
)
def test_call_of_a_function_that_is_not_there_suggests_others(served, function, hint):
    """From the server's own document; mutations are not called, so they are not suggested."""
    done = served.run("call", function)
    assert done.exit_code == 1
    assert f"NOT_FOUND: there is no function '{function}'" in done.stderr
    assert hint in done.stderr


@pytest.mark.parametrize(
    ("command", "function", "advice"),
    [
        ("call", "notes:write", "notes:write is of kind mutation, and not query or action: use lunora-rx mutate"),
        ("mutate", "notes:list", "notes:list is of kind query, and not mutation: use lunora-rx watch or call"),
        ("watch", "notes:shout", "notes:shout is of kind action, and not query: use lunora-rx call"),
        ("import", "notes:list", "notes:list is of kind query"),
    ],
)
def test_function_of_another_kind_is_not_run(served, tmp_path, command, function, advice):
    """The message names the command that takes it."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text("{}\n")
    done = served.run(command, function, *([rows] if command == "import" else []))
    assert done.exit_code == 2
    assert advice in done.stderr
    assert served.rows == []


def test_argument_of_a_wrong_type_is_told_with_what_the_function_takes(served):
    """The server's refusal, and the arguments from its document."""
    done = served.run("call", "notes:list", '{"limit": "ten"}')
    assert done.exit_code == 1
    assert "VALIDATION_ERROR: notes:list: argument 'limit' must be a whole number" in done.stderr
    assert "notes:list takes {limit?: integer}" in done.stderr


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ('{"limit": 5 "x": 1}', 'line 1, column 13\n  {"limit": 5 "x": 1}\n              ^'),
        ("{limit: 5}", "expecting property name enclosed in double quotes at line 1, column 2"),
        ("[1]", "not a list"),
        ("5", "not a number"),
        ("", "no JSON: expecting value at line 1, column 1"),
        ('{"a": NaN}', "NaN is not a number of JSON"),
        ('{"a": ["$lunora.wire$","bigint","x"]}', "cannot be used"),
    ],
)
def test_args_that_are_no_json_object_are_pointed_at(served, args, reason):
    """With the place, and nothing is sent."""
    done = served.run("call", "notes:list", args)
    assert done.exit_code == 2
    assert reason in done.stderr


def test_place_in_a_long_text_is_shown_with_what_is_around_it(served):
    """The caret stands under the character that is wrong."""
    done = served.run("call", "notes:list", '{"text": "' + "x" * 500 + '" oops}')
    _, excerpt, caret, _ = done.stderr.splitlines()
    assert excerpt[caret.index("^")] == "o"
    assert len(excerpt) < 80


def test_refusal_of_the_server_is_told_with_its_hint(served):
    """Code, message and hint are the application's."""
    done = served.run("call", "notes:first")
    assert done.exit_code == 1
    assert done.stderr == "lunora-rx call: EMPTY: there is no note yet\nhint: write one\n"
    assert done.stdout == ""


@pytest.mark.parametrize("command", ["call", "mutate", "watch"])
def test_url_where_nobody_answers_ends_with_3(served, command):
    """The message names the URL and where it comes from."""
    done = served.run(command, "notes:list", "--url", NOBODY)
    assert done.exit_code == 3
    assert f"no reply from {NOBODY}" in done.stderr
    assert "--url or LUNORA_URL" in done.stderr


@pytest.mark.parametrize("url", ["127.0.0.1:8787", "ftp://a", "http://a?b=c"])
def test_url_that_is_none_is_a_usage_error(served, url):
    """Before anything is asked."""
    done = served.run("call", "notes:list", "--url", url)
    assert done.exit_code == 2
    assert "--url=" in words(done.stderr)


def test_function_without_a_colon_is_a_usage_error(served):
    """The message shows the form."""
    done = served.run("call", "notes.list")
    assert done.exit_code == 2
    assert "not of the form 'file:function'" in done.stderr


@pytest.mark.parametrize("by", ["option", "variable"])
def test_token_signs_in_and_is_never_shown(served, by):
    """Neither in help nor in messages, even where the server repeats it."""
    option = ("--token", TOKEN) if by == "option" else ()
    env = {} if by == "option" else {"LUNORA_TOKEN": TOKEN}
    assert served.run("call", "notes:whoami", *option, **env).stdout == '"ada"\n'
    for arguments in (["notes:leak"], ["notes:list", "[]"], ["notes:list", "--url", NOBODY], ["--help"]):
        done = served.run("call", *arguments, *option, **env)
        assert TOKEN not in done.output
    assert "the server repeats [redacted]" in served.run("call", "notes:leak", *option, **env).stderr


def test_refused_token_ends_with_1(served):
    """It is the server that says no."""
    done = served.run("call", "notes:list", "--token", "wrong-one")
    assert (done.exit_code, "UNAUTHORIZED" in done.stderr, "wrong-one" in done.output) == (1, True, False)


def test_call_to_a_server_without_a_document_is_made_all_the_same(served, monkeypatch):
    """An answer of any other sort tells nothing of functions: nothing is refused beforehand, nothing explained."""
    monkeypatch.setattr(served.app, "openrpc", lambda: ["a page of a proxy"])
    done = served.run("call", "notes:shout", '{"text": "hi"}')
    assert (done.exit_code, done.stdout) == (0, '"HI"\n')
    done = served.run("call", "notes:shuot")
    assert (done.exit_code, "did you mean" in done.stderr) == (1, False)


def test_interrupt_ends_a_call_with_130_and_no_traceback(served):
    """Ctrl-C while the reply is on its way."""
    import signal
    from threading import Event

    arrived = Event()

    @served.app.action("notes:wait")
    async def wait(ctx):
        import asyncio

        arrived.set()
        await asyncio.sleep(60)

    process = subprocess.Popen(
        [sys.executable, "-m", "lunora_rx.cli", "call", "notes:wait", "--url", served.url],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert arrived.wait(20)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=10)
    assert (process.returncode, told) == (130, "")
