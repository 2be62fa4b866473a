"""What is accepted to be appended, and many of them in columns."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple, TypeAlias

import numpy as np

from tidemark.readings.columns import Block
from tidemark.readings.log.run import Ids
from tidemark.readings.optional_columns import OPTIONAL
from tidemark.readings.reading import Reading


class OwnedReading(NamedTuple):
    """A reading of one company's series; (series_id, reading.at) identifies it."""

    company_id: int
    series_id: int
    reading: Reading


class OwnedBlock(NamedTuple):
    """Readings of one company's series."""

    company_id: int
    block: Block


Item: TypeAlias = OwnedReading | OwnedBlock


def gathered(items: Sequence[Item]) -> tuple[Ids, Block]:
    """The readings of all items in their order, and the company of each."""
    company_ids, blocks = zip(*_parts(items), strict=True)
    return np.concatenate(company_ids), Block.concat(blocks)


def _parts(items: Sequence[Item]) -> Iterator[tuple[Ids, Block]]:
    for kind, stretch in groupby(items, type):
        if kind is OwnedReading:
            yield _of_readings([item for item in stretch if isinstance(item, OwnedReading)])
        else:
            blocks = (item for item in stretch if isinstance(item, OwnedBlock))
            yield from ((np.full(len(block), company_id, dtype=np.int32), block) for company_id, block in blocks)


def _of_readings(items: list[OwnedReading]) -> tuple[Ids, Block]:
    company_ids, series_ids, readings = zip(*items, strict=True)
    columns = zip(OPTIONAL, zip(*(one.optional for one in readings), strict=True), strict=True)
    block = Block(
        series_id=np.array(series_ids, dtype=np.int32),
        at=np.array([one.at for one in readings], dtype=np.int64),
        value=np.array([one.value for one in readings], dtype=np.float64),
        optional={
            column.name: np.array(cells, dtype=column.dtype)
            for column, cells in columns
            if cells.count(None) < len(cells)
        },
    )
    return np.array(company_ids, dtype=np.int32), block
