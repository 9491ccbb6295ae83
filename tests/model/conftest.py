"""Worlds for tests, and how much the model has run; the same is in the cache under ``model/<machine>``."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.model.client import ClientSettings
from tests.model.world import World


@pytest.fixture
def new_world() -> Iterator[Callable[..., World]]:
    """Makes worlds, and ends them."""
    worlds: list[World] = []

    def make(*clients: ClientSettings, **options: int) -> World:
        worlds.append(World(clients or (ClientSettings(),), **options))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how many schedules and steps were run, and what happened in them."""
    reports = [*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])]
    for report in reports:
        for name, run in report.user_properties:
            if name == "model":
                _print(terminalreporter, run)


def _print(terminalreporter: pytest.TerminalReporter, run: dict[str, int]) -> None:
    happened = ", ".join(f"{name} {count}" for name, count in sorted(run.items()) if name not in ("schedules", "steps"))
    terminalreporter.section("model")
    terminalreporter.line(f"{run['schedules']} schedules, {run['steps']} steps")
    terminalreporter.line(happened)
