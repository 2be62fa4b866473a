"""Readings in columns behave like plain rows, and one module alone names the optional columns."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tidemark.readings import optional_columns
from tidemark.readings.columns import Block, merged
from tidemark.readings.optional_columns import OPTIONAL, NumberColumn
from tidemark.readings.wire.piece import Piece

from tests.readings.blocks import Row, block_of, table_of

PACKAGE = Path(optional_columns.__file__).parents[1]

numbers = st.sampled_from((0.0, -0.0)) | st.floats(-1, 1)
optional = (
    st.none() | (numbers if isinstance(column, NumberColumn) else st.sampled_from(["1", "[]"])) for column in OPTIONAL
)
rows = st.tuples(st.integers(1, 3), st.integers(0, 12), numbers, *optional)
"""Series, instant, value and the optional columns."""
tables = st.lists(rows, max_size=8)


@given(st.lists(tables, min_size=1, max_size=4), st.data())
def test_columns_are_joined_and_taken_as_rows_are(parts: list[list[Row]], data: st.DataObject) -> None:
    whole = Block.concat([block_of(part) for part in parts])
    joined = [row for part in parts for row in part]
    assert repr(table_of(whole)) == repr(joined)  # which tells −0 from 0
    assert list(whole.optional) == [column.name for column in OPTIONAL if column.name in whole.optional]
    places = data.draw(st.lists(st.integers(0, len(joined) - 1)) if joined else st.just([]))
    assert table_of(whole.take(np.array(places, np.int64))) == [joined[place] for place in places]
    assert table_of(whole.take(slice(1, 3))) == joined[1:3]


@given(st.lists(tables, min_size=1, max_size=4))
def test_the_last_of_each_series_and_instant_is_left_in_order(parts: list[list[Row]]) -> None:
    last = {row[:2]: row for part in parts for row in part}
    assert repr(table_of(merged([block_of(part) for part in parts]))) == repr([last[key] for key in sorted(last)])


def test_what_is_no_column_stays_as_it_is() -> None:
    def piece(*index: int, **others: Any) -> Piece:
        count = len(index)
        sensor, value = np.zeros(count, np.int32), np.zeros(count)
        return Piece(sensor=sensor, at=np.arange(count), value=value, index=np.array(index), **others)

    both = Piece.concat([piece(0, 2, names=["a"], skipped=7), piece(1, names=["b"])])
    taken = both.take(np.array([0, 2, 1]))
    assert (taken.index.tolist(), taken.names, taken.skipped) == ([0, 1, 2], ["a"], 7)


def test_one_module_names_the_optional_columns() -> None:
    names = {column.name for column in OPTIONAL} | {column.parameter for column in OPTIONAL}
    naming = {path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if names & set(_names(path))}
    assert naming == {Path("readings/optional_columns.py")}


def _names(path: Path) -> Iterator[str]:
    """The names that a module uses, its string literals, and the keys of JSON within them; no docstrings."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    docstrings = {node.value for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        yield from (getattr(node, part, None) or "" for part in ("id", "attr", "arg"))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
            yield from (node.value, *re.findall(r'"(\w+)"', node.value))
