"""The rules of order, by trying every order in which things can happen; see `order_model`."""

from dataclasses import fields

import pytest

from tests.readings.log.order_model import OrderError, Rules, check


def test_with_all_rules_nothing_goes_wrong() -> None:
    assert check(Rules()) > 100_000


@pytest.mark.parametrize("rule", [field.name for field in fields(Rules)])
def test_no_rule_can_be_left_out(rule: str) -> None:
    with pytest.raises(OrderError):
        check(Rules(**{rule: False}))
