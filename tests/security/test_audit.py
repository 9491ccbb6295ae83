"""The audit of dependencies: what passes it, and that one which did not happen does not."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.security import audit
from tests.security.audit import EXCEPTIONS, FINE, FOUND, NOT_AUDITED, judge

ROOT = Path(__file__).parents[2]
CLEAN = {"name": "aiohttp", "version": "3.14.5", "vulns": []}
SKIPPED = {"name": "orjson", "skip_reason": "Dependency not found on PyPI and could not be audited: orjson (3.13.0)"}


def known(name, *ids):
    """A package with something against it."""
    vulnerability = {"id": ids[0], "aliases": list(ids[1:]), "fix_versions": []}
    return {"name": name, "version": "5.6.3", "vulns": [vulnerability]}


@pytest.mark.parametrize(
    ("found", "code", "told"),
    [
        ([CLEAN, known("diskcache", "CVE-2025-69872")], FINE, "excepted: CVE-2025-69872 of diskcache, see SECURITY.md"),
        ([known("diskcache", "PYSEC-2026-1", "CVE-2025-69872")], FINE, "excepted: CVE-2025-69872"),
        ([known("diskcache", "CVE-2026-1")], FOUND, "vulnerable: diskcache 5.6.3: CVE-2026-1; fixed in none yet"),
        ([known("aiohttp", "CVE-2025-69872")], FOUND, "vulnerable: aiohttp"),
        ([CLEAN], FINE, "no longer reported, so take it out of EXCEPTIONS: CVE-2025-69872"),
        ([CLEAN, SKIPPED], NOT_AUDITED, "THE AUDIT DID NOT HAPPEN"),
        ([SKIPPED, known("aiohttp", "CVE-1")], FOUND, "not audited: orjson"),
        ([], NOT_AUDITED, "0 packages audited: none"),
    ],
)
def test_audit_passes_only_what_was_looked_up_and_is_clean(found, code, told):
    """Bar the one exception, of the one package that it is argued for."""
    verdict = judge({"dependencies": found})
    assert verdict.code == code
    assert told in verdict.text


@pytest.mark.parametrize("output", ["", "no JSON", "Traceback"])
def test_audit_that_cannot_run_did_not_happen(monkeypatch, output):
    """As where the service cannot be reached: it says so, and why."""
    done = subprocess.CompletedProcess([], 1, output, "requests.exceptions.ConnectionError: no route\n")
    monkeypatch.setattr(audit.subprocess, "run", lambda *line, **options: done)
    assert audit.main() == NOT_AUDITED
    assert "ConnectionError: no route" in audit.audit(["aiohttp"]).text


def test_audit_asks_about_what_the_library_runs_on():
    """No more and no fewer packages than it needs without extras."""
    names = {re.split(r"[^\w-]", each)[0] for each in audit.dependencies()}
    assert names == {"aiohttp", "diskcache", "orjson", "reactivex"}


def test_audit_asks_about_every_extra(monkeypatch):
    """Each requirement of each of them, beside what is needed without; one that is vulnerable fails it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = []

    def look_up(needed):
        asked.extend(needed)
        is_vulnerable = any(each.startswith("panel") for each in needed)
        return judge({"dependencies": [CLEAN, *([known("panel", "CVE-1")] if is_vulnerable else [])]})

    monkeypatch.setattr(audit, "audit", look_up)
    assert audit.main() == FOUND
    needed = {each for extra in project["optional-dependencies"].values() for each in extra}
    assert set(asked) == {*project["dependencies"], *needed}


def test_each_exception_is_argued_for_users():
    """In SECURITY.md, with the test that proves it."""
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    for name, package in EXCEPTIONS.items():
        assert name in text
        assert package in text
    assert "tests/security/test_pickles.py" in text
