"""Lists of rows as data frames of pandas or polars, which are imported when the first one is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from reactivex import Observable

from lunora_rx.operators.columns import Columns, columns_of
from lunora_rx.operators.keys import rows_of
from lunora_rx.operators.stepping import Step, stepped

if TYPE_CHECKING:
    import pandas
    import polars

Rows: TypeAlias = Observable[Sequence[Mapping[str, Any]]]

_ENGINES = {
    "pandas": "lunora_rx.operators.pandas_frames",
    "polars": "lunora_rx.operators.polars_frames",
}


@overload
def to_frame(
    engine: Literal["pandas"] = "pandas", *, columns: Sequence[str] | None = None, index: str | None = None
) -> Callable[[Rows], Observable[pandas.DataFrame]]: ...
@overload
def to_frame(
    engine: Literal["polars"], *, columns: Sequence[str] | None = None
) -> Callable[[Rows], Observable[polars.DataFrame]]: ...
def to_frame(
    engine: Literal["pandas", "polars"] = "pandas",
    *,
    columns: Sequence[str] | None = None,
    index: str | None = None,
) -> Callable[[Rows], Observable[Any]]:
    """Turn each list of rows into a data frame, with a column for each field.

    ::

        rows        --[{n:1},{n:2}]---[]-------|
        to_frame()  --n: 1, 2---------n:-------|

    Columns come in the order in which fields are first seen. A field that a row has not is a missing value there. An
    empty list gives an empty frame with the columns of the frame before, and their types. Types by what a column holds:

    =====================  ========================================  ==========================================
    values                 pandas                                    polars
    =====================  ========================================  ==========================================
    whole numbers          ``int64``, ``Int64`` with missing ones    ``Int64``
    ``WireBigInt``         the same; ``object`` beyond 64 bits       the same; ``Int128``, ``Object`` beyond
    other numbers          ``float64``                               ``Float64``
    true and false         ``bool``, ``boolean`` with missing ones   ``Boolean``
    dates                  ``datetime64[..., UTC]``                  ``Datetime(..., "UTC")``
    texts, ``WireUrl``     ``str`` (``object`` before pandas 3)      ``String``
    ``WireBytes``          ``object``, of ``bytes``                  ``Binary``
    lists and objects      ``object``                                ``List``, ``Struct``
    of several kinds       ``object``                                ``Object``
    =====================  ========================================  ==========================================

    An invalid ``WireDate`` is a missing value; one that ``datetime`` cannot hold gives its column milliseconds as unit.

    Args:
        engine: ``"pandas"`` or ``"polars"``; installed by the extra of that name.
        columns: The fields to have columns of, in this order, also where no row has them; by default all.
        index: With pandas, the field that is the index.

    Raises:
        ValueError: ``engine`` is another one, or polars is given an index; as an error of the stream, no field has
            the name of the index.
        ImportError: The engine is not installed.
        TypeError: As an error of the stream, a value is no list of rows.

    >>> import reactivex
    >>> from lunora_rx import operators as lops
    >>> rows = reactivex.of([{"_id": "a", "celsius": 20.5}, {"_id": "b", "celsius": 18}])
    >>> _ = rows.pipe(lops.to_frame(index="_id")).subscribe(lambda frame: print(frame["celsius"].mean()))
    19.25
    """
    if engine not in _ENGINES:
        raise ValueError(f"to_frame(): engine is 'pandas' or 'polars', not {engine!r}")
    if index is not None and engine == "polars":
        raise ValueError("to_frame(): frames of polars have no index; use to_frame('polars') without one")
    make = _maker(engine)
    names = None if columns is None else list(columns)
    return lambda source: stepped(source, lambda _: _framing(make, names, index))


def _framing(make: Callable[[Columns, str | None], Any], names: list[str] | None, index: str | None) -> Step[Any, Any]:
    last: Any = None

    def step(value: Any) -> Any:
        nonlocal last
        rows = rows_of("to_frame", value)
        if not rows and last is not None:
            last = last[:0]
            return last
        columns = columns_of(rows, names)
        if index is not None and index not in columns:
            if rows:
                raise ValueError(
                    f"to_frame(): no field is called {index!r} for the index; there are {', '.join(columns)}"
                )
            columns[index] = []
        last = make(columns, index)
        return last

    return step


def _maker(engine: str) -> Callable[[Columns, str | None], Any]:
    try:
        import_module(engine)
    except ImportError as error:
        raise ImportError(
            f"to_frame({engine!r}) needs {engine}, which is not installed: pip install 'lunora-rx[{engine}]'"
        ) from error
    make: Callable[[Columns, str | None], Any] = import_module(_ENGINES[engine]).make_frame
    return make
