"""Pages of a list: `page` from 1, `page_size` from 1 to 1000."""

from dataclasses import dataclass
from typing import Any

PAGING = ("page", "page_size")
"""The parameters that ask for a page."""
MAX_PAGE_SIZE = 1000
DEFAULT_PAGE_SIZE = 100
MAX_PAGE = 10**12


@dataclass(frozen=True, slots=True)
class Page:
    """The page that is requested."""

    number: int
    size: int

    @property
    def skip(self) -> int:
        """How many items precede it."""
        return (self.number - 1) * self.size


def envelope(page: Page, total: int) -> dict[str, Any]:
    """The `pagination` object of a response."""
    pages = -(-total // page.size)
    return {
        "page": page.number,
        "page_size": page.size,
        "total_count": total,
        "total_pages": pages,
        "has_next": page.number < pages,
        "has_previous": page.number > 1,
    }
