"""Records with nothing but sensor, timestamp and value that are all valid, as nearly all are: whole columns of texts
become readings without a Python object for each text.
"""

import numpy as np
import polars as pl

from tidemark.base.values import MAX_AHEAD, MAX_VALUE, has_control
from tidemark.readings.wire.instants import parse_epochs, parse_instants
from tidemark.readings.wire.known_names import KnownNames
from tidemark.readings.wire.piece import Piece
from tidemark.readings.wire.records import plain_numbers

_names = KnownNames(lambda sensor: "" if has_control(sensor) else sensor)


def regular_piece(texts: pl.DataFrame, first: int, now: int, unit: str | None) -> Piece | None:
    """The readings of records from the columns `REQUIRED`, as sent; None if any may be invalid, or has an empty field.

    `first` is the position of the first record in the body; `now` and `unit` are as in `to_columns`.
    """
    if any(texts.null_count().row(0)):
        return None
    stamps = texts["timestamp"]
    at, known = parse_instants(stamps) if unit is None else parse_epochs(stamps, unit)
    if not (known & (at >= 0) & (at <= now + MAX_AHEAD)).all():
        return None
    try:
        value = plain_numbers(texts["value"])
    except ValueError:
        return None
    if not (np.abs(value) <= MAX_VALUE).all():
        return None
    names, sensor = _names.look_up(texts["sensor"])
    if "" in names:
        return None
    return Piece(
        names=names,
        sensor=sensor.astype(np.int32),
        at=at,
        value=value,
        index=np.arange(first, first + len(texts), dtype=np.int64),
    )
