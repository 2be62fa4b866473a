"""Structured logs on standard error: for people on a terminal, JSON lines elsewhere."""

import logging
import sys

import orjson
import structlog

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_logs(level: str) -> None:
    """Log from this level up; aiohttp's and asyncio's own messages come the same way."""
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if sys.stderr.isatty():
        render: list[structlog.typing.Processor] = [structlog.dev.ConsoleRenderer()]
    else:
        render = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(lambda event, **_: orjson.dumps(event, default=str).decode()),
        ]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # What aiohttp itself logs are requests that are not HTTP: any stranger could fill the log with their tracebacks.
    logging.getLogger("aiohttp.server").setLevel(LEVELS[level] if level == "debug" else logging.CRITICAL)
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
