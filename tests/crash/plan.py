"""When each process of a run is to die, drawn from a seed.

A run is a row of stages. In most of them one writer after another has the directory to itself; in some two share it.
The writers of one part of the run are one user's, those of the next another's.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

USERS = ("ada", "bob")
ERAS = 4
"""How often, at most, the directory passes from one user to the other."""

LONGEST_LIFE = 1.0
"""Seconds after which a writer is killed whose moment never came: the server may be down all its life."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When to kill a writer: ``delay`` seconds after its log holds ``count`` lines of a kind."""

    kind: str
    count: int
    delay: float


@dataclass(frozen=True, slots=True)
class WriterLife:
    """One writer process.

    Attributes:
        process: Its number.
        stage: Writers of one stage share the directory, or use one lane one after another; see ``is_alone``.
        is_alone: Whether no other writer lives at the same time.
        seed: Sets its pace.
        moment: When to kill it.
        user: Who is signed in.
    """

    process: int
    stage: int
    is_alone: bool
    seed: str
    moment: Moment
    user: str = USERS[0]


@dataclass(frozen=True, slots=True)
class ServerLife:
    """One server process.

    Attributes:
        dies_after: Kills itself around its write of that number; 0 for never.
        lifetime: Seconds after which it is killed from outside.
        pause: Seconds until the next one serves.
    """

    dies_after: int
    lifetime: float
    pause: float


def plan_writers(seed: str, kills: int) -> Iterator[list[WriterLife]]:
    """Return the writers in the order of their lives; those of one list share the directory."""
    chance = random.Random(f"writers {seed}")
    process, stage, was_shared = 0, 0, True
    while process < kills:
        is_shared = kills - process >= 2 and chance.random() < 0.4
        size = 2 if is_shared else min(chance.randrange(1, 7), kills - process)
        stage += is_shared or was_shared
        was_shared = is_shared
        user = USERS[process * ERAS // kills % len(USERS)]
        lives = [
            WriterLife(process + index, stage, not is_shared, f"{seed} {process + index}", _moment(chance), user)
            for index in range(size)
        ]
        process += size
        yield from [lives] if is_shared else [[life] for life in lives]


def plan_servers(seed: str) -> Iterator[ServerLife]:
    """Return servers without end."""
    chance = random.Random(f"servers {seed}")
    while True:
        aims = chance.random() < 0.6
        yield ServerLife(
            dies_after=chance.choice([1, 5, 20, 60, 150]) if aims else 0,
            lifetime=chance.uniform(0.1, 1.0),
            pause=chance.choice([0.0, chance.uniform(0, 0.1), chance.uniform(0, 0.4)]),
        )


def _moment(chance: random.Random) -> Moment:
    """Draw a moment: while opening, hydrating or closing, anywhere, or right after something happened."""
    return chance.choice(
        [
            Moment("opening", 1, chance.uniform(0, 0.03)),
            Moment("opening", 1, chance.uniform(0.03, 0.2)),
            Moment("opening", 1, chance.uniform(0.1, 1.0)),
            Moment("opening", 2, chance.uniform(0, 0.03)),
            Moment("closing", 1, chance.uniform(0, 0.02)),
            Moment("composed", chance.randrange(1, 150), chance.uniform(0, 0.003)),
            Moment("queued", chance.randrange(1, 60), chance.uniform(0, 0.003)),
            Moment("sent", chance.randrange(1, 100), chance.uniform(0, 0.005)),
            Moment("settled", chance.randrange(1, 30), chance.uniform(0, 0.003)),
        ]
    )
