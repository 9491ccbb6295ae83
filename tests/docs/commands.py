"""Whether a command of the documentation could be run: it parses, and all that it names is there."""

from __future__ import annotations

import ast
import json
import re
import shlex
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from contextlib import chdir
from importlib.util import find_spec
from pathlib import Path

import typer

from lunora_rx.cli.commands import app
from tests.docs.blocks import ROOT, Block, blocks_of

SHELLS = {"bash", "console", "sh", "shell"}

_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
_EXTRAS = set(_PROJECT["project"]["optional-dependencies"])
_GROUPED = {
    re.split(r"[^\w-]", each)[0]
    for group in _PROJECT["dependency-groups"].values()
    for each in group
    if isinstance(each, str)
}
_TOX_TEXT = (ROOT / "tox.ini").read_text(encoding="utf-8")
_TOX = ConfigParser(interpolation=None)
_TOX.read_string(_TOX_TEXT)
_UsageError = typer.BadParameter.__bases__[0]


def commands_of(block: Block) -> Iterator[list[str]]:
    """Yield the words of each command of a block; where there are prompts, the rest is what commands print.

    Raises:
        ValueError: A line is no line of a shell.
    """
    lines = block.text.replace("\\\n", " ").splitlines()
    prompted = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    for line in prompted or lines:
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;<>")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, "&&"]:
            if word != "&&":
                words.append(word)
            elif words:
                yield words
                words = []


def wrong_with(words: list[str], page: str) -> str | None:
    """Return why a command of a page cannot be run, if it cannot."""
    words = [*words]
    while words and (variable := re.match(r"([A-Z_]+)=", words[0])):
        if variable[1] not in _TOX_TEXT:
            return f"no environment of tox knows the variable {variable[1]}"
        words.pop(0)
    name, *rest = words
    if name.startswith("tests/workerd/node_modules/"):
        return _workerd(name, rest)
    check = _PROGRAMS.get(name.removeprefix(".venv/bin/"))
    return f"nobody checks the program {name}" if check is None else check(rest, page)


def _activate(words: list[str], page: str) -> str | None:
    return None if words == [".venv/bin/activate"] else f"there is no {' '.join(words)}"


def _jupyter(words: list[str], page: str) -> str | None:
    return None if words == ["lab"] and "jupyterlab" in _GROUPED else f"no jupyter {' '.join(words)} is tested"


def _lunora_rx(words: list[str], page: str) -> str | None:
    command, context = typer.main.get_command(app), None
    try:
        with tempfile.TemporaryDirectory() as directory, chdir(directory):
            for word in words:
                if re.fullmatch(r"\w+\.\w+", word):
                    Path(word).touch()
            name = "lunora-rx"
            while True:
                context = command.make_context(name, words, parent=context)
                if not hasattr(command, "commands"):
                    return None
                name, command, words = command.resolve_command(context, [*context._protected_args, *context.args])
    except _UsageError as error:
        return str(error.format_message())


def _mkdir(words: list[str], page: str) -> str | None:
    return None if words[:1] == ["-p"] and len(words) == 2 else "options of mkdir"


def _npm(words: list[str], page: str) -> str | None:
    directory = words[words.index("--prefix") + 1] if "--prefix" in words else "."
    if not (ROOT / directory / "package-lock.json").is_file():
        return f"{directory} holds no package of npm"
    (line,) = re.findall(r"npm (ci .*)", _TOX_TEXT)
    unknown = [word for word in words if word not in line.split()]
    return f"tox.ini does not use {unknown}" if unknown else None


def _pip(words: list[str], page: str) -> str | None:
    if words[:1] != ["install"]:
        return f"pip {' '.join(words[:1])}"
    for word in words[1:]:
        found = re.fullmatch(r"(?:lunora-rx|\.)(?:\[([\w,]+)\])?", word)
        unknown = set(filter(None, (found[1] or "").split(","))) - _EXTRAS if found else set()
        if unknown:
            return f"there is no extra {', '.join(sorted(unknown))}"
        if found is None and word not in {"-q", "tox", *_GROUPED}:
            return f"pip install {word}"
    return None


def _pytest(words: list[str], page: str) -> str | None:
    missing = [word for word in words if not (ROOT / word).exists()]
    return f"there is no {', '.join(missing)}" if missing else None


def _python(words: list[str], page: str) -> str | None:
    if words[:1] == ["-m"]:
        return _module(words[1], words[2:])
    own = [each.text.partition("\n")[0] for each in blocks_of(page)]
    return None if f"# {words[0]}" in own or (ROOT / words[0]).is_file() else f"there is no file {words[0]}"


def _module(name: str, words: list[str]) -> str | None:
    path = ROOT.joinpath(*name.split("."))
    source = next((each for each in (path.with_suffix(".py"), path / "__main__.py") if each.is_file()), None)
    if source is None:
        is_ours = (ROOT / name.partition(".")[0]).exists()
        return None if not is_ours and find_spec(name) else f"there is no module {name}"
    options = dict(_options(source))
    quoted = "\n".join(each.read_text(encoding="utf-8") for each in source.parent.glob("*.py"))
    rest = [*words]
    while rest:
        word = rest.pop(0)
        if word.startswith("-"):
            if word not in options:
                return f"{name} has no option {word}"
            del rest[: options[word]]
        elif f'"{word}"' not in quoted:
            return f"{name} knows no {word}"
    return None


def _options(source: Path) -> Iterator[tuple[str, int]]:
    """Yield the options of a program that uses argparse, and how many words each takes."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".add_argument"):
            is_switch = any(each.arg == "action" for each in node.keywords)
            for each in node.args:
                yield str(ast.literal_eval(each)), int(not is_switch)


def _tox(words: list[str], page: str) -> str | None:
    if words[:2] != ["run", "-e"] or len(words) < 3:
        return f"tox {' '.join(words)}"
    missing = [each for each in words[2].split(",") if f"testenv:{each}" not in _TOX]
    if missing:
        return f"tox.ini has no environment {', '.join(missing)}"
    if words[3:] and words[3] != "--":
        return f"{words[3]} is no option of tox run that is known here"
    return _pytest(words[4:], page)


def _workerd(binary: str, words: list[str]) -> str | None:
    package = re.fullmatch(r"tests/workerd/(node_modules/@cloudflare/workerd-[\w-]+)/bin/workerd", binary)
    lock = json.loads((ROOT / "tests" / "workerd" / "package-lock.json").read_text(encoding="utf-8"))
    if package is None or package[1] not in lock["packages"]:
        return f"npm does not fetch {binary}"
    if words[0] != "serve" or not (ROOT / words[1]).is_file():
        return f"workerd {' '.join(words[:2])}"
    known = (ROOT / "tests" / "workerd" / "runtime.py").read_text(encoding="utf-8")
    unknown = [word for word in words[2:] if f'"{re.split(r"(?<=.)=", word)[0]}=' not in known]
    return f"tests/workerd/runtime.py does not use {', '.join(unknown)}" if unknown else None


_PROGRAMS: dict[str, Callable[[list[str], str], str | None]] = {
    ".": _activate,
    "jupyter": _jupyter,
    "lunora-rx": _lunora_rx,
    "mkdir": _mkdir,
    "npm": _npm,
    "pip": _pip,
    "pytest": _pytest,
    "python": _python,
    "python3": _python,
    "tox": _tox,
}
