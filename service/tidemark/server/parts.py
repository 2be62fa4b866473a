"""The parts of one process of the service, by domain."""

from dataclasses import dataclass

from tidemark.catalog.memory import Memory
from tidemark.coldchain.operation_writer import OperationWriter
from tidemark.http.core import Core
from tidemark.readings.http.parts import ReadingParts
from tidemark.web.http.parts import WebParts


@dataclass(frozen=True)
class Parts:
    """What one process is made of; each surface gets the parts of its domain."""

    core: Core
    memory: Memory
    readings: ReadingParts
    operations: OperationWriter
    web: WebParts
