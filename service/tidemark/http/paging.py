"""Pages of a list: `page` from 1, `page_size` from 1 to 1000."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidemark.base import rules
from tidemark.base.errors import invalid

MAX_PAGE_SIZE = 1000
DEFAULT_PAGE_SIZE = 100
MAX_PAGE = 10**12


@dataclass(frozen=True, slots=True)
class Page:
    """Which page is asked for."""

    number: int
    size: int

    @property
    def skip(self) -> int:
        """How many items stand before it."""
        return (self.number - 1) * self.size


def parse_page(query: Mapping[str, str], *others: str) -> Page:
    """The page that a query asks for; `others` are its further parameters. Raises TidemarkError."""
    seen: set[str] = set()
    # Only its items repeat what a query repeats.
    for name in (item[0] for item in query.items()):
        if name not in ("page", "page_size", *others):
            raise invalid(name[:100], f"There is no parameter {name[:100]!r} here.")
        if name in seen:
            raise invalid(name, f"{name} is given twice.")
        seen.add(name)
    return Page(
        whole_number(query, "page", 1, MAX_PAGE), whole_number(query, "page_size", DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
    )


def is_paged(query: Mapping[str, str]) -> bool:
    """Whether a query asks for a page at all."""
    return "page" in query or "page_size" in query


def envelope(page: Page, total: int) -> dict[str, Any]:
    """What an answer tells of its pages."""
    pages = -(-total // page.size)
    return {
        "page": page.number,
        "page_size": page.size,
        "total_count": total,
        "total_pages": pages,
        "has_next": page.number < pages,
        "has_previous": page.number > 1,
    }


def whole_number(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    """A parameter that is a whole number from 1 on. Raises TidemarkError."""
    given = query.get(name)
    return default if given is None else rules.whole_number(name, given, most)
