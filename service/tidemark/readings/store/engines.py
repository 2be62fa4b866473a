"""The store of each engine."""

from tidemark.readings.store import columnstore, segments
from tidemark.readings.store.store import Store

STORES: dict[str, Store] = {"postgres": segments, "timescale": columnstore}
