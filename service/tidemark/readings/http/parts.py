"""What the surfaces of readings need of the service behind them."""

from dataclasses import dataclass

from aiohttp import web

from tidemark.readings.bulk import BulkWriter
from tidemark.readings.statistics import StatisticsQuery
from tidemark.readings.writer import Writer


@dataclass(frozen=True)
class ReadingParts:
    """The ways of one process to readings."""

    writer: Writer
    bulk_writer: BulkWriter
    statistics: StatisticsQuery


READINGS = web.AppKey("readings", ReadingParts)
