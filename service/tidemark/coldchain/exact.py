"""Exact decimal arithmetic, and quotients that are rounded once."""

from contextlib import AbstractContextManager
from decimal import Context, Decimal, Inexact, localcontext
from fractions import Fraction

_EXACT = Context(prec=1000, traps=[Inexact])

NOTHING = Decimal(0)


def exact() -> AbstractContextManager[Context]:
    """A context in which `+`, `-` and `*` keep all digits; for loops with many operations."""
    return localcontext(_EXACT)


def add(one: Decimal, other: Decimal) -> Decimal:
    """The sum, with all its digits."""
    return _EXACT.add(one, other)


def subtract(one: Decimal, other: Decimal) -> Decimal:
    """The difference, with all its digits."""
    return _EXACT.subtract(one, other)


def multiply(one: Decimal, other: Decimal) -> Decimal:
    """The product, with all its digits."""
    return _EXACT.multiply(one, other)


def percentage(part: Decimal, whole: Decimal) -> float | None:
    """100 × part ÷ whole as the nearest double; None if `whole` is 0."""
    return float(100 * Fraction(part) / Fraction(whole)) if whole else None
