"""What a user agent is: a bot, or a browser of some family. Both from lists that others maintain."""

from functools import lru_cache

import crawleruseragents
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
    return bool(crawleruseragents.is_crawler(user_agent))


@lru_cache(maxsize=REMEMBERED)
def _browser(user_agent: str) -> str:
    # Remembered here: the parser's own memory is for whole results, of which the family is a small part.
    found = ua_parser.parse_user_agent(user_agent)
    return OTHER if found is None else found.family
