"""What the cold-chain API needs of the service behind it."""

from aiohttp import web

from tidemark.coldchain.operation_writer import OperationWriter

OPERATIONS = web.AppKey("operations", OperationWriter)
