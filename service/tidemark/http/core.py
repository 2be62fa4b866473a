"""The parts of the service that every surface needs."""

from dataclasses import dataclass

from aiohttp import web

from tidemark.base.settings import Settings
from tidemark.base.watch import Watch
from tidemark.catalog.access import Access
from tidemark.catalog.directory import Directory
from tidemark.database.database import Database
from tidemark.http.answer import AnswerCache
from tidemark.http.room import Room


@dataclass(frozen=True)
class Core:
    """The parts of one process that no domain owns."""

    settings: Settings
    database: Database
    access: Access
    directory: Directory
    cache: AnswerCache
    room: Room
    watch: Watch


CORE = web.AppKey("core", Core)
