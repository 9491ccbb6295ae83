"""Asks the advisory service about what the library runs on, with and without its extras: ``tox run -e audit``.

``pip-audit`` leaves out, with a note and exit code 0, what the service does not know, as when it cannot be reached.
Here that is a failure of its own: an audit that did not happen is no audit that found nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

# The one exception, argued in SECURITY.md: diskcache unpickles what a row says is a pickle. Here nothing stored can
# reach pickle, whoever wrote it: tests/security/test_pickles.py. It goes once there is a release without it.
EXCEPTIONS: Mapping[str, str] = {"CVE-2025-69872": "diskcache"}

FINE, FOUND, NOT_AUDITED = 0, 1, 3


@dataclass(slots=True)
class Verdict:
    """What came of an audit.

    Attributes:
        audited: The packages that the service knows, with their versions.
        found: What it knows against them, the exceptions left out.
        excepted: The exceptions that it told of.
        skipped: The packages that it was not, or could not be, asked about, and why.
    """

    audited: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    excepted: set[str] = field(default_factory=set)
    skipped: list[str] = field(default_factory=list)

    @property
    def code(self) -> int:
        """The exit code."""
        if self.found:
            return FOUND
        return NOT_AUDITED if self.skipped or not self.audited else FINE

    @property
    def text(self) -> str:
        """What to print."""
        lines = [f"vulnerable: {each}" for each in self.found]
        lines += [f"not audited: {each}" for each in self.skipped]
        lines += [f"excepted: {each} of {EXCEPTIONS[each]}, see SECURITY.md" for each in sorted(self.excepted)]
        if self.code == NOT_AUDITED:
            lines.append("THE AUDIT DID NOT HAPPEN: the advisory service gave no answer for what is listed above")
        unneeded = EXCEPTIONS.keys() - self.excepted if self.code == FINE else ()
        lines += [f"no longer reported, so take it out of EXCEPTIONS: {each}" for each in sorted(unneeded)]
        return "\n".join([*lines, f"{len(self.audited)} packages audited: {', '.join(self.audited) or 'none'}"])


def judge(report: Mapping[str, Any]) -> Verdict:
    """Return what a report of ``pip-audit --format json`` means."""
    verdict = Verdict()
    for each in report["dependencies"]:
        if "skip_reason" in each:
            verdict.skipped.append(f"{each['name']}: {each['skip_reason']}")
            continue
        name = f"{each['name']} {each['version']}"
        verdict.audited.append(name)
        for known in each["vulns"]:
            names = {known["id"], *known.get("aliases", ())}
            excepted = {exception for exception in names & EXCEPTIONS.keys() if EXCEPTIONS[exception] == each["name"]}
            verdict.excepted |= excepted
            if not excepted:
                versions = ", ".join(known.get("fix_versions", ())) or "none yet"
                verdict.found.append(f"{name}: {', '.join(sorted(names))}; fixed in {versions}")
    return verdict


def merged(verdicts: Sequence[Verdict]) -> Verdict:
    """Return what several audits came to; what more than one looked up is told once."""
    return Verdict(
        audited=sorted({name for each in verdicts for name in each.audited}),
        found=sorted({name for each in verdicts for name in each.found}),
        excepted={name for each in verdicts for name in each.excepted},
        skipped=sorted({name for each in verdicts for name in each.skipped}),
    )


def dependencies() -> list[str]:
    """Return what the library needs at run time, as ``pyproject.toml`` says it."""
    return list(_project()["dependencies"])


def extras() -> list[str]:
    """Return what all extras need besides."""
    return sorted({needed for extra in _project()["optional-dependencies"].values() for needed in extra})


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project


def audit(needed: Sequence[str]) -> Verdict:
    """Have the newest versions that are allowed, and all that they need, looked up."""
    with tempfile.TemporaryDirectory() as directory:
        wanted = Path(directory) / "requirements.txt"
        wanted.write_text("\n".join(needed), encoding="utf-8")
        line = [sys.executable, "-m", "pip_audit", "--requirement", str(wanted), "--format", "json"]
        done = subprocess.run([*line, "--progress-spinner", "off"], capture_output=True, text=True)
    try:
        return judge(json.loads(done.stdout))
    except ValueError:
        reason = (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
        return Verdict(skipped=[f"{', '.join(needed)}: {reason}"])


def main() -> int:
    """Audit, print what came of it, and return the exit code."""
    # Apart, so that extras which cannot be installed together keep nobody from auditing the rest.
    verdict = merged([audit(dependencies()), audit(extras())])
    print(verdict.text)  # noqa: T201 - it is a program
    return verdict.code


if __name__ == "__main__":
    sys.exit(main())
