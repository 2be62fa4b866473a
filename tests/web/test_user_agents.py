"""Bots are recognized as by the package that contains the list."""

import crawleruseragents
from tidemark.web.user_agents import MAX_USER_AGENT, is_bot

from tests.web.test_collect import CHROME, FIREFOX


def test_the_bots_are_those_of_the_list() -> None:
    known = {agent for bot in crawleruseragents.CRAWLER_USER_AGENTS_DATA for agent in bot["instances"]}
    known = {agent for agent in known if len(agent) <= MAX_USER_AGENT}
    assert len(known) > 1000
    for agent in (*known, CHROME, FIREFOX):
        assert is_bot(agent) == crawleruseragents.is_crawler(agent), agent
