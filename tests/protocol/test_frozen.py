"""Frozen values that are cheap to define."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError
from typing import ClassVar

import pytest

from lunora_rx.protocol.frozen import frozen, replace, required_fields


@frozen
class Point:
    """A place."""

    TYPE: ClassVar[str] = "point"
    x: int
    y: int
    label: str = ""


@frozen
class Spot:
    """Another place."""

    x: int
    y: int
    label: str = ""


@frozen
class Sorted:
    """What puts its field in order once it is there."""

    items: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", tuple(sorted(self.items)))


@pytest.mark.parametrize("point", [Point(1, 2), Point(1, y=2), Point(y=2, x=1, label=""), Point(1, 2, "")])
def test_frozen_value_takes_its_fields_by_place_and_by_name(point: Point) -> None:
    """It is made as a dataclass is, defaults included."""
    assert (point.x, point.y, point.label, point.TYPE) == (1, 2, "", "point")
    assert repr(point) == "Point(x=1, y=2, label='')"


@pytest.mark.parametrize(
    ("args", "named", "message"),
    [((1,), {}, r"misses \['y'\]"), ((1, 2, "", 4), {}, "not 4"), ((1, 2), {"x": 1}, "x"), ((1, 2), {"z": 1}, "z")],
)
def test_frozen_value_made_of_wrong_fields_is_refused(
    args: tuple[int, ...], named: dict[str, int], message: str
) -> None:
    """Too few, too many, twice the same, an unknown one: each is a TypeError that names it."""
    with pytest.raises(TypeError, match=message):
        Point(*args, **named)


def test_frozen_value_can_neither_be_changed_nor_grow() -> None:
    """It may be handed to several."""
    point = Point(1, 2)
    for name in ("x", "other"):
        with pytest.raises(FrozenInstanceError, match=name):
            setattr(point, name, 3)
    with pytest.raises(FrozenInstanceError, match="x"):
        del point.x
    assert not hasattr(point, "__dict__")


def test_frozen_values_are_equal_by_class_and_content() -> None:
    """Values of two classes are never equal, unlike named tuples."""
    assert Point(1, 2) == Point(1, 2)
    assert hash(Point(1, 2)) == hash(Point(1, 2))
    assert Point(1, 2) != Point(1, 3)
    assert Point(1, 2) != Spot(1, 2)
    assert Point(1, 2) != (1, 2, "")


def test_frozen_value_copied_or_pickled_is_equal() -> None:
    """It has no state beside its fields."""
    assert copy.deepcopy(Point(1, 2, "a")) == Point(1, 2, "a")
    assert pickle.loads(pickle.dumps(Point(1, 2, "a"))) == Point(1, 2, "a")


def test_frozen_value_is_matched_by_place() -> None:
    """As a dataclass is."""
    match Point(1, 2, "a"):
        case Point(x, _, label):
            assert (x, label) == (1, "a")


def test_frozen_value_with_a_post_init_finishes_itself() -> None:
    """As a dataclass does."""
    assert Sorted((2, 1)).items == (1, 2)


def test_required_fields_are_those_without_a_default() -> None:
    """What a frame must have on the wire."""
    assert required_fields(Point) == ("x", "y")


def test_field_without_a_default_after_one_with_one_is_refused() -> None:
    """As a dataclass refuses it: in what order would they be given?"""
    with pytest.raises(TypeError, match="fields without a default come before"):

        @frozen
        class Reversed:
            x: int = 1
            y: int


def test_method_of_a_class_of_its_own_stays() -> None:
    """What is shared stands in for what a class does not say itself."""

    @frozen
    class Silent:
        secret: str

        def __repr__(self) -> str:
            return "Silent()"

    assert repr(Silent("x")) == "Silent()"
    assert Silent("x") == Silent("x")


def test_replace_gives_another_value_that_differs_in_the_named_fields() -> None:
    """The first one stays; what runs once a value is made runs for the second one, too."""
    point = Point(1, 2, "a")
    assert replace(point, y=3) == Point(1, 3, "a")
    assert point == Point(1, 2, "a")
    assert replace(Sorted((1,)), items=(2, 1)).items == (1, 2)
    with pytest.raises(TypeError, match="z"):
        replace(point, z=3)
