"""The split by time."""

import pandas as pd
import pytest

from flight_delay.prepare import split_by_month
from flight_delay.settings import KEY, TIME

SPLIT = {
    "train": ["2013-01", "2013-06"],
    "holdout": ["2013-07", "2013-07"],
    "production": ["2013-08", "2013-12"],
}


def test_what_is_judged_lies_after_what_is_learned(flights: pd.DataFrame) -> None:
    parts = split_by_month(flights, SPLIT)
    assert parts["train"][TIME].max() < parts["holdout"][TIME].min()
    assert parts["holdout"][TIME].max() < parts["production"][TIME].min()


def test_no_flight_is_in_two_parts(flights: pd.DataFrame) -> None:
    parts = split_by_month(flights, SPLIT)
    assert pd.concat(list(parts.values()))[KEY].is_unique


def test_both_ends_of_a_part_are_included(flights: pd.DataFrame) -> None:
    parts = split_by_month(flights, SPLIT)
    assert set(parts["train"][TIME].dt.month) == {1, 2, 3, 4, 5, 6}
    assert set(parts["holdout"][TIME].dt.month) == {7}


@pytest.mark.parametrize(
    ("part", "months", "message"),
    [
        ("holdout", ["2013-06", "2013-07"], "holdout starts in 2013-06, the part before it ends in"),
        ("holdout", ["2013-07", "2013-08"], "production starts in 2013-08"),
        ("production", ["2014-01", "2014-02"], "no flight in it"),
        ("production", ["2013-12", "2013-09"], "no flight in it"),
    ],
)
def test_a_leaking_or_empty_part_is_refused(
    flights: pd.DataFrame, part: str, months: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        split_by_month(flights, {**SPLIT, part: months})
