"""The parts of the service that the surfaces of readings need."""

from dataclasses import dataclass

from aiohttp import web

from tidemark.readings.log.append import Appender
from tidemark.readings.statistics import StatisticsQuery


@dataclass(frozen=True)
class ReadingParts:
    """How a process writes readings and queries their statistics."""

    appender: Appender
    statistics: StatisticsQuery


READINGS = web.AppKey("readings", ReadingParts)
