"""What the surfaces share: the parts of the service behind them."""

from dataclasses import dataclass

from aiohttp import web

from service.access import Access
from service.api.answer import AnswerCache
from service.api.room import Room
from service.ingest.addresses import Addresses
from service.ingest.bulk import BulkWriter
from service.ingest.countries import Countries
from service.ingest.operations import OperationWriter
from service.ingest.visitors import Visitors
from service.ingest.web_writer import WebWriter
from service.ingest.writer import Writer
from service.query.statistics import StatisticsQuery
from service.settings import Settings
from service.storage.database import Database
from service.watch import Watch


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
