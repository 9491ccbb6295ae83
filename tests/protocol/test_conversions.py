"""What is said of values that have no wire form, and that it is right."""

from __future__ import annotations

import dataclasses
import enum
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import pytest

from lunora_rx import CodecError
from lunora_rx.protocol.wire import encode_wire

numpy = pytest.importorskip("numpy")
pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")


@dataclasses.dataclass
class Row:
    n: int


class Colour(enum.Enum):
    RED = "red"


FRAME = pandas.DataFrame({"n": [1, 2]})
MISSING = "use None for a missing value"
NAMES: dict[str, Any] = {"UTC": UTC, "datetime": datetime, "time": time, "dataclasses": dataclasses, "numpy": numpy}

CONVERTED = [
    (numpy.bool_(True), "value.item()"),
    (numpy.int64(5), "value.item()"),
    (numpy.float32(0.5), "value.item()"),
    (numpy.array([1]), "value.tolist()"),
    (numpy.datetime64("2026-01-01T00:00:00.000000001"), "value.astype('datetime64[ms]').item().replace(tzinfo=UTC)"),
    (numpy.timedelta64(5, "s"), "value / numpy.timedelta64(1, 's')"),
    (FRAME, "value.to_dict('records')"),
    (FRAME["n"], "value.tolist()"),
    (FRAME.index, "value.tolist()"),
    (pandas.Timestamp("2026-01-01"), "value.tz_localize('UTC')"),
    (pandas.Timedelta("5s"), "value.total_seconds()"),
    (polars.DataFrame({"n": [1]}), "value.to_dicts()"),
    (polars.Series([1]), "value.to_list()"),
    (datetime(2026, 1, 1), "value.replace(tzinfo=UTC)"),
    (datetime(2026, 1, 1), "value.astimezone()"),
    (date(2026, 1, 1), "value.isoformat()"),
    (date(2026, 1, 1), "datetime.combine(value, time(), UTC)"),
    (time(12), "value.isoformat()"),
    (timedelta(seconds=5), "value.total_seconds()"),
    (Decimal("0.5"), "str(value)"),
    (Decimal("0.5"), "float(value)"),
    (UUID(int=5), "str(value)"),
    (PurePosixPath("a"), "str(value)"),
    (Colour.RED, "value.value"),
    (Row(1), "dataclasses.asdict(value)"),
]


def refusal_of(value: object) -> str:
    with pytest.raises(CodecError) as caught:
        encode_wire(value)
    return str(caught.value)


@pytest.mark.parametrize(("value", "code"), CONVERTED, ids=lambda each: each if isinstance(each, str) else None)
def test_refusal_names_the_type_in_full_and_a_conversion_that_works(value: object, code: str) -> None:
    """What it says can be copied."""
    message = refusal_of(value)
    assert f"got {type(value).__module__}.{type(value).__qualname__}; " in message
    assert code in message
    encode_wire(eval(code, NAMES | {"value": value}))


@pytest.mark.parametrize("value", [pandas.NaT, pandas.NA], ids=repr)
def test_refusal_of_a_missing_value_of_pandas_says_none(value: object) -> None:
    """It is no datetime that lacks a time zone."""
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    assert refusal_of(value) == f"value: this type has no wire form, got {name}; {MISSING}"


def test_refusal_of_a_number_of_numpy_reads_whole() -> None:
    """As an example of all."""
    kind = numpy.bool_.__name__
    assert refusal_of([{"on": numpy.bool_(True)}]) == (
        f"value[0].on: this type has no wire form, got numpy.{kind}; convert it with value.item(), or a whole data"
        " frame with df.to_dict('records')"
    )


def test_records_of_a_frame_can_be_sent() -> None:
    """As the messages promise: pandas makes Python's own numbers of its columns."""
    frame = pandas.DataFrame(
        {"n": [1], "x": [0.5], "on": [True], "text": ["a"], "at": [pandas.Timestamp("2026-01-01")]}
    )
    frame["at"] = frame["at"].dt.tz_localize("UTC")
    assert encode_wire(frame.to_dict("records"))


def test_conversions_import_no_library() -> None:
    """Types are told by their names."""
    program = "import sys, lunora_rx.protocol.wire; sys.exit(any(each in sys.modules for each in ('numpy', 'pandas')))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
