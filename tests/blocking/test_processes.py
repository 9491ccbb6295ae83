"""Programs that forget their client, and processes that are forked: they end, and lose nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lunora_rx.blocking import LunoraClient
from tests.blocking.conftest import NOWHERE

# In development mode asyncio warns of steps that take a tenth of a second, which is the machine's doing.
BEGIN = """
import logging, os, sys, threading, time
from lunora_rx.blocking import LunoraClient
logging.getLogger('asyncio').setLevel('ERROR')
"""
QUIET = """
import logging
logging.getLogger('lunora_rx.socket').addFilter(lambda each: 'cannot connect' not in each.getMessage())
"""
SILENT = "import logging; logging.getLogger('lunora_rx.queue').setLevel('ERROR'); "
QUEUED = QUIET + "client = LunoraClient('http://127.0.0.1:9', storage={storage!r}, client_id='me')\n"


def run(program, *args, code=0):
    """Run a program, with every warning an error; return what it printed, if it ended with ``code`` in silence."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", BEGIN + program, *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (code, "")
    return done.stdout


@pytest.mark.parametrize(
    "use",
    [
        "pass",
        "client.query('rows:list')",
        "live = client.live('rows:list').iter(); next(live)",
        "handle = client.live('rows:list').subscribe(); client.status.value",
        "call = client.start.action('slow:forever')",
        "threading.Thread(target=lambda: list(client.live('rows:list')), daemon=True).start()",
        "threading.Thread(target=client.query, args=('rows:list',)).start()",
        SILENT + "client.import_rows('rows:add', (time.sleep(9) for _ in range(9)), to_args=lambda rows: {'n': 1})",
        "client.close(); client.close()",
        "del client",
    ],
)
def test_program_that_forgets_its_client_ends(shop, use):
    """Whatever it is in the middle of: at once, and in silence."""
    assert run(f"client = LunoraClient(sys.argv[1])\n{use}\nprint('end')", shop.url) == "end\n"


@pytest.mark.parametrize("end", ["pass", "client.close()", "del client", "sys.exit()", "os.kill(os.getpid(), 9)"])
def test_program_that_forgets_its_client_loses_no_queued_write(shop, tmp_path, end):
    """What was reported as queued goes out with the next client of the directory."""
    storage = str(tmp_path / "store")
    program = "write = client.start.mutation('rows:add', {'n': 1})\nfor phase in write.phases:\n"
    program += "    if phase == 'queued': break\n"
    run(QUEUED.format(storage=storage) + program + end, code=-9 if "kill" in end else 0)
    with LunoraClient(shop.url, storage=storage, client_id="me") as client:
        assert client.live("rows:list").first(lambda rows: len(rows) == 1, timeout=20)


def test_program_that_ends_in_the_middle_of_a_write_stores_it(shop, tmp_path):
    """A write that was started is on the disk when the program is over, waited for or not."""
    storage = str(tmp_path / "store")
    run(QUEUED.format(storage=storage) + "for n in range(100): client.start.mutation('rows:add', {'n': n})")
    with LunoraClient(shop.url, storage=storage, client_id="me") as client:
        assert client.live("rows:list").first(lambda rows: len(rows) == 100, timeout=20)


def test_program_that_ends_closes_its_client_in_good_order(shop, tmp_path):
    """What the client keeps for the end, such as the last values, is on the disk; only a good end writes it so soon."""
    storage = str(tmp_path / "store")
    run(
        f"client = LunoraClient(sys.argv[1], storage={storage!r})\nclient.live('rows:list').first(timeout=10)", shop.url
    )
    with LunoraClient(NOWHERE, storage=storage) as client:
        assert client.live("rows:list").first(timeout=10) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_forked_child_is_told_so_and_ends(shop):
    """Every use raises, what is dropped there harms nobody, and a client of its own works."""
    program = """
client = LunoraClient(sys.argv[1])
live, call = client.live('rows:list'), client.start.action('math:square', {'n': 2})
values = live.iter()
next(values), call.result()
uses = [lambda: client.query('rows:list'), lambda: client.live('rows:list'), client.close, client.__enter__,
        lambda: next(values), lambda: live.value, lambda: list(live), call.result, call.cancel, client.debug,
        lambda: client.status.value, lambda: live.subscribe(print), client.current_user,
        lambda: client.start.query('a:b')]
pid = os.fork()
if pid == 0:
    for use in uses:
        try:
            use()
        except RuntimeError as error:
            assert 'was forked from it' in str(error) and 'of its own after the fork' in str(error), error
        else:
            os._exit(7)
    del values, live, call, use, uses
    with LunoraClient(sys.argv[1]) as own:
        print('child', own.action('math:square', {'n': 3}), flush=True)
    sys.exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
print('parent', client.action('math:square', {'n': 4}), next(live.iter()))
"""
    assert run(program, shop.url) == "child 9\nparent 16 []\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_client_that_was_not_used_before_the_fork_works_in_both(shop):
    """Nothing had begun that could be lost."""
    program = """
client = LunoraClient(sys.argv[1])
pid = os.fork()
with client:
    line = f"{client.action('math:square', {'n': 3})}\\n"
    os.write(1, line.encode())  # whole: both write at once
if pid:
    os.waitpid(pid, 0)
"""
    assert run(program, shop.url) == "9\n9\n"
