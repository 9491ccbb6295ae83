"""Answers of live queries, encoded once, and the exact row changes between two of them.

Source: ``docs/protocol.md``, section "Delta merge".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from lunora_rx.core.delta import UNMERGEABLE, merge_delta
from lunora_rx.errors import LunoraError
from lunora_rx.protocol.text import serialize
from lunora_rx.protocol.wire import encode_wire

__all__ = ["Answer", "Failure", "answer_of", "deltas_between", "spliced"]

RowDelta: TypeAlias = dict[str, Any]

_MAX_DELTAS: Final = 32


@dataclass(frozen=True, slots=True)
class Failure:
    """A query failed; what its subscribers are told.

    Attributes:
        code: The code of the refusal.
        message: What happened.
        error: The same with everything else that a one-shot caller gets.
    """

    code: str
    message: str
    error: LunoraError = field(compare=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """The value of a query.

    Attributes:
        tree: Its wire form.
        text: The JSON text of that.
        row_texts: JSON text of each row by ``_id``, in order, where the value is a list or page of rows.
        frame_text: JSON text of what surrounds the rows of a page; empty for a list.
    """

    tree: Any
    text: str
    row_texts: Mapping[str, str] | None = None
    frame_text: str = ""


def answer_of(value: object) -> Answer:
    """Encode the value that a query has returned.

    Raises:
        CodecError: It cannot be sent.
    """
    tree: Any = encode_wire(value)
    if isinstance(tree, dict) and _are_rows(tree.get("page")):
        surrounding = {name: each for name, each in tree.items() if name != "page"}
        frame_text, row_texts = _text(surrounding), _row_texts(tree["page"])
        return Answer(tree, spliced(frame_text, "page", _joined(row_texts.values())), row_texts, frame_text)
    if _are_rows(tree):
        row_texts = _row_texts(tree)
        return Answer(tree, _joined(row_texts.values()), row_texts)
    return Answer(tree, _text(tree))


def deltas_between(old: Answer, new: Answer, tables: Mapping[str, str], default_table: str) -> list[str]:
    """Return the row deltas that lead from one answer exactly to another, as JSON texts.

    None at all where there are no such deltas, or where the whole value would be shorter.

    Args:
        old: What the subscriber has.
        new: What it shall have.
        tables: The table of each row that was written, by ``_id``.
        default_table: Named for the other rows.
    """
    if old.row_texts is None or new.row_texts is None or old.frame_text != new.frame_text:
        return []
    for run in _candidate_runs(old, new):
        deltas = [{**delta, "table": tables.get(delta["key"], default_table)} for delta in run]
        if len(deltas) <= _MAX_DELTAS and _replays(deltas, old, new):
            texts = [_delta_text(delta, new.row_texts) for delta in deltas]
            return texts if sum(map(len, texts)) < len(new.text) else []
    return []


def spliced(object_text: str, name: str, value_text: str) -> str:
    """Return the JSON text of an object with one more member, whose text is known already."""
    comma = "" if object_text == "{}" else ","
    return f'{object_text[:-1]}{comma}"{name}":{value_text}}}'


def _candidate_runs(old: Answer, new: Answer) -> Iterator[list[RowDelta]]:
    """Yield runs of deltas to try: the placement rule makes their order matter."""
    before, after = old.row_texts or {}, new.row_texts or {}
    deletes: list[RowDelta] = [{"op": "delete", "key": key} for key in before if key not in after]
    updates, inserts = [], []
    for row in _rows(new):
        key = row["_id"]
        if key not in before:
            inserts.append({"op": "insert", "key": key, "row": row})
        elif before[key] != after[key]:
            updates.append({"op": "update", "key": key, "row": row})
    if len(deletes) + len(updates) + len(inserts) > _MAX_DELTAS:
        return
    yield updates + inserts + deletes
    if inserts:
        yield deletes + updates + inserts
        yield updates + inserts[::-1] + deletes


def _replays(deltas: list[RowDelta], old: Answer, new: Answer) -> bool:
    merged = old.tree
    for delta in deltas:
        merged = merge_delta(merged, delta)
        if merged is UNMERGEABLE:
            return False
    rows = merged["page"] if isinstance(merged, dict) else merged
    # Rows are the old ones where their text is the same, and the new ones elsewhere: order is what is left to check.
    return [row["_id"] for row in rows] == list(new.row_texts or ())


def _rows(answer: Answer) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = answer.tree["page"] if isinstance(answer.tree, dict) else answer.tree
    return rows


def _are_rows(tree: Any) -> bool:
    """Tell whether the client's merge, which sees decoded rows, would see these as the server does."""
    if not isinstance(tree, list):
        return False
    ids = set()
    for row in tree:
        if not isinstance(row, dict) or not isinstance(row.get("_id"), str):
            return False
        if isinstance(row.get("_creationTime"), list):  # a tagged number is a number to the client only
            return False
        ids.add(row["_id"])
    return len(ids) == len(tree)


def _row_texts(rows: Iterable[dict[str, Any]]) -> dict[str, str]:
    return {row["_id"]: _text(row) for row in rows}


def _delta_text(delta: RowDelta, row_texts: Mapping[str, str]) -> str:
    head = _text({name: value for name, value in delta.items() if name != "row"})
    return spliced(head, "row", row_texts[delta["key"]]) if "row" in delta else head


def _joined(texts: Iterable[str]) -> str:
    return f"[{','.join(texts)}]"


def _text(tree: object) -> str:
    return serialize(tree).decode()
