"""The pytest plugin of lunora_rx: fixtures for programs that use the client.

A module of its own, beside the package: pytest loads it in every project of the environment, and whoever does not use
a fixture must not pay for importing the client. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lunora_rx import LunoraClient
    from lunora_rx.devserver import App
    from lunora_rx.testing import AppServer, Bench, ScriptedServer, VirtualTime

_BENCH = pytest.StashKey["Bench"]()


@pytest.fixture
def _lunora_bench(request: pytest.FixtureRequest) -> Bench:
    from lunora_rx.testing import Bench

    bench = request.node.stash[_BENCH] = Bench()
    return bench


@pytest.fixture
def lunora_time(_lunora_bench: Bench) -> VirtualTime:
    """The time of the test, which is virtual while its function runs: ``await lunora_time.advance(30)``."""
    return _lunora_bench.time


@pytest.fixture
def lunora_server(_lunora_bench: Bench) -> ScriptedServer:
    """A server that answers what the test scripts; what nobody scripted fails the test."""
    from lunora_rx.testing import ScriptedServer

    return _lunora_bench.add(ScriptedServer())


@pytest.fixture
def lunora_client_options() -> dict[str, Any]:
    """Options of the clients of the other fixtures; override it to choose them."""
    return {}


@pytest.fixture
def lunora_client(lunora_server: ScriptedServer, lunora_client_options: dict[str, Any]) -> LunoraClient:
    """A client of ``lunora_server``, closed when the test function ends."""
    return lunora_server.client(**lunora_client_options)


@pytest.fixture
def lunora_app() -> App:
    """An app of the embedded server with no functions yet; override it to return one's own."""
    from lunora_rx.devserver import App

    return App()


@pytest.fixture
def lunora_app_server(_lunora_bench: Bench, lunora_app: App) -> AppServer:
    """``lunora_app``, served in memory and in the test's time."""
    from lunora_rx.testing import AppServer

    return _lunora_bench.add(AppServer(lunora_app))


@pytest.fixture
def lunora_app_client(lunora_app_server: AppServer, lunora_client_options: dict[str, Any]) -> LunoraClient:
    """A client of ``lunora_app``, closed when the test function ends."""
    return lunora_app_server.client(**lunora_client_options)


@pytest.fixture
def lunora_no_leaks(_lunora_bench: Bench) -> None:
    """Fails the test if the program leaves observers, calls, sockets or tasks behind when the function returns."""
    _lunora_bench.finds_leaks = True


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Let the test function run in virtual time, whoever runs it: pytest-asyncio, anyio, or this plugin."""
    bench = item.stash.get(_BENCH, None)
    if bench is None or not isinstance(item, pytest.Function):
        return (yield)
    __tracebackhide__ = True
    test = item.obj
    item.obj = _in_time(bench, test) if inspect.iscoroutinefunction(test) else _plain(bench, test)
    from lunora_rx.testing.clock import KitFailure

    try:
        return (yield)
    except KitFailure as failure:
        # It has happened in no line of the test: the text says where to look.
        text = "\n".join([str(failure), *getattr(failure, "__notes__", ())])
        _fail(text)
    finally:
        item.obj = test


@pytest.hookimpl
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine test that uses these fixtures and that no other plugin has taken."""
    bench = pyfuncitem.stash.get(_BENCH, None)
    if bench is None or not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    from asyncio import Runner, SelectorEventLoop

    names = pyfuncitem._fixtureinfo.argnames
    with Runner(loop_factory=SelectorEventLoop) as runner:
        runner.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


def _fail(text: str) -> None:
    # In a frame that is not hidden, or pytest says that all are.
    raise pytest.fail.Exception(text, pytrace=False) from None


def _in_time(bench: Bench, test: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(test)
    async def run(*args: Any, **named: Any) -> Any:
        __tracebackhide__ = True
        return await bench.run(functools.partial(test, *args, **named))

    return run


def _plain(bench: Bench, test: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(test)
    def run(*args: Any, **named: Any) -> Any:
        __tracebackhide__ = True
        return bench.run_plain(functools.partial(test, *args, **named))

    return run
