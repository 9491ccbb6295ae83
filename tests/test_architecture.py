"""Who may import whom: the table of the architecture, enforced on every module, with proof that a breach is seen."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import lunora_rx

PACKAGE = "lunora_rx"
ROOT = Path(__file__).parent.parent / PACKAGE

ANYTHING = None


class Ring(NamedTuple):
    """What its modules may import: of ours by prefix, of libraries by name, of the standard library all but some."""

    ours: frozenset[str] | None
    libraries: frozenset[str] | None = frozenset()
    lazily: frozenset[str] | None = frozenset()
    banned: frozenset[str] = frozenset()
    may_await: bool = True


def names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What would bring a clock, chance, a loop or the outside world into the inner rings.
IMPURE = names("asyncio time random uuid logging threading secrets importlib io os pathlib") | names(
    "tempfile socket ssl select selectors subprocess concurrent multiprocessing signal sqlite3"
)
FACE = Ring(
    names("errors protocol core.backoff core.delta core.events core.pages core.shape_events core.snapshot")
    | names("core.stream_events rx operators"),
    names("reactivex"),
    names("pandas polars"),
)
SEAM = Ring(names("errors protocol"))
TOOL = Ring(
    names(
        "__init__ client driver recorder transport storage rx operators functions arguments interfaces core protocol"
        " errors environment blocking recording testing codegen"
    ),
    ANYTHING,
    ANYTHING,
)
RINGS = {
    "errors": Ring(frozenset()),
    "protocol": Ring(names("errors protocol"), names("orjson"), banned=IMPURE, may_await=False),
    "core": Ring(names("errors protocol core"), banned=IMPURE, may_await=False),
    "transport": Ring(names("errors protocol interfaces transport"), names("aiohttp")),
    "storage": Ring(names("errors interfaces protocol core.records storage"), names("orjson diskcache")),
    "driver": Ring(names("errors protocol core interfaces persistence streaming taps")),
    "taps": Ring(names("errors protocol interfaces")),
    "logs": Ring(names("protocol core")),
    "environment": Ring(frozenset()),
    "tapped_calls": Ring(names("errors protocol core interfaces driver rx.cache")),
    "streaming": Ring(names("errors protocol interfaces")),
    "persistence": Ring(names("errors protocol core interfaces")),
    "rx": FACE._replace(banned=names("asyncio")),
    "rx.interop": FACE,
    "rx.calls": FACE,
    "operators": FACE._replace(banned=names("asyncio")),
    "operators.frames": FACE._replace(libraries=names("reactivex pandas polars"), banned=names("asyncio")),
    "operators.pandas_frames": FACE._replace(libraries=names("pandas"), banned=names("asyncio")),
    "operators.polars_frames": FACE._replace(libraries=names("polars"), banned=names("asyncio")),
    "interfaces": SEAM,
    "functions": SEAM,
    "arguments": Ring(names("errors protocol core.identity interfaces")),
    "recorder": Ring(names("driver errors interfaces protocol core storage.journal"), names("reactivex")),
    "client": Ring(
        names("driver recorder streaming transport storage rx operators core protocol errors interfaces functions")
        | names("arguments environment logs tapped_calls"),
        names("aiohttp reactivex"),
    ),
    "__init__": Ring(
        names("client driver recorder recording transport storage rx operators core protocol errors interfaces")
        | names("functions arguments environment logs")
    ),
    "blocking": TOOL,
    "recording": TOOL,
    # An app of the embedded server is one of the servers that a test may have.
    "testing": TOOL._replace(ours=TOOL.ours | names("devserver")),
    "codegen": TOOL,
    "cli": Ring(ANYTHING, ANYTHING, ANYTHING),
    "adapters": Ring(names("__init__ client rx operators blocking"), names("reactivex"), ANYTHING),
    "devserver": Ring(names("errors protocol core.delta devserver"), names("aiohttp")),
}


class Import(NamedTuple):
    """One import of a module; lazy where it is inside a function."""

    target: str
    line: int
    is_lazy: bool


def breaches(module: str, source: str) -> list[str]:
    """Return what a module's source does against the table, in words; ``module`` is its name within the package."""
    ring = _row(module, RINGS)
    if ring is None:
        return [f"{module} belongs to no ring of the table"]
    tree = ast.parse(source)
    found = [
        f"{module}:{each.line} may not import {each.target}"
        for each in _imports(module, tree)
        if _is_breach(module, RINGS[ring], each)
    ]
    if not RINGS[ring].may_await:
        found += [f"{module}:{line} may not have a coroutine" for line in _coroutines(tree)]
    return found


def _is_breach(module: str, ring: Ring, each: Import) -> bool:
    top, _, rest = each.target.partition(".")
    if top == PACKAGE:
        return not _may_import_ours(module, ring, rest or "__init__")
    if top in sys.stdlib_module_names:
        return top in ring.banned
    allowed = ring.libraries
    if each.is_lazy and allowed is not ANYTHING:
        allowed = ANYTHING if ring.lazily is ANYTHING else allowed | ring.lazily
    return allowed is not ANYTHING and top not in allowed


def _may_import_ours(module: str, ring: Ring, target: str) -> bool:
    if ring.ours is ANYTHING:
        return True
    if module.split(".")[0] == target.split(".")[0] == "adapters":
        return target == "adapters" or target.split(".")[:2] == module.split(".")[:2]
    return any(target == prefix or target.startswith(f"{prefix}.") for prefix in ring.ours)


def _row(module: str, table: dict[str, Ring]) -> str | None:
    parts = module.split(".")
    prefixes = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((prefix for prefix in prefixes if prefix in table), None)


def _imports(module: str, tree: ast.AST, *, is_lazy: bool = False) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, is_lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (Import(_target(module, node, alias.name), node.lineno, is_lazy) for alias in node.names)
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _imports(module, node, is_lazy=is_lazy or is_function)


def _target(module: str, node: ast.ImportFrom, name: str) -> str:
    """Return the module that is meant: a name may be one itself, and a dot stands for the package around it."""
    base = node.module or ""
    if node.level:
        is_package = (ROOT / module.replace(".", "/")).is_dir()
        around = [PACKAGE, *module.split(".")]
        around = around[: len(around) - node.level + is_package]
        base = ".".join([*around, *([base] if base else [])])
    if base.split(".")[0] != PACKAGE:
        return base
    inner = f"{base}.{name}".removeprefix(f"{PACKAGE}.")
    path = ROOT / inner.replace(".", "/")
    is_module = inner in RINGS or path.is_dir() or path.with_suffix(".py").is_file()
    return f"{PACKAGE}.{inner}" if is_module else base


def _coroutines(tree: ast.AST) -> list[int]:
    asynchronous = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
    return [node.lineno for node in ast.walk(tree) if isinstance(node, asynchronous)]


def _modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts), path


@pytest.mark.parametrize(("module", "path"), [pytest.param(*each, id=each[0]) for each in _modules()])
def test_module_obeys_the_table_of_the_architecture(module, path):
    """Every import points inward, and the inner rings have no coroutine."""
    assert breaches(module, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source", "target"),
    [
        ("protocol.wire", "import asyncio", "asyncio"),
        ("protocol.wire", "import random", "random"),
        ("protocol.wire", "from time import monotonic", "time"),
        ("protocol.wire", "import os.path", "os.path"),
        ("protocol.wire", "from lunora_rx.core.events import Event", "lunora_rx.core.events"),
        ("protocol.wire", "from lunora_rx import core", "lunora_rx.core"),
        ("protocol.wire", "from ..core import events", "lunora_rx.core.events"),
        ("protocol", "from ..client import LunoraClient", "lunora_rx.client"),
        ("protocol.wire", "from lunora_rx import LunoraClient", "lunora_rx"),
        ("protocol.wire", "def f():\n    import uuid", "uuid"),
        ("protocol.wire", "if TYPE_CHECKING:\n    import logging", "logging"),
        ("protocol.wire", "import aiohttp", "aiohttp"),
        ("core.session", "import asyncio", "asyncio"),
        ("core.session", "import threading as t", "threading"),
        ("core.session", "import reactivex", "reactivex"),
        ("core.session", "from diskcache import Cache", "diskcache"),
        ("core.session", "import orjson", "orjson"),
        ("core.session", "from lunora_rx.interfaces import Socket", "lunora_rx.interfaces"),
        ("errors", "from lunora_rx.protocol import wire", "lunora_rx.protocol.wire"),
        ("transport.aiohttp_transport", "from lunora_rx.core.events import Event", "lunora_rx.core.events"),
        ("transport.aiohttp_transport", "import lunora_rx.client", "lunora_rx.client"),
        ("transport.aiohttp_transport", "import reactivex", "reactivex"),
        ("storage.disk_store", "import aiohttp", "aiohttp"),
        ("storage.disk_store", "from lunora_rx.core.session import Session", "lunora_rx.core.session"),
        ("storage.disk_store", "from lunora_rx.driver import Driver", "lunora_rx.driver"),
        ("driver", "import aiohttp", "aiohttp"),
        ("driver", "from reactivex import Subject", "reactivex"),
        ("driver", "from lunora_rx.rx import cache", "lunora_rx.rx.cache"),
        ("rx.subject", "import asyncio", "asyncio"),
        ("rx.subject", "from lunora_rx.core import session", "lunora_rx.core.session"),
        ("rx.subject", "from lunora_rx.core.multiplexer import Multiplexer", "lunora_rx.core.multiplexer"),
        ("rx.interop", "from lunora_rx.driver import Driver", "lunora_rx.driver"),
        ("operators", "import pandas", "pandas"),
        ("operators", "from lunora_rx.transport import memory_transport", "lunora_rx.transport.memory_transport"),
        ("interfaces", "from lunora_rx.core.session import Session", "lunora_rx.core.session"),
        ("functions", "from lunora_rx.client import LunoraClient", "lunora_rx.client"),
        ("arguments", "from lunora_rx.functions import api", "lunora_rx.functions"),
        ("client", "from lunora_rx.cli import commands", "lunora_rx.cli.commands"),
        ("client", "import diskcache", "diskcache"),
        ("blocking", "from lunora_rx.adapters import panel", "lunora_rx.adapters.panel"),
        ("codegen.render", "from lunora_rx.cli import commands", "lunora_rx.cli.commands"),
        ("adapters.panel", "import panel", "panel"),
        ("adapters.panel", "from lunora_rx.core.events import Event", "lunora_rx.core.events"),
        ("adapters.panel", "from lunora_rx.adapters.dash import bind", "lunora_rx.adapters.dash"),
        ("adapters.panel", "import lunora_rx.driver", "lunora_rx.driver"),
        ("adapters.jupyter.watch", "from lunora_rx.adapters.panel import bind", "lunora_rx.adapters.panel"),
        ("devserver.session", "from lunora_rx.core.results import Result", "lunora_rx.core.results"),
        ("devserver.session", "from lunora_rx.client import LunoraClient", "lunora_rx.client"),
        ("devserver.session", "import reactivex", "reactivex"),
    ],
)
def test_import_that_crosses_a_ring_is_reported(module, source, target):
    """The checker can fail: each row of the table, broken once."""
    (breach,) = breaches(module, source)
    assert breach.startswith(f"{module}:")
    assert breach.endswith(f" may not import {target}")


@pytest.mark.parametrize("module", ["core.session", "protocol.wire"])
@pytest.mark.parametrize(
    "source",
    ["async def f(): pass", "class A:\n    async def f(self): pass", "def f():\n    async def g(): pass", "await x"],
)
def test_coroutine_in_an_inner_ring_is_reported(module, source):
    """Wherever it hides."""
    (breach,) = breaches(module, source)
    assert "coroutine" in breach


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("protocol.wire", "import math, json, orjson\nfrom lunora_rx.errors import CodecError\nfrom . import values"),
        ("core.session", "from lunora_rx.protocol.frames import Connect\nfrom lunora_rx.core import events"),
        ("transport.memory_transport", "import asyncio, aiohttp\nfrom lunora_rx.interfaces import Socket"),
        ("storage.disk_store", "import diskcache, orjson, os\nfrom lunora_rx.core.records import QueuedMutation"),
        ("driver", "import asyncio, logging\nfrom lunora_rx.core.multiplexer import Multiplexer"),
        ("rx.calls", "import asyncio, reactivex\nfrom lunora_rx.core.events import Event"),
        ("operators", "import reactivex\ndef to_frame():\n    import pandas, polars"),
        ("client", "import aiohttp\nfrom lunora_rx.transport.aiohttp_transport import AiohttpTransport"),
        ("blocking", "import threading\nfrom lunora_rx import LunoraClient\nfrom lunora_rx.rx.calls import Call"),
        ("adapters.panel", "from lunora_rx import LunoraClient\ndef bind():\n    import panel"),
        ("adapters.jupyter.watch", "from lunora_rx import operators\nfrom lunora_rx.adapters.jupyter import badges"),
        ("cli.commands", "import typer, rich\nfrom lunora_rx.devserver import App\nfrom lunora_rx.core import session"),
        ("devserver.answers", "import sqlite3, aiohttp\nfrom lunora_rx.core.delta import merge_delta"),
        ("devserver.answers", "async def f(): pass"),
    ],
)
def test_import_that_points_inward_is_not_reported(module, source):
    """The checker can pass, too."""
    assert breaches(module, source) == []


def test_module_of_no_ring_is_reported():
    """A new file takes a place in the table."""
    assert breaches("newcomer", "") == ["newcomer belongs to no ring of the table"]


@pytest.mark.parametrize("library", ["diskcache", "sqlite3", "lunora_rx.storage", "lunora_rx.recording"])
def test_client_that_keeps_nothing_imports_no_database(library: str) -> None:
    """What only some programs use must not cost all of them their time to start."""
    program = f"import sys, lunora_rx; lunora_rx.LunoraClient('http://127.0.0.1'); sys.exit({library!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_every_public_name_can_be_imported_also_what_is_imported_late() -> None:
    """A name of the package is there, whenever its module is imported, and a wrong one is an AttributeError."""
    assert [name for name in lunora_rx.__all__ if not hasattr(lunora_rx, name)] == []
    assert set(lunora_rx.__all__) <= set(dir(lunora_rx))
    with pytest.raises(AttributeError, match="no attribute 'repley'"):
        _ = lunora_rx.repley
