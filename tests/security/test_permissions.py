"""What lies on the disk is its owner's alone: directories 0700, files 0600, whatever the umask and what was there."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lunora_rx import LunoraClient
from lunora_rx.cli.commands import app as command
from lunora_rx.storage.files import is_open_to_others, set_aside
from tests.security.house import house
from tests.storage.disk import Reports, database, record
from tests.support import Recorder, until

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")


@contextmanager
def umask(mask):
    """Make files under another umask."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def modes(*roots: Path) -> dict[str, int]:
    """The modes of what is below some paths, themselves included."""
    paths = [path for root in roots for path in (root, *root.rglob("*"))]
    return {str(path.relative_to(roots[0].parent)): stat.S_IMODE(path.stat().st_mode) for path in paths}


def lax(found: dict[str, int]) -> dict[str, str]:
    """Those of them that others may use."""
    return {name: oct(mode) for name, mode in found.items() if mode & 0o077}


async def used(directory: Path, during=lambda: None, *, recording=None, **options):
    """A client that queues a write, caches a value and records; ``during`` is called while its files are open."""
    recording = recording or directory.parent / "session.jsonl"
    app, seen = house(), Recorder()
    async with app.serve() as url, LunoraClient(url, storage=directory, **options) as client:
        client.live("notes:list").subscribe(seen.on_next)
        client.record(recording, overwrite=True)
        await client.mutation("notes:add")
        app.faults.refuse_sockets()
        app.faults.drop_sockets()
        await until(lambda: client.status.value != "connected")
        client.mutation("notes:add").subscribe(on_error=lambda error: None)
        await until(lambda: seen.values and any(directory.glob("reads/*/cache.db-wal")) and client.pending.value)
        await until(lambda: any(directory.glob("lanes/*/queue/*/cache.db-wal")))
        during()


@pytest.mark.parametrize("mask", [0, 0o022, 0o177], ids=oct)
async def test_all_that_a_client_writes_is_its_owners_alone(no_tasks_left, tmp_path, mask):
    """Queue, read cache, logs and shared memory of SQLite, locks, client id, recording; and each directory it makes."""
    directory = tmp_path / "new" / "state" / "storage"
    recording, found = tmp_path / "session.jsonl", {}
    with umask(mask & ~0o700):
        await used(directory, lambda: found.update(modes(tmp_path / "new", recording)), recording=recording)
    assert lax(found) == {}
    assert found.keys() >= {"new", "new/state", "new/state/storage"}
    names = {name.rpartition("/")[2] for name in found}
    assert names >= {"cache.db", "cache.db-wal", "cache.db-shm", "lock", "mark", "client_id", "session.jsonl"}


@pytest.mark.parametrize("mask", [0, 0o022], ids=oct)
async def test_directories_that_a_server_makes_are_its_owners_alone(tmp_path, mask):
    """Those above the one that it was given, too."""
    directory = tmp_path / "new" / "state" / "data"
    with umask(mask):
        async with house().serve(storage=directory) as url, LunoraClient(url) as client:
            await client.mutation("notes:add")
    found = modes(tmp_path / "new")
    assert lax(found) == {}
    assert found.keys() >= {"new", "new/state", "new/state/data"}


async def test_what_was_open_to_others_is_closed(no_tasks_left, tmp_path):
    """A copy, an older program: at opening all below the directory is closed, and the directory keeps its mode."""
    directory = tmp_path / "storage"
    await used(directory)
    for path in (directory, *directory.rglob("*"), tmp_path / "session.jsonl"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    found = {}
    await used(directory, lambda: found.update(modes(directory, tmp_path / "session.jsonl")))
    assert lax(found) == {"storage": "0o755"}


async def test_damaged_database_set_aside_is_its_owners_alone(no_tasks_left, tmp_path):
    """It holds what the whole one held."""
    directory, reports = tmp_path / "storage", Reports()
    await used(directory)
    path = database(directory)
    path.write_bytes(b"no database" * 1000)
    path.chmod(0o644)
    with umask(0):
        await used(directory, on_storage_error=reports)
    assert reports
    assert lax(modes(directory)) == {}
    assert any("damaged/" in name and name.endswith("cache.db") for name in modes(directory))


def test_links_in_a_damaged_database_lead_nowhere(tmp_path):
    """What is set aside is closed to others; a file elsewhere that a planted link leads to is left as it is."""
    outside, version = tmp_path / "outside", tmp_path / "version"
    outside.touch(0o644)
    version.mkdir()
    (version / "link").symlink_to(outside)
    (version / "dangling").symlink_to(tmp_path / "nowhere")
    (version / "cache.db").touch(0o644)
    moved = set_aside(version, tmp_path / "damaged", "queue-1")
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644
    assert stat.S_IMODE((moved / "cache.db").stat().st_mode) == 0o600
    assert (moved / "dangling").is_symlink()


def test_exported_writes_are_their_owners_alone(tmp_path):
    """Also where they replace a file that others could read."""
    from tests.storage.disk import filled

    filled(tmp_path / "storage", "m1")
    output = tmp_path / "unsent.jsonl"
    output.touch(0o644)
    with umask(0):
        result = CliRunner().invoke(command, ["queue", str(tmp_path / "storage"), "export", str(output), "--force"])
    assert result.exit_code == 0
    assert lax(modes(output)) == {}


async def test_directory_that_others_can_change_is_reported_once(no_tasks_left, tmp_path):
    """Whoever puts a write there has it sent; the directory is used all the same, and its mode left alone."""
    directory, reports = tmp_path / "storage", Reports()
    directory.mkdir()
    directory.chmod(0o777)
    await used(directory, on_storage_error=reports)
    assert reports.text == f"other users can change what is in {directory}, and have writes sent: chmod 700 {directory}"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o777


@pytest.mark.parametrize(
    ("mode", "is_own_group", "expected"),
    [(0o700, True, False), (0o755, True, False), (0o775, True, False), (0o775, False, True), (0o1777, True, True)],
)
def test_directory_is_open_to_others_who_may_write(tmp_path, monkeypatch, mode, is_own_group, expected):
    """Reading tells them names only; a group of the user's own is no other."""
    tmp_path.chmod(mode)
    monkeypatch.setattr(os, "getegid", lambda: tmp_path.stat().st_gid if is_own_group else -1)
    assert is_open_to_others(tmp_path) is expected


def test_directory_of_another_user_is_open_to_others(tmp_path, monkeypatch):
    """Its owner may do anything in it; that of root is as safe as root."""
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    owner = tmp_path.stat().st_uid
    assert is_open_to_others(tmp_path) is (owner != 0)
    monkeypatch.setattr(Path, "stat", lambda path: os.stat_result((0o40700, 0, 0, 0, 54321, 0, 0, 0, 0, 0)))
    assert is_open_to_others(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may become somebody else")
async def test_another_user_can_read_nothing(no_tasks_left, tmp_path):
    """Seen by the system itself: nobody opens a file below, though the directory's own mode lets them in."""
    directory = tmp_path / "storage"
    directory.mkdir(mode=0o755)
    program = (
        "import os, sys; os.setgid(65534); os.setuid(65534); root, *paths = sys.argv[1:]; os.listdir(root);"
        " opened = [p for p in paths if os.access(p, os.R_OK)]; sys.exit(repr(opened) if opened else 0)"
    )
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_mode & 0o005 != 0o005 and str(parent).startswith("/tmp/"):
            parent.chmod(parent.stat().st_mode | 0o005)

    def look():
        paths = [str(path) for path in directory.rglob("*") if path.is_file()]
        done = subprocess.run([sys.executable, "-S", "-c", program, directory, *paths], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert len(paths) > 5

    await used(directory, look)


def test_record_of_the_queue_holds_no_token_to_begin_with():
    """What is stored has no field for one: a stamp of who wrote, arguments, and ids."""
    names = set(type(record("m1")).__dataclass_fields__)
    assert not names & {"token", "bearer", "authorization", "cookie"}
