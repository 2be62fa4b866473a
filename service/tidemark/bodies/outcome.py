"""The outcome of a body with many records: what was stored, what was rejected and why."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

LISTED = 100
"""Number of rejections that are listed with their reasons; further ones are only counted."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a record was rejected; `index` is its position in the body, counted from 0."""

    index: int
    field: str
    message: str
    original: str = ""
    """The beginning of the record as sent, where the format keeps it."""


@dataclass(slots=True)
class Outcome:
    """The outcome of a body so far: how many records are durable, and how many were rejected.

    Pieces are counted whole and in order, so the counts are those of the beginning of the body, without gaps.
    """

    accepted: int = 0
    rejected: int = 0
    skipped: int = 0
    rejections: list[Rejection] = field(default_factory=list)

    def note(self, rejections: Sequence[Rejection], rejected: int) -> None:
        """Count rejected records, and list the first of them."""
        self.rejected += rejected
        self.rejections += rejections[: LISTED - len(self.rejections)]

    def document(self) -> dict[str, Any]:
        """The outcome as its sender is told."""
        errors = [{"index": one.index, "field": one.field, "message": one.message} for one in self.rejections]
        return {"accepted": self.accepted, "rejected": self.rejected, "errors": errors}

    def add(self, following: "Outcome") -> None:
        """Add the outcome of the next part of the body."""
        self.accepted += following.accepted
        self.skipped += following.skipped
        self.note(following.rejections, following.rejected)


class BodyError(ValueError):
    """The body cannot be read any further; what came before may have been stored."""


class BodyTooLongError(BodyError):
    """The body is larger than a format that does not stream allows."""


class TooManyRejectionsError(BodyError):
    """So many records were rejected that the rest of the body is not read."""

    def __init__(self, rejected: int, first: Rejection) -> None:
        where = f"{first.field}: " if first.field else ""
        super().__init__(
            f"{rejected} records were rejected, the first of them record {first.index}: {where}{first.message} "
            "The rest of the body was not read."
        )
