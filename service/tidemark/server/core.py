"""What the surfaces share: the parts of the service behind them."""

from dataclasses import dataclass

from aiohttp import web

from tidemark.base.settings import Settings
from tidemark.base.watch import Watch
from tidemark.catalog.access import Access
from tidemark.coldchain.operation_writer import OperationWriter
from tidemark.database.database import Database
from tidemark.http.answer import AnswerCache
from tidemark.http.room import Room
from tidemark.readings.bulk import BulkWriter
from tidemark.readings.statistics import StatisticsQuery
from tidemark.readings.writer import Writer
from tidemark.web.addresses import Addresses
from tidemark.web.countries import Countries
from tidemark.web.visitors import Visitors
from tidemark.web.writer import WebWriter


@dataclass(frozen=True)
class Core:
    """One process's parts of the service."""

    settings: Settings
    database: Database
    access: Access
    writer: Writer
    bulk_writer: BulkWriter
    operation_writer: OperationWriter
    statistics: StatisticsQuery
    cache: AnswerCache
    web_writer: WebWriter
    visitors: Visitors
    addresses: Addresses
    countries: Countries
    room: Room
    watch: Watch


CORE = web.AppKey("core", Core)
