"""Shares before and after, drawn in characters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelship.reporting.columns import width
from modelship.reporting.histogram import MOST_LABELS, Distribution, lines, percent

shares = st.floats(allow_nan=False) | st.sampled_from([0.0, 1e-9, 0.004, 0.5, 1.0])


@st.composite
def distributions(draw: st.DrawFn) -> Distribution:
    count = draw(st.integers(1, MOST_LABELS))
    labels = tuple(draw(st.lists(st.text(max_size=30), min_size=count, max_size=count)))
    before, after = (tuple(draw(st.lists(shares, min_size=count, max_size=count))) for _ in range(2))
    return Distribution(draw(st.text(max_size=60)), draw(st.sampled_from(["numerical", "categorical"])), labels, before, after)


TEMP = Distribution("temp", "numerical", ("10.5", "20.5", "30.5", "40.5"), (0.1, 0.4, 0.4, 0.1), (0.0, 0.004, 0.196, 0.8))
CARRIER = Distribution("carrier", "categorical", ("UA", "EV", "ZZ"), (0.6, 0.4, 0.0), (0.55, 0.05, 0.4))


def test_numbers_have_their_ends_and_where_they_moved_most() -> None:
    assert TEMP.lines() == [
        "temp, at 40.5: 10% → 80%",
        "  reference │▁▁▄▄▄▄▁▁│",
        "  current   │  ▁▁▂▂██│",
        "             10.5 … 40.5",
    ]


def test_ends_stand_under_the_outer_bars_where_they_fit() -> None:
    eight = tuple(str(number) for number in range(8))
    (*_, last) = Distribution("hour", "numerical", eight, (0.125,) * 8, (0.125,) * 8).lines()
    assert last == "             0              7"
    (*_, last) = Distribution("constant", "numerical", ("5",), (1.0,), (1.0,)).lines()
    assert last == "             5"


def test_categories_say_which_moved_most() -> None:
    assert CARRIER.lines() == [
        "carrier",
        "  reference │██▅▅  │",
        "  current   │▇▇▁▁▅▅│",
        "             ZZ: 0% → 40%, EV: 40% → 5%, UA: 60% → 55%",
    ]


def test_categories_that_stayed_are_not_said_to_have_moved() -> None:
    stayed = Distribution("origin", "categorical", ("JFK", "LGA", "EWR"), (0.3, 0.4, 0.3), (0.3, 0.5, 0.2))
    assert stayed.moved(200) == "LGA: 40% → 50%, EWR: 30% → 20%"


def test_as_many_are_drawn_as_asked_for() -> None:
    assert lines([TEMP, CARRIER], 1) == TEMP.lines()
    assert lines([TEMP, CARRIER], 9) == [*TEMP.lines(), *CARRIER.lines()]


@given(distributions())
def test_both_sides_have_one_scale_and_no_row_is_left_out(drawn: Distribution) -> None:
    _, reference, current, *_ = drawn.lines()
    assert width(reference) == width(current)
    for side, told in ((drawn.reference, reference), (drawn.current, current)):
        bars = told.split("│")[1][::2]
        assert len(bars) == len(side)
        assert [bar != " " for bar in bars] == [share > 0 for share in side]
    for before, after, one, other in zip(drawn.reference, drawn.current, reference[13::2], current[13::2], strict=False):
        if min(before, 1) <= min(after, 1) and one not in " │":
            assert one <= other
    assert all(width(told) <= 80 for told in drawn.lines())
    assert all(0 <= height <= 1 for side in drawn.heights() for height in side)


@pytest.mark.parametrize(
    ("labels", "reference", "current"),
    [((), (), ()), (("a",), (1.0,), ()), (("a",), (1.0, 0.0), (1.0,)), (("a",) * 13, (0.1,) * 13, (0.1,) * 13)],
)
def test_what_does_not_fit_together_is_not_drawn(
    labels: tuple[str, ...], reference: tuple[float, ...], current: tuple[float, ...]
) -> None:
    assert not Distribution("x", "numerical", labels, reference, current).is_drawable


@pytest.mark.parametrize(("share", "told"), [(0.0, "0%"), (1e-9, "<1%"), (0.004, "<1%"), (0.005, "<1%"), (0.12, "12%"), (1.0, "100%")])
def test_something_does_not_read_as_nothing(share: float, told: str) -> None:
    assert percent(share) == told
