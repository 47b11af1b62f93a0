"""Which columns are compared, as what, and what is bad input instead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelship.core.config import LoadedConfig, parse_config
from modelship.core.errors import BadInput
from modelship.core.records import MAX_RECORD_BYTES, ColumnDrift, DriftReportRecord, encode
from modelship.data.drift.columns import Common, Header, Plan, Side, match, plan
from modelship.data.drift.methods import check_methods
from modelship.data.drift.picture import LONGEST_LABEL, MOST_LABELS, picture
from modelship.data.drift.report import LONGEST_NAME, MOST_COLUMNS, fitting
from modelship.data.drift.values import Categories, Numbers, numbers
from modelship.data.tables.profile import profile
from modelship.data.tables.reader import MixedColumn, TableReader

settings.register_profile("patient", deadline=None)  # a busy machine is not a failure
settings.load_profile("patient")

ROWS = 60


@dataclass
class Held:
    """A table in memory."""

    table: pa.Table
    kind: str = "memory"
    is_columnar: bool = True

    def columns(self) -> list[str]:
        return list(self.table.column_names)

    def schema(self) -> pa.Schema:
        return self.table.schema

    def rows(self) -> int:
        return int(self.table.num_rows)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        yield from self.table.select(list(columns)).to_batches()

    def mixed(self) -> Mapping[str, MixedColumn]:
        return {}


def configured(drift: str = "{}", data: str = "{}") -> LoadedConfig:
    text = f"model: flights\ndata: {data}\ndrift: {drift}\n"
    return parse_config(text.encode(), "modelship.yaml", Path())


def side(name: str, columns: Mapping[str, Any], loaded: LoadedConfig) -> Side:
    reader = TableReader(name, Held(pa.table(dict(columns))))
    return Side(name, profile(reader, sample=None, seed=0, max_values=loaded.config.drift.max_categories))


def planned(reference: Mapping[str, Any], current: Mapping[str, Any], drift: str = "{}", data: str = "{}") -> Plan:
    loaded = configured(drift, data)
    common = match(Header("train", tuple(reference)), Header("holdout", tuple(current)), loaded)
    return plan(common, side("train", reference, loaded), side("holdout", current, loaded), loaded)


def kinds(found: Plan) -> dict[str, str]:
    return {column.name: column.kind for column in found.columns}


def reasons(found: Plan) -> dict[str, str]:
    return {entry.column: entry.reason for entry in found.skipped}


def refused(reference: Mapping[str, Any], current: Mapping[str, Any], drift: str = "{}", data: str = "{}") -> list[str]:
    with pytest.raises(BadInput) as caught:
        planned(reference, current, drift, data)
    return [str(problem) for problem in caught.value.problems]


MEASURED = [float(number) * 1.1 for number in range(ROWS)]
GOOD: dict[str, Any] = {"temp": MEASURED}


# By name -------------------------------------------------------------------------------------------------------------------------


def test_a_column_that_the_current_table_lacks_is_bad_input() -> None:
    found = refused({**GOOD, "a": MEASURED, "b": MEASURED}, GOOD)
    assert found == [
        "holdout: lacks 2 columns of train: `a`, `b`. Add what is missing, or set `drift.columns: {a: ignore}`.",
    ]
    assert reasons(planned({**GOOD, "a": MEASURED}, GOOD, "{columns: {a: ignore}}")) == {"a": "ignored"}


def test_a_new_column_is_left_out_and_said() -> None:
    found = planned(GOOD, {**GOOD, "new": MEASURED})
    assert (kinds(found), reasons(found)) == ({"temp": "numerical"}, {"new": "not in the reference"})


def test_the_key_is_no_feature_and_may_be_absent() -> None:
    assert reasons(planned({**GOOD, "id": list(range(ROWS))}, GOOD, data="{key: id}")) == {"id": "names the rows"}


def test_tables_without_a_common_column_are_bad_input() -> None:
    assert refused({"a": [1.0]}, {"b": [1.0]}) == ["holdout: has no column in common with train. Are these the right tables?"]


def test_names_that_stand_twice_are_bad_input() -> None:
    with pytest.raises(BadInput) as caught:
        match(Header("train", ("a", "b", "a")), Header("holdout", ("a", "b")), configured())
    assert str(caught.value) == "train: has more than one column `a`. Give each column a name of its own."


def test_a_table_without_columns_is_bad_input() -> None:
    with pytest.raises(BadInput, match="has no columns"):
        match(Header("train", ()), Header("holdout", ("a",)), configured())


@pytest.mark.parametrize("key", ["data.target", "drift.prediction"])
def test_a_target_that_a_table_lacks_is_bad_input(key: str) -> None:
    section, _, name = key.partition(".")
    given_ = {"drift": "{}", "data": "{}", section: f"{{{name}: tmp}}"}
    found = refused(GOOD, GOOD, **given_)
    assert found == [
        f"modelship.yaml:{2 if section == 'data' else 3}: `{key}`: {table} has no column `tmp`. Did you mean `temp`? "
        f"To do without, drop `{key}`."
        for table in ("train", "holdout")
    ]
    # What one table has can be ignored, and what none has is no column to ignore.
    found = refused({**GOOD, "tmp": [1.0] * len(next(iter(GOOD.values())))}, GOOD, **given_)
    assert any("no column `tmp`" in problem and "set `drift.columns: {tmp: ignore}`." in problem for problem in found)


def test_a_target_that_is_ignored_may_be_absent() -> None:
    found = planned({**GOOD, "late": [True, False] * 30}, GOOD, "{columns: {late: ignore}}", "{target: late}")
    assert reasons(found) == {"late": "ignored"}


def test_an_unknown_column_in_the_configuration_is_bad_input() -> None:
    assert refused(GOOD, GOOD, "{columns: {tenp: ignore}}") == [
        "modelship.yaml:3: `drift.columns`: neither table has a column `tenp`. Did you mean `temp`?"
    ]


# By value ------------------------------------------------------------------------------------------------------------------------

WHEN = [datetime(2026, 1, 1) + timedelta(hours=hour) for hour in range(ROWS)]


@pytest.mark.parametrize("empty", ["train", "holdout"])
def test_a_table_without_rows_is_bad_input(empty: str) -> None:
    nothing = {"temp": pa.array([], pa.float64())}
    tables = (nothing, GOOD) if empty == "train" else (GOOD, nothing)
    assert refused(*tables) == [f"{empty}: has no rows. Was it written completely?"]


@pytest.mark.parametrize("values", [pa.nulls(ROWS), pa.nulls(ROWS, pa.float64()), [float("nan")] * ROWS, pa.nulls(ROWS, pa.string())])
def test_a_column_without_values_is_bad_input(values: Any) -> None:
    assert refused({**GOOD, "wind": MEASURED}, {**GOOD, "wind": values}) == [
        "holdout: `wind` has no values at all. Fill it, or set `drift.columns: {wind: ignore}`."
    ]


@pytest.mark.parametrize("infinite", [float("inf"), float("-inf")])
def test_an_infinite_value_is_bad_input(infinite: float) -> None:
    assert refused({"temp": [*MEASURED[1:], infinite]}, GOOD) == [
        "train: `temp` holds 1 infinite value. Clean it, or set `drift.columns: {temp: ignore}`."
    ]


@pytest.mark.parametrize(
    ("values", "what"), [([str(v) for v in MEASURED], "text"), ([True, False] * 30, "true or false"), (WHEN, "a time")]
)
def test_a_column_of_another_type_is_bad_input(values: Any, what: str) -> None:
    assert refused(GOOD, {"temp": values}) == [
        f"holdout: `temp` is {what} here and a number in train. Give it one type, or set `drift.columns: {{temp: ignore}}`."
    ]


def test_whole_numbers_and_fractions_are_both_numbers() -> None:
    whole = pa.array(np.arange(ROWS) % 11, pa.int16())
    assert kinds(planned({"temp": whole}, {"temp": MEASURED})) == {"temp": "numerical"}
    assert kinds(planned({"temp": [Decimal(number) for number in range(ROWS)]}, {"temp": MEASURED})) == {"temp": "numerical"}


def test_a_time_zone_in_one_table_alone_is_bad_input() -> None:
    aware = [moment.replace(tzinfo=UTC) for moment in WHEN]
    assert refused({"at": WHEN, **GOOD}, {"at": aware, **GOOD}) == [
        "holdout: `at` has the time zone UTC here and no time zone in train. Write both in one, or set `drift.columns: {at: ignore}`."
    ]


def test_a_problem_of_what_is_no_file_names_no_file() -> None:
    with pytest.raises(BadInput) as caught:
        match(Header("answer to `WAREHOUSE`", ("a", "a"), is_file=False), Header("holdout", ("a",)), configured())
    (problem,) = caught.value.problems
    assert (problem.path, problem.message) == (None, "answer to `WAREHOUSE`: has more than one column `a`.")


def test_every_problem_is_told_at_once() -> None:
    before = {"a": MEASURED, "b": MEASURED, "c": MEASURED}
    after = {"a": [float("inf"), *MEASURED[1:]], "b": pa.nulls(ROWS), "c": MEASURED}
    assert len(refused(before, after)) == 2


def test_times_are_left_out_unless_asked_for() -> None:
    table = {**GOOD, "at": WHEN, "on": [date(2026, 1, 1) + timedelta(days=n) for n in range(ROWS)]}
    assert reasons(planned(table, table)) == {"at": "time moves on by nature", "on": "time moves on by nature"}
    found = planned(table, table, "{columns: {at: {kind: numerical}, on: {kind: numerical}}}")
    assert kinds(found) == {"temp": "numerical", "at": "numerical", "on": "numerical"}
    values = {column.name: column.values for column in found.columns}
    seconds = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    assert (values["at"].reference[1], values["on"].reference[1]) == (seconds + 3600, seconds + 86400)


def test_durations_are_seconds_whatever_their_unit() -> None:
    lengths = pa.chunked_array([pa.array([timedelta(minutes=n) for n in range(ROWS)])])
    found = numbers(lengths.cast(pa.duration("ms")), lengths.cast(pa.duration("s")))
    assert list(found.reference) == list(found.current) == [60.0 * n for n in range(ROWS)]


def test_text_with_too_many_values_is_counted_and_said() -> None:
    table = {**GOOD, "note": [f"note {n % 30}" for n in range(ROWS)]}
    assert reasons(planned(table, table, "{max-categories: 29}")) == {"note": "text: more than 29 different values"}
    assert kinds(planned(table, table, "{max-categories: 30}"))["note"] == "categorical"
    asked = "{max-categories: 29, columns: {note: {kind: categorical}}}"
    assert kinds(planned(table, table, asked))["note"] == "categorical"


def test_text_that_names_rows_is_left_out() -> None:
    table = {**GOOD, "name": [f"name {n}" for n in range(ROWS)]}
    assert reasons(planned(table, table)) == {"name": "text: every value is another"}


def test_a_flood_of_new_categories_is_compared() -> None:
    before, after = {"carrier": ["UA", "AA"] * 30}, {"carrier": [f"X{n}" for n in range(ROWS)]}
    assert kinds(planned(before, after, "{max-categories: 20}")) == {"carrier": "categorical"}


def test_few_different_numbers_are_categories() -> None:
    table = {"five": pa.array(np.arange(ROWS) % 5), "six": pa.array(np.arange(ROWS) % 6), "half": pa.array(np.arange(ROWS) % 2 / 2)}
    assert kinds(planned(table, table)) == {"five": "categorical", "six": "numerical", "half": "categorical"}
    assert kinds(planned(table, table, "{columns: {five: {kind: numerical}, six: {kind: categorical}}}")) == {
        "five": "numerical",
        "six": "categorical",
        "half": "categorical",
    }


def test_a_method_for_numbers_alone_says_what_the_values_are() -> None:
    table = {**GOOD, "five": pa.array(np.arange(ROWS) % 5)}
    assert kinds(planned(table, table, "{columns: {five: {method: ks}}}"))["five"] == "numerical"
    assert kinds(planned(table, table, "{columns: {five: {method: psi}}}"))["five"] == "categorical"


def test_numbers_of_rows_are_left_out_and_wide_ones_are_not() -> None:
    draw = np.random.default_rng(0)
    count = 2000
    table = {
        "row": np.arange(count) + 7,
        "gaps": np.cumsum(draw.integers(1, 9, count)),
        "price": draw.choice(10_000_000, count, replace=False),
        "measured": draw.normal(size=count),
    }
    found = planned(table, table)
    assert reasons(found) == dict.fromkeys(("row", "gaps"), "every value is another; set its `kind` to compare it")
    assert kinds(found) == {"price": "numerical", "measured": "numerical"}
    assert kinds(planned(table, table, "{columns: {row: {kind: numerical}}}"))["row"] == "numerical"


def test_a_constant_is_left_out_only_where_it_stays_the_same() -> None:
    assert reasons(planned({**GOOD, "one": [1.5] * ROWS}, {**GOOD, "one": [1.5] * ROWS})) == {
        "one": "the same value in every row looked at"
    }
    assert reasons(planned({**GOOD, "one": ["x"] * ROWS}, {**GOOD, "one": ["x"] * ROWS})) == {
        "one": "the same value in every row looked at"
    }
    assert "one" in kinds(planned({**GOOD, "one": [1.5] * ROWS}, {**GOOD, "one": [2.5] * ROWS}))
    assert "one" in kinds(planned({**GOOD, "one": [1.5] * ROWS}, {**GOOD, "one": [1.5] * (ROWS - 1) + [None]}))


def test_nested_values_are_left_out() -> None:
    table = {**GOOD, "tags": [["a"]] * ROWS}
    assert list(reasons(planned(table, table))) == ["tags"]


def test_nothing_to_compare_is_bad_input() -> None:
    (problem,) = refused({"one": [1] * ROWS}, {"one": [1] * ROWS})
    assert problem.startswith(
        "holdout: has no column that could be compared with train (`one`: the same value in every row looked at)."
    )


def test_a_method_that_does_not_fit_the_column_is_bad_input() -> None:
    (problem,) = refused(GOOD, GOOD, "{columns: {temp: {method: chisquare}}}")
    assert "the column is numerical, and `chisquare` is for categorical ones. Use one of `wasserstein`" in problem


def test_text_is_never_a_number() -> None:
    table = {"carrier": ["UA", "AA"] * 30}
    (problem,) = refused(table, table, "{columns: {carrier: {kind: numerical}}}")
    assert "is text and cannot be compared as numbers" in problem


@pytest.mark.parametrize(
    ("drift", "told"),
    [
        ("{numerical: {method: waserstein}}", "`waserstein` is no method of Evidently. Did you mean `wasserstein`?"),
        ("{categorical: {method: ks}}", "`ks` is for numerical columns."),
        ("{columns: {temp: {method: PSI}}}", "`PSI` is no method of Evidently."),
        ("{columns: {temp: {method: ks, kind: categorical}}}", "`ks` is for numerical columns."),
        ("{numerical: {method: empirical_mmd}}", "Set `drift.sample` to 2000 or less."),
        ("{numerical: {method: perc_text_content_drift}}", "is no method of Evidently."),
    ],
)
def test_a_method_that_cannot_be_is_bad_input(drift: str, told: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_methods(configured(drift))
    assert told in str(caught.value)
    assert str(caught.value).startswith("modelship.yaml:3: ")


def test_a_method_that_can_be_is_none() -> None:
    check_methods(configured("{numerical: {method: psi}, categorical: {method: TVD}, columns: {a: {method: ks}, b: ignore}}"))
    check_methods(configured("{numerical: {method: empirical_mmd}, sample: 2000}"))


# As categories -------------------------------------------------------------------------------------------------------------------


def test_whole_numbers_and_fractions_are_the_same_categories() -> None:
    found = planned({"code": pa.array([1, 2, None] * 20)}, {"code": pa.array([1.0, 2.0, float("nan")] * 20)})
    (column,) = found.columns
    assert isinstance(column.values, Categories)
    assert column.values.labels == ("1", "2")
    assert [list(counts) for counts in column.values.counts()] == [[20, 20], [20, 20]]


TWO_DAYS = [datetime(2026, 1, day) for day in (1, 2)] * 30
STORED: dict[str, tuple[pa.Array, pa.Array]] = {
    "decimals of other scales": (
        pa.array([Decimal("1.5"), Decimal("2")] * 30, pa.decimal128(4, 1)),
        [Decimal("1.500"), Decimal("2.000")],
    ),
    "decimals and whole numbers": (pa.array([Decimal("1.00"), Decimal("2.00")] * 30), [1, 2]),
    "decimals and fractions": (pa.array([Decimal("1.50"), Decimal("2.00")] * 30), [1.5, 2.0]),
    "zeros of both signs": (pa.array([0.0, 1.0] * 30), [-0.0, 1.0]),
    "units of times": (pa.array(TWO_DAYS, pa.timestamp("ms")), pa.array(TWO_DAYS, pa.timestamp("ns"))),
    "zones": (pa.array(TWO_DAYS, pa.timestamp("us", "UTC")), pa.array(TWO_DAYS, pa.timestamp("us", "Europe/Berlin"))),
    "dates and times": (pa.array([day.date() for day in TWO_DAYS]), pa.array(TWO_DAYS)),
    "times of a day": (pa.array([7200, 3600] * 30, pa.int32()).cast(pa.time32("s")), [time(2), time(1)]),
    "units of durations": (pa.array([60, 120] * 30, pa.duration("s")), pa.array([60_000, 120_000] * 30, pa.duration("ms"))),
}


@pytest.mark.parametrize(("reference", "current"), STORED.values(), ids=STORED)
def test_how_a_value_is_stored_makes_no_new_category(reference: pa.Array, current: Any) -> None:
    stored = current if isinstance(current, pa.Array) else pa.array(current * 30)
    found = planned({"code": reference}, {"code": stored}, "{columns: {code: {kind: categorical}}}")
    (column,) = found.columns
    assert isinstance(column.values, Categories)
    assert [list(counts) for counts in column.values.counts()] == [[30, 30], [30, 30]]


# Pictures ------------------------------------------------------------------------------------------------------------------------

codes = st.lists(st.integers(0, 40), min_size=1, max_size=200).map(lambda found: np.array(found, dtype=np.intp))
floats = st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=200).map(np.array)


@given(codes, codes)
def test_a_picture_of_categories_holds_every_row_once(reference: Any, current: Any) -> None:
    drawn = picture(Categories(tuple(f"category {n}" for n in range(41)), reference, current))
    assert len(drawn.labels) == len(drawn.shares[0]) == len(drawn.shares[1]) <= MOST_LABELS
    assert [sum(side) for side in drawn.shares] == pytest.approx([1, 1], abs=1e-4)


@given(floats, floats)
def test_a_picture_of_numbers_holds_every_row_once(reference: Any, current: Any) -> None:
    drawn = picture(Numbers(reference, current))
    assert len(drawn.labels) == len(drawn.shares[0]) == len(drawn.shares[1]) <= MOST_LABELS
    assert [sum(side) for side in drawn.shares] == pytest.approx([1, 1], abs=1e-4)


def test_a_picture_shows_the_largest_categories_of_either_side() -> None:
    labels = tuple("abcdefghijklmnop")
    drawn = picture(Categories(labels, np.arange(15), np.array([15] * 15)))
    assert drawn.labels[0] == "p"
    assert drawn.labels[-1] == "5 others"
    assert drawn.shares[1][0] == 1.0


def test_a_long_category_is_cut() -> None:
    drawn = picture(Categories(("x" * 10_000,), np.zeros(3, dtype=np.intp), np.zeros(3, dtype=np.intp)))
    assert len(drawn.labels[0]) == LONGEST_LABEL


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(90 * 86_400, r"2026-0[1-5]-\d\d"), (86_400, r"01-31 \d\d:\d\d|02-01 00:00"), (100, r"00:0[01]:\d\d")],
)
def test_times_are_drawn_as_times(seconds: int, written: str) -> None:
    start = np.datetime64("2026-01-31", "s").astype(np.int64)
    values = np.linspace(start, start + seconds, 101)
    labels = picture(Numbers(values, values), are_times=True).labels
    assert len(set(labels)) == 10
    assert all(re.fullmatch(written, label) for label in labels)


@given(floats, floats)
def test_no_number_is_cut(reference: Any, current: Any) -> None:
    assert all(len(label) <= 12 for label in picture(Numbers(reference, current)).labels)


def test_a_far_value_does_not_flatten_the_picture() -> None:
    values = np.linspace(0, 100, 500)
    drawn = picture(Numbers(values, np.append(values, 1e12)))
    assert max(drawn.shares[1]) < 0.2


def test_columns_are_compared_in_the_tables_order() -> None:
    common = match(Header("train", ("b", "a")), Header("holdout", ("a", "b", "c")), configured())
    assert common == Common(("b", "a"), common.skipped)


# Records -------------------------------------------------------------------------------------------------------------------------


def test_a_wide_table_fits_the_record() -> None:
    shares = tuple([1 / 12] * 12)
    columns = tuple(
        ColumnDrift(
            column=f"{number:05}{'x' * (LONGEST_NAME - 5)}",
            kind="categorical",
            drifted=number < 3000,
            method="jensenshannon",
            distance=0.123456789012345,
            distance_error=0.123456789012345,
            threshold=0.1,
            p_value=1.23456789012345e-100,
            new_values=tuple("y" * LONGEST_LABEL for _ in range(5)),
            labels=tuple("z" * LONGEST_LABEL for _ in range(12)),
            shares=(shares, shares),
            findings=("500 new categories in 25% of the values",) * 3,
        )
        for number in range(5000)
    )
    told, notices = fitting(columns)
    assert [column.column for column in told] == [column.column for column in columns[:MOST_COLUMNS]]
    assert told[0] == columns[0]
    assert (told[-1].labels, told[-1].distance) == ((), columns[0].distance)
    assert notices == ("3,000 compared columns more than the record lists, of which 1,000 drifted",)
    assert len(encode(DriftReportRecord(status="warn", summary="", columns=told))) < MAX_RECORD_BYTES
    assert fitting(columns[:100]) == (columns[:100], ())
