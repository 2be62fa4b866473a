"""The memory of the catalog: bounded, never older than an announced change, and empty while none can be heard."""

import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tidemark.catalog.memory import ENTRY_BYTES, ByKey, ByOrganization, Memory

LIMIT = 4
BYTES = LIMIT * (ENTRY_BYTES + 2 * sys.getsizeof(1))
"""Room for as many pairs of small integers."""
COMPANIES = (1, 2, 3)


def hearing() -> Memory:
    memory = Memory()
    memory.begin()
    return memory


def test_what_is_remembered_is_found_again_by_whose_it_is() -> None:
    memory = hearing()
    sensors: ByOrganization[str, str] = ByOrganization(memory)
    sites: ByKey[str, str] = ByKey(memory)
    sensors.remember(1, {"a": "1a", "b": "1b"}, memory.generation)
    sensors.remember(2, {"a": "2a"}, memory.generation)
    sites.remember(2, "x", "2x", memory.generation)
    assert (dict(sensors.of(1)), dict(sensors.of(2)), dict(sensors.of(3))) == ({"a": "1a", "b": "1b"}, {"a": "2a"}, {})
    assert (sites.get("x"), sites.get("y")) == ("2x", None)


def test_a_change_makes_one_organization_forgotten_in_every_kind() -> None:
    memory = hearing()
    sensors: ByOrganization[str, str] = ByOrganization(memory)
    sites: ByKey[str, str] = ByKey(memory)
    for company in COMPANIES:
        sensors.remember(company, {"a": f"{company}a"}, memory.generation)
        sites.remember(company, f"site{company}", f"{company}x", memory.generation)
    memory.forget(2)
    assert [sensors.of(company).get("a") for company in COMPANIES] == ["1a", None, "3a"]
    assert [sites.get(f"site{company}") for company in COMPANIES] == ["1x", None, "3x"]
    memory.forget()
    assert not any(sensors.of(company) or sites.get(f"site{company}") for company in COMPANIES)


def test_a_look_up_that_crosses_a_change_is_not_remembered() -> None:
    memory = hearing()
    sensors: ByOrganization[str, str] = ByOrganization(memory)
    sites: ByKey[str, str] = ByKey(memory)
    before = memory.generation
    memory.forget(1)  # of whichever organization: the look-up may have read the state before the change
    sensors.remember(1, {"a": "old"}, before)
    sites.remember(2, "x", "old", before)
    assert (dict(sensors.of(1)), sites.get("x")) == ({}, None)


def test_nothing_is_remembered_while_changes_go_unheard() -> None:
    memory = Memory()
    sites: ByKey[str, str] = ByKey(memory)
    sites.remember(1, "x", "before", memory.generation)
    assert sites.get("x") is None
    before = memory.generation
    memory.begin()
    sites.remember(1, "x", "looked up before the first announcement could be heard", before)
    assert sites.get("x") is None
    sites.remember(1, "x", "heard", memory.generation)
    assert sites.get("x") == "heard"
    memory.end()
    sites.remember(1, "y", "after", memory.generation)
    assert (sites.get("x"), sites.get("y")) == (None, None)


ENTRIES = st.dictionaries(st.integers(1, 9), st.integers(1, 1_000), max_size=LIMIT + 2)
STEPS = st.lists(st.tuples(st.sampled_from(("remember", "forget")), st.sampled_from(COMPANIES), ENTRIES), max_size=20)


@given(STEPS)
def test_no_more_is_held_than_the_limit_and_nothing_that_was_not_remembered(steps: list[Any]) -> None:
    memory = hearing()
    nested: ByOrganization[int, int] = ByOrganization(memory, sys.getsizeof, BYTES)
    flat: ByKey[tuple[int, int], int] = ByKey(memory, LIMIT)
    newest: dict[tuple[int, int], int] = {}
    for step, company, entries in steps:
        if step == "forget":
            memory.forget(company)
            newest = {key: value for key, value in newest.items() if key[0] != company}
        else:
            nested.remember(company, entries, memory.generation)
            if len(entries) <= LIMIT:  # if there are more than fit, the memory stays as it is
                newest |= {(company, key): value for key, value in entries.items()}
            for key, value in entries.items():
                flat.remember(company, (company, key), value, memory.generation)
        held = {(company, key): value for company in COMPANIES for key, value in nested.of(company).items()}
        assert len(held) <= LIMIT
        assert held.items() <= newest.items()
        everything = [(company, key) for company in COMPANIES for key in range(10)]
        assert sum(flat.get(key) is not None for key in everything) <= LIMIT


def test_what_fits_is_all_remembered() -> None:
    memory = hearing()
    nested: ByOrganization[int, int] = ByOrganization(memory, sys.getsizeof, BYTES)
    nested.remember(1, {1: 1, 2: 2}, memory.generation)
    nested.remember(2, {1: 1, 2: 2}, memory.generation)
    assert (len(nested.of(1)), len(nested.of(2))) == (2, 2)
    memory.forget(1)  # makes room
    nested.remember(3, {1: 1, 2: 2}, memory.generation)
    assert [len(nested.of(company)) for company in COMPANIES] == [0, 2, 2]
    nested.remember(1, {1: 1}, memory.generation)  # one more than fits
    assert [len(nested.of(company)) for company in COMPANIES] == [1, 0, 0]


def test_what_takes_more_memory_leaves_room_for_fewer() -> None:
    memory = hearing()
    names: ByOrganization[str, int] = ByOrganization(memory, limit=2_000)
    for number in range(100):
        names.remember(1, {f"{number:0300}": number}, memory.generation)
        assert 1 <= len(names.of(1)) <= 4
    names.remember(2, {"a" * 3_000: 1}, memory.generation)  # more than fits at all
    assert not names.of(2)
    memory.forget()
    names.remember(1, {"a": 1}, memory.generation)
    for _ in range(100):
        names.remember(2, {"b": 1}, memory.generation)  # takes no more the second time
    assert (names.of(1), names.of(2)) == ({"a": 1}, {"b": 1})
