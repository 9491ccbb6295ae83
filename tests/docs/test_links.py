"""Links: those to places of this repository arrive, and those elsewhere are broken only where somebody says so."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.docs import links
from tests.docs.links import BROKEN, FINE, NOT_CHECKED, judge
from tests.test_docs import anchors

ROOT = Path(__file__).parents[2]
URLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "pyproject.toml"]
UNKNOWN = "HTTPSConnectionPool(host='a.example', port=443): Max retries exceeded (Caused by NameResolutionError(...))"
WORKING = {"uri": "https://b.example", "status": "working", "info": "", "filename": "a.md", "lineno": 1}


def link(status, info, uri="https://a.example"):
    """A line of what Sphinx says."""
    return {"uri": uri, "status": status, "info": info, "filename": "a.md", "lineno": 7}


@pytest.mark.parametrize(
    ("found", "code", "told"),
    [
        ([WORKING], FINE, "1 links lead somewhere"),
        ([WORKING, link("redirected", "https://c.example")], FINE, "2 links lead somewhere"),
        ([WORKING, link("broken", "404 Client Error: Not Found for url: https://a.example")], BROKEN, "a.md:7: https"),
        ([WORKING, link("broken", "410 Client Error: Gone for url: https://a.example")], BROKEN, "broken: a.md:7"),
        ([WORKING, link("broken", "Anchor 'x' not found")], BROKEN, "Anchor 'x' not found"),
        ([link("broken", "", "gone.html"), link("broken", UNKNOWN)], BROKEN, "broken: a.md:7: gone.html"),
        ([link("broken", UNKNOWN)], NOT_CHECKED, "LINKS WERE NOT CHECKED"),
        ([WORKING, link("broken", UNKNOWN)], NOT_CHECKED, "not checked: https://a.example: HTTPSConnectionPool"),
        ([WORKING, link("broken", "403 Client Error: Forbidden for url: ...")], NOT_CHECKED, "403"),
        ([WORKING, link("broken", "502 Server Error: Bad Gateway for url: ...")], NOT_CHECKED, "502"),
        ([WORKING, link("timeout", "")], NOT_CHECKED, "https://a.example: timeout"),
        ([WORKING, link("ignored", "service unavailable")], NOT_CHECKED, "service unavailable"),
        ([WORKING, link("ignored", ""), link("unchecked", "", "#here")], FINE, "1 links lead somewhere"),
        ([], NOT_CHECKED, "0 links lead somewhere"),
    ],
)
def test_link_is_broken_only_where_somebody_says_so(found, code, told):
    """A machine that reaches nobody knows nothing, and says that."""
    verdict = judge(found)
    assert verdict.code == code
    assert told in verdict.text


def test_documentation_that_cannot_be_built_is_broken(monkeypatch, tmp_path):
    """No result is no good result."""
    done = subprocess.CompletedProcess([], 2, "", "Extension error\n")
    monkeypatch.setattr(links, "OUTPUT", tmp_path)
    monkeypatch.setattr(links.subprocess, "run", lambda *line, **options: done)
    assert links.main() == BROKEN
    assert "Extension error" in links.follow().text


def wrong(url):
    """Return why a link to the project's home does not arrive, if it does not."""
    place = url.removeprefix(URLS["Homepage"]).lstrip("/")
    found = re.fullmatch(r"(?:tree|blob)/main/([^#]+)(?:#(.+))?", place)
    if found is None:
        return None if place in ("", "issues", "security/advisories/new") else "it is no place that is known"
    path, anchor = ROOT / found[1], found[2]
    if not path.exists():
        return f"there is no {found[1]}"
    if anchor and anchor not in anchors(path.read_text(encoding="utf-8")):
        return f"{found[1]} has no heading {anchor}"
    return None


def test_links_to_the_projects_home_lead_to_files_of_this_repository():
    """They are right here before they are published there."""
    urls = [
        url
        for page in PAGES
        for url in re.findall(rf"{re.escape(URLS['Homepage'])}[^\s)>\"`]*", page.read_text(encoding="utf-8"))
    ]
    assert len(urls) > 6
    assert [(url, wrong(url)) for url in urls if wrong(url)] == []


@pytest.mark.parametrize("place", ["/tree/main/nowhere", "/blob/main/SECURITY.md#nothing", "/wiki"])
def test_link_to_no_place_of_the_projects_home_is_found(place):
    """The test above can fail."""
    assert wrong(URLS["Homepage"] + place)


def test_links_of_the_projects_home_are_not_followed(monkeypatch):
    """Sphinx leaves to this file what it answers."""
    monkeypatch.setattr(sys, "path", [*sys.path])  # to which the file adds the site's extensions
    spec = importlib.util.spec_from_file_location("docs_conf", ROOT / "docs" / "conf.py")
    conf = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conf)
    ignored = [url for url in URLS.values() if any(re.match(each, url) for each in conf.linkcheck_ignore)]
    assert ignored == list(URLS.values())
    assert not any(re.match(each, "https://github.com/cloudflare/workerd") for each in conf.linkcheck_ignore)


def test_ci_lets_only_links_that_nobody_could_follow_pass():
    """With the code that says so, and loudly."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (line,) = [line for line in script.splitlines() if "tox run -e links" in line]
    assert f'[ "$code" = {NOT_CHECKED} ] && echo "NOT CHECKED' in line
    assert line.endswith('|| exit "$code"; }')
