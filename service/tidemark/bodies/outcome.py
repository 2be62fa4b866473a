"""What became of a body with many records: what is stored, what is refused and why."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

LISTED = 100
"""Rejections that are kept with their reasons; the others are counted."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a record of a body was not taken; `index` counts the records of the body from 0."""

    index: int
    field: str
    message: str
    original: str = ""
    """The beginning of the record as it was sent, where the format keeps it."""


@dataclass(slots=True)
class Outcome:
    """What became of a body so far: records that are durable, records that were refused.

    It tells of whole pieces in their order, so what it counts is the beginning of the body, without gaps.
    """

    accepted: int = 0
    rejected: int = 0
    skipped: int = 0
    rejections: list[Rejection] = field(default_factory=list)

    def note(self, rejections: Sequence[Rejection], rejected: int) -> None:
        """Count rejected records; the first of them are listed."""
        self.rejected += rejected
        self.rejections += rejections[: LISTED - len(self.rejections)]

    def document(self) -> dict[str, Any]:
        """What a sender is told of it."""
        errors = [{"index": one.index, "field": one.field, "message": one.message} for one in self.rejections]
        return {"accepted": self.accepted, "rejected": self.rejected, "errors": errors}

    def add(self, following: "Outcome") -> None:
        """Count what became of the part of the body that follows."""
        self.accepted += following.accepted
        self.skipped += following.skipped
        self.note(following.rejections, following.rejected)


class BodyError(ValueError):
    """The body as a whole cannot be read from here on; what came before may have been stored."""


class BodyTooLongError(BodyError):
    """The body is larger than a format that does not stream may be."""


class TooManyRejectionsError(BodyError):
    """So many records of a body were rejected that it is read no further."""

    def __init__(self, rejected: int, first: Rejection) -> None:
        where = f"{first.field}: " if first.field else ""
        super().__init__(
            f"{rejected} records are rejected, the first (record {first.index}) as {where}{first.message} "
            "The rest of the body was not read."
        )
