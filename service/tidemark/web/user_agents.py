"""What a user agent is: a bot, or a browser of some family. Both from lists that others maintain."""

import re
from functools import cache, lru_cache
from importlib.metadata import distribution
from pathlib import Path

import orjson
import ua_parser

MAX_USER_AGENT = 500
"""Characters that are looked at."""
REMEMBERED = 10_000
OTHER = "Other"


def is_bot(user_agent: str) -> bool:
    """Whether it is one of the known bots, crawlers and tools."""
    return _is_bot(user_agent[:MAX_USER_AGENT])


def browser(user_agent: str) -> str:
    """The browser's family, such as `Chrome` or `Mobile Safari`; `Other` where it is not known."""
    return _browser(user_agent[:MAX_USER_AGENT])


@lru_cache(maxsize=REMEMBERED)
def _is_bot(user_agent: str) -> bool:
    return any(pattern.search(user_agent) for pattern in _bots())


@cache
def _bots() -> list[re.Pattern[str]]:
    # The list without its package, which reads it in the locale's encoding, and so cannot be imported in some.
    file = distribution("crawler-user-agents").locate_file("crawleruseragents/crawler-user-agents.json")
    return [re.compile(bot["pattern"]) for bot in orjson.loads(Path(str(file)).read_bytes())]


@lru_cache(maxsize=REMEMBERED)
def _browser(user_agent: str) -> str:
    # Remembered here: the parser's own memory is for whole results, of which the family is a small part.
    found = ua_parser.parse_user_agent(user_agent)
    return OTHER if found is None else found.family
