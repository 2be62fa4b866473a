"""The parts of the service that the surfaces of readings need."""

from dataclasses import dataclass

from aiohttp import web

from tidemark.readings.bulk import BulkWriter
from tidemark.readings.statistics import StatisticsQuery
from tidemark.readings.writer import Writer


@dataclass(frozen=True)
class ReadingParts:
    """How a process writes readings and queries their statistics."""

    writer: Writer
    bulk_writer: BulkWriter
    statistics: StatisticsQuery


READINGS = web.AppKey("readings", ReadingParts)
