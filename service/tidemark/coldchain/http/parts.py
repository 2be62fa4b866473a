"""What the cold-chain API needs from the service behind it."""

from aiohttp import web

from tidemark.coldchain.operation_writer import OperationWriter

OPERATIONS = web.AppKey("operations", OperationWriter)
