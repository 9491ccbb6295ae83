"""The pytest plugin, in fresh projects: with each runner of coroutines, with none, and where nobody asked for it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

STALE = """
import asyncio
{extra}

{mark}
async def test_stale(lunora_server, lunora_client, lunora_time):
    lunora_server.push("a:b", 1)
    live = lunora_client.live("a:b")
    live.subscribe(print)
    await lunora_time.settle()
    assert live.value == 1
    lunora_server.drop()
    await lunora_time.settle()
    assert live.snapshot.status == "stale"
    await asyncio.sleep(100)
    assert live.snapshot.status == "live"
    assert lunora_time.now == 100
"""
# What pytest-asyncio itself warns of where it is not said.
SCOPE = ("-o", "asyncio_default_fixture_loop_scope=function")
RUNNERS = {
    "none": ("", "", ()),
    "asyncio strict, unmarked": ("", "", ("-p", "pytest_asyncio.plugin", *SCOPE)),
    "asyncio strict, marked": ("import pytest", "@pytest.mark.asyncio", ("-p", "pytest_asyncio.plugin", *SCOPE)),
    "asyncio auto": ("", "", ("-p", "pytest_asyncio.plugin", *SCOPE, "-o", "asyncio_mode=auto")),
    "anyio": (
        "import pytest",
        '@pytest.mark.anyio\n@pytest.mark.parametrize("anyio_backend", ["asyncio"])',
        ("-p", "anyio.pytest_plugin"),
    ),
}


@pytest.fixture
def project(pytester, monkeypatch):
    """Run a project's tests in a process of its own: warnings are errors, and there are no plugins but those named."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(source, *options, app=""):
        pytester.makepyfile(test_project=source)
        pytester.makeconftest(app)
        return pytester.runpytest_subprocess("-W", "error", "-p", "_lunora_rx_pytest", *options, timeout=60)

    return run


@pytest.mark.parametrize("runner", RUNNERS)
def test_coroutine_test_runs_in_virtual_time_whoever_runs_it(project, runner):
    """With pytest-asyncio in either mode, with anyio, and with nothing but the plugin."""
    extra, mark, options = RUNNERS[runner]
    project(STALE.format(extra=extra, mark=mark), *options).assert_outcomes(passed=1)


def test_trio_is_told_apart(project):
    """A loop that is not asyncio's gets a clear error."""
    pytest.importorskip("trio", reason="the backend is another library")
    source = STALE.format(
        extra="import pytest", mark='@pytest.mark.anyio\n@pytest.mark.parametrize("anyio_backend", ["trio"])'
    )
    result = project(source, "-p", "anyio.pytest_plugin")
    result.assert_outcomes(failed=1)


def test_plain_test_runs_coroutines_on_one_loop(project):
    """A test that is no coroutine uses ``lunora_time.run``, as often as it likes; what it used is closed."""
    result = project(
        """
        def test_plain(lunora_server, lunora_client, lunora_time, lunora_no_leaks):
            async def ask():
                return await lunora_client.query("a:b")

            lunora_server.push("a:b", 1)
            assert lunora_time.run(ask()) == 1
            lunora_server.push("a:b", 2)
            assert lunora_time.run(ask()) == 2
        """
    )
    result.assert_outcomes(passed=1)


def test_unscripted_call_fails_the_test_that_swallowed_it(project):
    """Strictness does not depend on what the program does with the error; a plain test is checked as well."""
    result = project(
        """
        async def ask(client):
            try:
                await client.query("a:forgotten", {"n": 1})
            except Exception:
                pass

        async def test_coroutine(lunora_server, lunora_client):
            await ask(lunora_client)

        def test_plain(lunora_server, lunora_client, lunora_time):
            lunora_time.run(ask(lunora_client))

        class TestClass:
            async def test_method(self, lunora_server, lunora_client):
                await ask(lunora_client)

            def test_plain_that_fails(self, lunora_server, lunora_client, lunora_time):
                lunora_time.run(ask(lunora_client))
                assert self is None, "what the test itself says"
        """
    )
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(["*what the test itself says*", "*nobody scripted*"])
    result.stdout.fnmatch_lines(
        ["*nobody scripted the query or action 'a:forgotten' with {'n': 1}; nothing is scripted*"]
    )


def test_failure_of_a_test_keeps_its_own_line_and_notes_the_script(project):
    """The assertion that failed is what is shown, with what was not scripted beside it."""
    result = project(
        """
        async def test_it(lunora_server, lunora_client, lunora_time):
            live = lunora_client.live("a:b")
            live.subscribe(on_error=lambda error: None)
            await lunora_time.settle()
            assert live.value == 1
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*assert live.value == 1*", "*nobody scripted the live query 'a:b'*"])
    result.stdout.no_fnmatch_line("*clock.py*")


LEFT = {
    'lunora_client.live("a:b").subscribe(print)': "1 observers of live queries of <LunoraClient*",
    'lunora_client.stream("a:s").subscribe(print)': "'a:s' with {} is still watched",
    'lunora_client.query("a:wait")': "1 calls under way of <LunoraClient*",
    "asyncio.create_task(asyncio.sleep(9))": "a task: *",
    "await LunoraClient('http://x', transport=lunora_server.transport).live('a:b').first()": "1 sockets of clients*",
    'lunora_client.live("a:b").first()': None,
}


def test_leaks_are_found_where_they_are_asked_for(project):
    """An observer, a stream, a call, a task, a client of the program's own; and nothing where nothing is left."""
    tests = "".join(
        f"""
async def test_{number}(lunora_server, lunora_client, lunora_no_leaks):
    script(lunora_server)
    kept.append({left if told else f"await {left}"})
"""
        for number, (left, told) in enumerate(LEFT.items())
    )
    source = f"""
import asyncio
from lunora_rx import LunoraClient
from lunora_rx.testing import PENDING

kept = []

def script(server):
    server.push("a:b", 1)
    server.on_query("a:wait", PENDING)
    server.on_stream("a:s", PENDING)
{tests}"""
    result = project(source)
    result.assert_outcomes(passed=1, failed=len(LEFT) - 1)
    for told in filter(None, LEFT.values()):
        result.stdout.fnmatch_lines_random(["*the test leaves behind:*", told])


RAISING = {
    'lunora_client.live("a:b").subscribe(lambda v: v["oops"])': "*raised KeyError: 'oops'*",
    'lunora_client.live("a:b").pipe(ops.map(lambda v: v["oops"])).subscribe(print)': "*raised KeyError: 'oops'*",
    'await lunora_client.mutation("a:write", optimistic_update=broken)': "*raised ZeroDivisionError: division by zero*",
    'lunora_client.live("a:no").subscribe(print)': "*raised ServerError: FORBIDDEN: *",
    'lunora_client.live("a:b").subscribe(print)': None,
    'lunora_server.client(on_error=print).live("a:b").subscribe(lambda v: v["oops"])': None,
    'lunora_server.allows_client_errors = lunora_client.live("a:b").subscribe(lambda v: v["oops"])': None,
}


def test_what_observers_and_patches_raise_fails_the_test(project):
    """With the line that raised, unless the test takes the errors itself or allows them; no library is shown."""
    tests = "".join(
        f"""
async def test_{number}(lunora_server, lunora_client):
    lunora_server.push("a:b", {{}})
    lunora_server.fail("a:no", "FORBIDDEN")
    lunora_server.on_mutation("a:write")
    await lunora_client.live("a:b").first()
    {line}
"""
        for number, line in enumerate(RAISING)
    )
    source = f"from reactivex import operators as ops\ndef broken(store, args):\n    1 / 0\n{tests}"
    result = project(source)
    told = [each for each in RAISING.values() if each]
    result.assert_outcomes(failed=len(told), passed=len(RAISING) - len(told))
    result.stdout.fnmatch_lines(told)
    result.stdout.fnmatch_lines(["*test_project.py:3 in broken: 1 / 0*"])
    result.stdout.no_re_match_line(r".*(_lunora_rx_pytest|asyncio/|lunora_rx/|All traceback entries)")


def test_what_the_app_servers_clients_raise_fails_the_test(project):
    """The embedded server's clients are held to the same; what is allowed can be looked at."""
    result = project(
        """
        import pytest

        @pytest.mark.parametrize("allows", [False, True])
        async def test_it(lunora_app, lunora_app_server, lunora_app_client, lunora_time, allows):
            lunora_app.query("a:b")(lambda ctx: {})
            lunora_app_server.allows_client_errors = allows
            lunora_app_client.live("a:b").subscribe(lambda value: value["oops"])
            await lunora_time.settle()
            assert [str(error) for error in lunora_app_server.client_errors] == ["'oops'"]
        """
    )
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*raised KeyError: 'oops'"])


def test_unscripted_call_that_fails_the_test_is_told_once(project):
    """The error that the test dies of says it already: there is no note of it."""
    result = project(
        """
        async def test_it(lunora_client):
            await lunora_client.query("a:forgotten")
        """
    )
    result.assert_outcomes(failed=1)
    told = [line for line in result.outlines if line.startswith("E ") and "nobody scripted" in line]
    assert len(told) == 1


def test_failing_test_shows_what_was_recorded(project):
    """That a recording ended in an error is seen beside the assertion on its values."""
    result = project(
        """
        from lunora_rx.testing import record

        async def test_it(lunora_server, lunora_client, lunora_time):
            lunora_server.fail("tickets:open", "BOOM")
            tickets = record(lunora_client.live("tickets:open"))
            await lunora_time.settle()
            assert tickets.values == [[]]
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [">*assert tickets.values*", "E *recorded 0 s: error ServerError(*BOOM*", "E *test_project.py:5 in test_it: *"]
    )


def test_forgotten_await_of_time_fails_the_test(project):
    """A test that lets no time pass proves nothing; one that awaits, later or in a task, passes."""
    result = project(
        """
        import asyncio

        async def test_advance(lunora_time):
            lunora_time.advance(5)

        def test_plain(lunora_time):
            lunora_time.settle()

        async def test_awaited(lunora_time):
            later = lunora_time.advance(5)
            task = asyncio.create_task(lunora_time.advance(5))
            await lunora_time.settle()
            await later
            await task
        """
    )
    result.assert_outcomes(failed=2, passed=1)
    result.stdout.fnmatch_lines(
        ["advance(5) was not awaited", "*test_project.py:4 in test_advance: lunora_time.advance(5)"]
    )
    result.stdout.fnmatch_lines(["settle() was not awaited"])


def test_hang_is_told_with_the_tests_line_and_what_was_not_scripted(project):
    """Neither asyncio's line nor the client's tasks, and no traceback of the kit."""
    result = project(
        """
        import asyncio

        async def test_it(lunora_client, lunora_time):
            lunora_client.live("a:b").subscribe(print, lambda error: None)
            while True:
                await asyncio.sleep(3600)
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "what the test awaits has not come*",
            "*test_project.py:6 in test_it: await asyncio.sleep*",
            "nobody scripted*",
        ]
    )
    result.stdout.no_re_match_line(r".*(asyncio/|lunora_rx/|_lunora_rx_pytest)")


def test_marbles_that_differ_are_shown_at_the_tests_line(project):
    """What compares them is no part of the traceback."""
    result = project(
        """
        from lunora_rx.testing import assert_marbles, hot_live, record
        from reactivex.testing import TestScheduler

        def test_it():
            scheduler = TestScheduler()
            assert_marbles(record(hot_live("a", scheduler=scheduler), scheduler), "a")
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([">*assert_marbles(record(*", "E *AssertionError: marbles 'a' expected"])
    result.stdout.no_fnmatch_line("*marbles.py*")


def test_app_is_served_in_memory_and_in_virtual_time(project):
    """A project's own app behind the same fixtures: real functions, pokes, faults of connections, no socket."""
    result = project(
        """
        import asyncio
        import pytest
        from lunora_rx.testing import record

        async def test_rows(lunora_app_server, lunora_app_client, lunora_time):
            seen = record(lunora_app_client.live("messages:list"))
            shape = record(lunora_app_client.shape("all"))
            await lunora_app_client.mutation("messages:send", {"text": "hi"})
            await lunora_time.settle()
            assert [row["_id"] for row in seen.values[-1]] == ["id2"]
            assert [row["text"] for row in shape.values[-1]] == ["hi"]
            lunora_app_server.drop()
            await lunora_time.advance(30)
            assert lunora_app_client.status.value == "connected"
            assert [each async for each in lunora_app_client.stream("ai:count").aiter()] == [0, 1, 2]
            assert [each async for each in lunora_app_client.http_stream("/count/2").aiter()] == ["2"]
            assert lunora_time.now == 33

        async def test_token(lunora_app_server, lunora_time):
            client = lunora_app_server.client(auth_token="ada", ws_token="bo")
            assert (await client.current_user()).id == "ada"
            assert await client.live("who:am").first() == "bo"
        """,
        app="""
        import asyncio
        import pytest
        from lunora_rx.devserver import App

        @pytest.fixture
        def lunora_app():
            app = App()
            app.query("messages:list")(lambda ctx: ctx.db.table("messages").collect())
            app.query("who:am")(lambda ctx: ctx.identity)
            app.shape("all")(lambda ctx: ctx.db.table("messages"))

            @app.authenticate
            async def check(token):
                return token

            @app.mutation("messages:send")
            def send(ctx, text: str):
                return ctx.db.insert("messages", text=text)

            @app.stream("ai:count")
            async def count(ctx):
                for number in range(3):
                    await asyncio.sleep(1)
                    yield number

            @app.http_stream("/count/:n")
            def events(ctx, n: str):
                yield n

            return app
        """,
    )
    result.assert_outcomes(passed=2)


def test_project_that_does_not_use_it_imports_nothing(pytester):
    """The plugin is loaded by its entry point, and neither the client nor what it needs is."""
    pytester.makepyfile(
        """
        import sys

        def test_nothing():
            assert "_lunora_rx_pytest" in sys.modules
            assert not {"lunora_rx", "aiohttp", "reactivex"} & set(sys.modules)
        """
    )
    pytester.runpytest_subprocess("-p", "no:asyncio", "-W", "error").assert_outcomes(passed=1)


def test_fixtures_are_listed_with_what_they_are(pytester):
    """``pytest --fixtures`` tells a newcomer what there is."""
    result = pytester.runpytest_subprocess("--fixtures")
    for name in ("time", "server", "client", "client_options", "app", "app_server", "app_client", "no_leaks"):
        result.stdout.re_match_lines_random([rf"lunora_{name} -- .*_lunora_rx_pytest.py:\d+"])


def test_plugin_does_not_warn_where_the_client_is_imported_first(pytester):
    """A program that imports the client and then runs pytest."""
    pytester.makepyfile("def test_nothing(): pass")
    program = "import lunora_rx, pytest, sys; sys.exit(pytest.main(['-q', '-W', 'error', *sys.argv[1:]]))"
    done = subprocess.run(
        [sys.executable, "-c", program, *SCOPE],
        cwd=pytester.path,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
