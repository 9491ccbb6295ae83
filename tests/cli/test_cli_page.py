"""docs/cli.md: its commands run as they stand, and it tells of every option that there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from lunora_rx.cli.commands import app
from lunora_rx.cli.ending import ExitCode
from lunora_rx.cli.target import DEFAULT_URL
from lunora_rx.devserver import App
from tests.cli.conftest import serving

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
COMMANDS = ["call", "mutate", "watch", "import", "serve", "queue send"]


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def section(command):
    return PAGE.split(f"\n## lunora-rx {command}\n")[1].split("\n## ")[0]


def command_of(name):
    command = typer.main.get_command(app)
    for part in name.split():
        command = command.commands[part]
    return command


def test_examples_of_the_page_print_what_it_says(tmp_path, monkeypatch):
    """All in a row, against the app of the page; three dots stand for anything."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "songs.csv").write_text(blocks("text")[0], encoding="utf-8")
    names: dict[str, object] = {}
    exec(blocks("python")[0], names)
    assert isinstance(names["app"], App)
    with serving(names["app"]) as server:
        for block in (each.replace(DEFAULT_URL, server.url) for each in blocks("console")):
            for example in re.split(r"^\$ lunora-rx ", block, flags=re.MULTILINE)[1:]:
                command, _, promised = example.partition("\n")
                printed = server.run(*shlex.split(command)).output
                pattern = re.escape(promised).replace(re.escape("..."), ".+")
                assert re.fullmatch(pattern, printed), f"{command}\n{printed}"


@pytest.mark.parametrize("name", COMMANDS)
def test_options_of_the_page_are_those_of_the_command(name):
    """No more and no fewer."""
    rows = re.findall(r"^\| (`--.*?) \|", section(name), re.MULTILINE)
    told = {option for row in rows for option in re.findall(r"--[a-z-]+", row)}
    there = {option for param in command_of(name).params for option in param.opts if option.startswith("--")}
    assert told == there - {"--help"}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_and_is_for_a_person(name):
    """The example is the command itself, and every option says what it is for."""
    command = command_of(name)
    assert command.epilog.startswith("Example: lunora-rx ")
    assert name.split()[-1] in command.epilog
    assert [param.name for param in command.params if not getattr(param, "help", None)] == []


def test_exit_codes_of_the_page_are_those_of_the_program():
    """Each one is told."""
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)} == {int(code) for code in ExitCode}


def test_keys_of_the_page_are_those_of_the_screen():
    """Each binding that is shown has a row."""
    from lunora_rx.cli.watch.screen import WatchApp

    keys = {binding.key_display or binding.key for binding in WatchApp.BINDINGS if binding.show}
    rows = [row.lower() for row in re.findall(r"^\| (.*?) \|", section("watch"), re.MULTILINE)]
    assert {key for key in keys if not any(re.search(rf"(^|\W){re.escape(key)}($|\W)", row) for row in rows)} == set()
