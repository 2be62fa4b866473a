"""What web analytics needs of the service behind it."""

from dataclasses import dataclass

from aiohttp import web

from tidemark.web.addresses import Addresses
from tidemark.web.countries import Countries
from tidemark.web.visitors import Visitors
from tidemark.web.writer import WebWriter


@dataclass(frozen=True)
class WebParts:
    """The ways of one process to page views, and what tells visitors apart."""

    writer: WebWriter
    visitors: Visitors
    addresses: Addresses
    countries: Countries


WEB = web.AppKey("web", WebParts)
