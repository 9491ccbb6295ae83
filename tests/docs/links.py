"""Follows every link of the documentation that leads elsewhere: ``tox run -e links``.

To Sphinx a link is broken where its server says so, and just as well where no server can be reached. Here the second is
an exit code of its own: links that nobody could follow are neither good nor broken. What leads to a place of this
repository is checked where the repository is: by the build of the site, and by ``test_links.py``.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
OUTPUT = ROOT / "build" / "links"

FINE, BROKEN, NOT_CHECKED = 0, 1, 3

_ANSWER = re.compile(r"(\d{3}) (?:Client|Server) Error")
# What a server or a proxy answers who would not, or could not, say whether the page is there.
_EVASIVE = {"401", "403", "407", "408", "429"}


@dataclass(slots=True)
class Verdict:
    """What came of following links.

    Attributes:
        followed: The links that lead somewhere.
        broken: Those that do not, where they stand, and what their server says.
        unreached: Those that nobody gave an answer for, and why.
    """

    followed: set[str] = field(default_factory=set)
    broken: list[str] = field(default_factory=list)
    unreached: dict[str, str] = field(default_factory=dict)

    @property
    def code(self) -> int:
        """The exit code."""
        if self.broken:
            return BROKEN
        return NOT_CHECKED if self.unreached or not self.followed else FINE

    @property
    def text(self) -> str:
        """What to print."""
        lines = [f"broken: {each}" for each in self.broken]
        lines += [f"not checked: {uri}: {reason}" for uri, reason in sorted(self.unreached.items())]
        if self.code == NOT_CHECKED:
            lines.append("LINKS WERE NOT CHECKED: nobody gave an answer for what is listed above")
        return "\n".join([*lines, f"{len(self.followed)} links lead somewhere"])


def judge(links: Iterable[Mapping[str, Any]]) -> Verdict:
    """Return what the lines of Sphinx's ``output.json`` mean."""
    verdict = Verdict()
    for each in links:
        uri, status, reason = each["uri"], each["status"], each["info"]
        if status in ("working", "redirected"):
            verdict.followed.add(uri)
        elif status == "broken" and is_answer(uri, reason):
            verdict.broken.append(f"{each['filename']}:{each['lineno']}: {uri} {reason}".rstrip())
        elif status in ("broken", "timeout", "rate-limited") or (status == "ignored" and reason):
            verdict.unreached[uri] = reason or status
    return verdict


def is_answer(uri: str, reason: str) -> bool:
    """Whether somebody who knows says that a link is broken; a file of ours is there or not."""
    if not uri.startswith(("http://", "https://")):
        return True
    said = _ANSWER.match(reason)
    if said is None:
        return reason.startswith("Anchor ")
    return said[1] not in _EVASIVE and said[1].startswith("4")


def follow() -> Verdict:
    """Have Sphinx follow the links, and judge what it says."""
    result = OUTPUT / "output.json"
    result.unlink(missing_ok=True)
    line = [sys.executable, "-m", "sphinx", "-b", "linkcheck", "-q", "-d", str(OUTPUT / "doctrees")]
    done = subprocess.run([*line, *sys.argv[1:], "docs", str(OUTPUT)], cwd=ROOT, capture_output=True, text=True)
    if not result.exists():
        return Verdict(broken=[f"the documentation cannot be built: {done.stderr.strip()}"])
    return judge(json.loads(each) for each in result.read_text(encoding="utf-8").splitlines())


def main() -> int:
    """Follow the links, print what came of it, and return the exit code."""
    verdict = follow()
    print(verdict.text)  # noqa: T201 - it is a program
    return verdict.code


if __name__ == "__main__":
    sys.exit(main())
