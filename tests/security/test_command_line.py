"""The command line: no token in what it prints or writes, and nothing that a server says steers the terminal."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from lunora_rx.cli.commands import app as command
from lunora_rx.devserver import App, AppError
from tests.cli.conftest import serving
from tests.security.canary import WORD, leaks
from tests.security.house import ADMIN, BEARER

STEERING = "\x1b[2J\x1b]0;owned\x07\x9b31m\r\u202e"


@pytest.fixture
def served():
    """A server that repeats the token that it is shown, and says what steers a terminal."""
    app = App()
    shown = []

    @app.authenticate
    def subject_of(token):
        shown.append(token)
        return None if token == ADMIN else "ada"

    @app.query("notes:list")
    def all_notes(ctx):
        return [{"text": STEERING}]

    @app.query("notes:leak")
    def leak(ctx):
        raise AppError("LEAK", f"{STEERING} the token is {shown[-1]}", hint=shown[-1])

    @app.mutation("notes:add")
    def add(ctx):
        raise AppError("LEAK", f"{STEERING} the token is {shown[-1]}")

    with serving(app) as server:
        yield server


COMMANDS = {
    "call": ["call", "notes:list"],
    "call that fails": ["call", "notes:leak"],
    "call of nothing": ["call", "notes:none"],
    "mutate": ["mutate", "notes:add"],
    "watch": ["watch", "notes:list", "--count", "1"],
    "watch that fails": ["watch", "notes:leak", "--count", "1"],
    "import": ["import", "notes:add", "-"],
    "record": ["record", "notes:list", "--seconds", "0.5"],
    "record that fails": ["record", "notes:leak", "--seconds", "0.5"],
    "codegen": ["codegen", "URL"],
}
VARIABLES = ("LUNORA_TOKEN", "LUNORA_WS_TOKEN", "LUNORA_AUTH_TOKEN")


def run(served, tmp_path, *arguments, token, by):
    """Run a command with a token, and return what it printed."""
    words = [served.url if each == "URL" else each for each in arguments]
    words += {"record": ["-o", str(tmp_path / "session.jsonl")], "codegen": ["-o", str(tmp_path / "api.py")]}.get(
        words[0], []
    )
    option = "--auth-token" if words[0] == "codegen" else "--token"
    words += [option, token] if by == "option" else []
    env = {"LUNORA_URL": served.url, **{name: token for name in VARIABLES if by == "variable"}}
    return CliRunner().invoke(command, words, env=env, input='{"a": 1}\n')


@pytest.mark.parametrize("by", ["option", "variable"])
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("token", [BEARER, ADMIN], ids=["taken", "refused"])
def test_command_shows_no_token_and_steers_no_terminal(served, tmp_path, name, by, token):
    """Whether it works or fails, and though the server repeats the one and says the other; nor do files hold it."""
    if name.startswith("watch") and token == ADMIN:
        pytest.skip("a live query waits until its token is taken")
    done = run(served, tmp_path, *COMMANDS[name], token=token, by=by)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    shown = done.stdout + done.stderr
    assert leaks(shown) == []
    assert [each for each in shown if not each.isprintable() and each != "\n"] == []
    for path in tmp_path.iterdir():
        assert leaks(path.read_text()) == []


@pytest.mark.parametrize("command_line", [["call", "a:b"], ["watch", "a:b"], ["record", "a:b"], ["dashboard"]])
@pytest.mark.parametrize(
    "url", [f"http://u:{WORD}@127.0.0.1:9", f"http://127.0.0.1:9/?token={WORD}", f"http://u:{WORD}@h:x"]
)
def test_command_shows_no_secret_of_a_url(command_line, url, tmp_path, monkeypatch):
    """A password before the host, a token behind it; refused or not."""
    monkeypatch.chdir(tmp_path)
    if command_line == ["dashboard"] and url.endswith(":9"):
        pytest.skip("a dashboard of a server that is not there runs on")
    options = ["--seconds", "0.2"] if command_line[0] == "record" else []
    options += ["--timeout", "0.2"] if command_line[0] == "call" else []
    options += ["--seconds", "0.2"] if command_line[0] == "watch" else []
    done = CliRunner().invoke(command, [*command_line, "--url", url, *options])
    assert leaks(done.stdout + done.stderr) == []


@pytest.mark.parametrize("token", [f"{WORD}\n", f"{WORD}é", f"{WORD}\x1b"])
@pytest.mark.parametrize("command_line", [["call", "a:b"], ["record", "a:b"], ["codegen", "http://127.0.0.1:9"]])
def test_token_that_no_header_can_hold_is_refused_without_being_shown(command_line, token, tmp_path, monkeypatch):
    """A line end at its end is the usual one: it came from a file."""
    monkeypatch.chdir(tmp_path)
    options = ["--seconds", "0.2"] if command_line[0] == "record" else []
    done = CliRunner().invoke(command, [*command_line, *options], env=dict.fromkeys(VARIABLES, token))
    assert done.exit_code != 0
    assert leaks(done.stdout + done.stderr) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads the list of processes as Linux shows it")
def test_token_in_the_variable_is_in_no_list_of_processes(served):
    """What ``ps`` shows to every user of the machine; the environment it shows to the owner alone."""
    program = [sys.executable, "-m", "lunora_rx.cli", "watch", "notes:list", "--url", served.url]
    with subprocess.Popen(program, env={"LUNORA_TOKEN": BEARER, "PATH": ""}, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            with open(f"/proc/{process.pid}/cmdline", "rb") as file:
                assert leaks(file.read().decode()) == []
        finally:
            process.terminate()
