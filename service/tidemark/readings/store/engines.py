"""The store of each engine."""

from tidemark.readings.store.rows import RowStore
from tidemark.readings.store.store import Store

STORES: dict[str, Store] = {"postgres": RowStore(), "timescale": RowStore()}
