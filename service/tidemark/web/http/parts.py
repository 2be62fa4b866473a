"""What web analytics needs from the service behind it."""

from dataclasses import dataclass

from aiohttp import web

from tidemark.web.addresses import Addresses
from tidemark.web.countries import Countries
from tidemark.web.visitors import Visitors
from tidemark.web.writer import WebWriter


@dataclass(frozen=True)
class WebParts:
    """What a process needs to store page views and to identify visitors."""

    writer: WebWriter
    visitors: Visitors
    addresses: Addresses
    countries: Countries


WEB = web.AppKey("web", WebParts)
