"""Recognizes bots and browser families by their user agents, from lists that others maintain."""

import re
from functools import cache, lru_cache
from importlib.metadata import distribution
from pathlib import Path

import orjson
import ua_parser

MAX_USER_AGENT = 500
"""Number of characters that are examined; the rest is ignored."""
REMEMBERED = 10_000
OTHER = "Other"


def is_bot(user_agent: str) -> bool:
    """Whether a user agent is that of a known bot, crawler or tool."""
    return _is_bot(user_agent[:MAX_USER_AGENT])


def browser(user_agent: str) -> str:
    """The browser family, such as `Chrome` or `Mobile Safari`; `Other` if unknown."""
    return _browser(user_agent[:MAX_USER_AGENT])


@lru_cache(maxsize=REMEMBERED)
def _is_bot(user_agent: str) -> bool:
    return any(pattern.search(user_agent) for pattern in _bots())


@cache
def _bots() -> list[re.Pattern[str]]:
    # Read without importing the package, which reads the list in the locale's encoding and fails in some locales.
    file = distribution("crawler-user-agents").locate_file("crawleruseragents/crawler-user-agents.json")
    return [re.compile(bot["pattern"]) for bot in orjson.loads(Path(str(file)).read_bytes())]


@lru_cache(maxsize=REMEMBERED)
def _browser(user_agent: str) -> str:
    # Cached here, because the parser's own cache holds whole results, of which the family is a small part.
    found = ua_parser.parse_user_agent(user_agent)
    return OTHER if found is None else found.family
