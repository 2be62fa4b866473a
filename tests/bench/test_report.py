"""How the benchmarks write what they found."""

from matplotlib.ticker import StrMethodFormatter

from bench.report import TICKS, rounds


def test_rounds_and_numbers_read_as_people_write_them() -> None:
    assert [rounds(1), rounds(3)] == ["1 round", "3 rounds"]
    axis = StrMethodFormatter(TICKS)
    assert [axis(tick) for tick in (0, 0.1 * 3, 2.5, 10_000, 1_000_000)] == ["0", "0.3", "2.5", "10,000", "1,000,000"]
