"""What a value without a wire form can be converted to, for the messages that refuse it.

Types are told by their names, so that no library is imported to name its own.  Source: ``docs/protocol.md``,
section "Value codec".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["conversion_of", "kind_of"]

_MISSING: Final = "use None for a missing value"

_CONVERSIONS: Final[Mapping[str, str]] = {  # by the name of the type in its top-level package
    "dataclasses.dataclass": "convert it with dataclasses.asdict(value)",
    "datetime.date": "convert it with value.isoformat(), or datetime.combine(value, time(), UTC)",
    "datetime.datetime": "if it is in UTC, convert it with value.replace(tzinfo=UTC), if in local time, with"
    " value.astimezone()",
    "datetime.time": "convert it with value.isoformat()",
    "datetime.timedelta": "convert it with value.total_seconds()",
    "decimal.Decimal": "convert it with str(value), or float(value)",
    "enum.Enum": "convert it with value.value",
    "numpy.datetime64": "convert it with value.astype('datetime64[ms]').item().replace(tzinfo=UTC)",
    "numpy.generic": "convert it with value.item(), or a whole data frame with df.to_dict('records')",
    "numpy.ndarray": "convert it with value.tolist()",
    "numpy.timedelta64": "convert it with value / numpy.timedelta64(1, 's')",
    "pandas.DataFrame": "convert it with value.to_dict('records')",
    "pandas.Index": "convert it with value.tolist()",
    "pandas.NAType": _MISSING,
    "pandas.NaTType": _MISSING,
    "pandas.Series": "convert it with value.tolist()",
    "pandas.Timestamp": "if it is in UTC, convert it with value.tz_localize('UTC'), or a column with"
    " df['name'].dt.tz_localize('UTC')",
    "pathlib.PurePath": "convert it with str(value)",
    "polars.DataFrame": "convert it with value.to_dicts()",
    "polars.Series": "convert it with value.to_list()",
    "uuid.UUID": "convert it with str(value)",
}


def kind_of(value: object) -> str:
    """Return the name of the type of a value, with its module unless it is Python's own or ours."""
    kind = type(value)
    package = _package_of(kind)
    return kind.__name__ if package in ("builtins", "lunora_rx") else f"{kind.__module__}.{kind.__qualname__}"


def conversion_of(value: object) -> str | None:
    """Return what to do with a value that cannot be sent as it is, ``None`` where nothing can be said."""
    names = (f"{_package_of(kind)}.{kind.__qualname__}" for kind in type(value).__mro__)
    known = next((_CONVERSIONS[name] for name in names if name in _CONVERSIONS), None)
    if known is None and hasattr(type(value), "__dataclass_fields__"):
        return _CONVERSIONS["dataclasses.dataclass"]
    return known


def _package_of(kind: type) -> str:
    return kind.__module__.partition(".")[0]
