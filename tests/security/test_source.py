"""What the library's own source may not do, read from its syntax tree."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [*sorted((ROOT / "lunora_rx").rglob("*.py")), ROOT / "_lunora_rx_pytest.py"]

# Modules that turn what they read into code or objects of any class, or that switch protection off.
BANNED_IMPORTS = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml"}
BANNED_IMPORTS |= {"telnetlib", "ftplib", "xmlrpc", "code", "codeop", "imp", "commands", "popen2"}
BANNED_CALLS = {"eval", "exec", "compile", "__import__", "execfile", "input", "breakpoint"}
BANNED_ATTRIBUTES = {"os.system", "os.popen", "pickle.loads", "ssl._create_unverified_context", "tempfile.mktemp"}
BANNED_ATTRIBUTES |= {"asyncio.create_subprocess_shell", "subprocess.getoutput", "ssl.CERT_NONE"}
BANNED_KEYWORDS = {"shell": True, "verify_ssl": False, "ssl": False, "check_hostname": False, "trust_env": True}


def findings(source: str) -> Iterator[str]:
    """Yield what a source does that it may not."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (each.name for each in names if each.name.split(".")[0] in BANNED_IMPORTS)
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in BANNED_IMPORTS:
                yield module
            case ast.Call(func=ast.Name(id=name)) if name in BANNED_CALLS:
                yield f"{name}()"
            case ast.Attribute() if ast.unparse(node) in BANNED_ATTRIBUTES:
                yield ast.unparse(node)
            case ast.keyword(arg=str(name), value=ast.Constant(value=value)) if BANNED_KEYWORDS.get(name) is value:
                if name in BANNED_KEYWORDS:
                    yield f"{name}={value}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_source_evaluates_and_unpickles_nothing(path):
    """No pickle, no eval, no shell, no verification switched off, no proxy taken from the environment."""
    assert list(findings(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from pickle import loads",
        "import yaml.constructor",
        "eval(text)",
        "exec(text)",
        "__import__(name)",
        "os.system(line)",
        "subprocess.run(line, shell=True)",
        "session.get(url, ssl=False)",
        "context.verify_mode = ssl.CERT_NONE",
        "aiohttp.ClientSession(trust_env=True)",
    ],
)
def test_each_of_them_is_found(code):
    """The check can fail."""
    assert list(findings(code))


def test_linter_looks_for_security_too():
    """The rules of flake8-bandit are on for the whole library; only tests and examples are let off."""
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    assert [rule for rule in lint["ignore"] if rule.startswith("S")] == ["S101"]
    off = [path for path, rules in lint["per-file-ignores"].items() if any(rule.startswith("S") for rule in rules)]
    assert not [path for path in off if path.startswith("lunora_rx")], off


# Where a rule of the linter's is switched off for a line, and why that is right.
EXCEPTIONS = {
    "core/identity.py": {"S105"},  # a kind of change whose name holds the word
    "devserver/store.py": {"S608"},  # the tables of the file itself
    "devserver/transcripts.py": {"S608"},  # conditions of the file itself
    "operators/retrying.py": {"S311"},  # how long to wait is no secret
    "protocol/endpoints.py": {"S105"},  # a path whose name holds the word
    "storage/browse.py": {"S608"},  # names of columns and settings
    "storage/bytes_disk.py": {"S608"},  # the name of a setting
    "storage/inspection.py": {"S608"},  # names of columns, and ASC or DESC
}


def test_exceptions_from_the_linters_rules_are_those_that_are_argued():
    """A new one has to be argued here."""
    found: dict[str, set[str]] = {}
    for path in SOURCES:
        for line in path.read_text(encoding="utf-8").splitlines():
            if rules := re.findall(r"# noqa:.*?\b(S\d{3})\b", line):
                found.setdefault(path.relative_to(ROOT / "lunora_rx").as_posix(), set()).update(rules)
    assert found == EXCEPTIONS
