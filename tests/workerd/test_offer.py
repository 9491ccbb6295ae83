"""The two servers of the end-to-end tests offer the same, by what their sources say; this needs no workerd."""

from __future__ import annotations

import re

import orjson
import pytest

from tests.e2e.offer import TOKENS, offered
from tests.workerd.runtime import HERE

FUNCTION = re.compile(r'^  "([^"]+)": (query|mutation|action|shape)\(', re.MULTILINE)
CONFIG = (HERE / "config.capnp").read_text(encoding="utf-8")


def test_worker_offers_the_functions_and_shapes_of_its_twin():
    """By name and kind."""
    app = offered()
    ours = {path: function.kind for path, function in app.functions.items()} | dict.fromkeys(app.shapes, "shape")
    assert dict(FUNCTION.findall((HERE / "worker" / "functions.js").read_text(encoding="utf-8"))) == ours


def test_worker_knows_the_tokens_of_its_twin():
    """They stand in its configuration."""
    text = re.search(r'"TOKENS", json = ("(?:[^"\\]|\\.)*")', CONFIG)
    assert text is not None
    assert orjson.loads(orjson.loads(text[1])) == TOKENS


def test_configuration_has_every_module_of_the_worker():
    """One that is missing is found missing when the Worker starts, which most runs of the tests do not do."""
    modules = sorted(each.name for each in (HERE / "worker").glob("*.js"))
    assert sorted(re.findall(r'embed "worker/([^"]+)"', CONFIG)) == modules


@pytest.mark.parametrize("kind", ["linux-64", "linux-arm64", "darwin-64", "darwin-arm64"])
def test_runtime_is_pinned_by_version_and_integrity(kind):
    """What is fetched is what was tried; the lock knows the hash of each platform's binary."""
    package, lock = (orjson.loads((HERE / name).read_bytes()) for name in ("package.json", "package-lock.json"))
    locked = lock["packages"][f"node_modules/@cloudflare/workerd-{kind}"]
    assert locked["version"] == package["devDependencies"]["workerd"]
    assert locked["integrity"].startswith("sha512-")
