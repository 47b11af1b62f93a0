"""What runs in the team's interpreter: tables, answers, checks, intervals of a team's own metrics."""

from __future__ import annotations

import ast
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelship.training import scoring
from modelship.training.scoring.answers import Answers, as_answers, like_truth, positive_of
from modelship.training.scoring.checks import (
    apart,
    by,
    check_classes,
    check_direction,
    check_finite,
    check_invariance,
    check_probabilities,
    check_same,
    of_type,
    replacements,
    shifted,
    timed,
)
from modelship.training.scoring.models import OwnModel, cast
from modelship.training.scoring.own_metrics import Labelled, OwnMetric, bootstrap, interval_of_mean, own_metric
from modelship.training.scoring.problems import RefusedError
from modelship.training.scoring.tables import Columns, Rows, distinct, plain, read_rows, read_table
from modelship.training.scoring.tasks import kept, score

COLUMNS = Columns("id", "late")
PACKAGE = Path(scoring.__file__).parent


# Standing alone ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.name)
def test_the_package_needs_nothing_of_ours_and_an_old_python(path: Path) -> None:
    import sys

    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
    modules = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    modules += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level]
    roots = {module.partition(".")[0] for module in modules} - set(sys.stdlib_module_names)
    assert roots <= {"numpy", "pandas", "mlflow", "sklearn"}
    assert not [node for node in tree.body if isinstance(node, ast.Import) and {a.name for a in node.names} & {"mlflow", "sklearn"}]


# Tables --------------------------------------------------------------------------------------------------------------------------


def frame(rows: int = 40) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "id": np.arange(rows),
            "distance": random.integers(100, 2000, rows),
            "carrier": random.choice(["AA", "DL", "EV"], rows),
            "late": np.arange(rows) % 2,
        }
    )


def rows_of(table: pd.DataFrame, columns: Columns = COLUMNS) -> Rows:
    truth = plain(table[columns.target])
    return Rows("holdout.csv", table, columns, truth, distinct(truth))


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (frame().drop(columns="id"), "`data.key` is `id`, which `holdout.csv` lacks."),
        (frame().drop(columns="late"), "`data.target` is `late`, which `holdout.csv` lacks."),
        (frame().assign(id=1), "39 rows repeat a `id`."),
        (frame().assign(id=[None, *range(39)]), "1 rows have no `id`."),
        (frame().assign(late=[None, *[1] * 39]), "1 rows have no `late`."),
        (frame(0), "has no rows."),
    ],
)
def test_a_table_that_cannot_be_judged_on_is_refused(table: pd.DataFrame, says: str, tmp_path: Path) -> None:
    table.to_csv(tmp_path / "holdout.csv", index=False)
    with pytest.raises(RefusedError) as raised:
        read_rows(str(tmp_path / "holdout.csv"), "holdout.csv", COLUMNS)
    assert says in raised.value.message


def test_a_table_is_read_from_every_kind_of_file(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": ["007", "008"], "x": [1.5, 2.5]})
    table.to_parquet(tmp_path / "t.parquet")
    (tmp_path / "folder").mkdir()
    table.to_parquet(tmp_path / "folder" / "part.parquet")
    table.to_feather(tmp_path / "t.feather")
    table.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    for name in ("t.parquet", "folder", "t.feather", "t.jsonl"):
        pd.testing.assert_frame_equal(read_table(str(tmp_path / name), name), table)


@pytest.mark.parametrize(("name", "content"), [("t.parquet", b"PAR1"), ("t.csv", b"a,b\n1,2,3\n\xff"), ("t.csv", b"")])
def test_a_broken_table_is_refused_in_one_line(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RefusedError) as raised:
        read_table(str(tmp_path / name), name)
    assert raised.value.message.startswith(f"`{name}` cannot be read")
    assert "\n" not in raised.value.message


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pd.Series(pd.Categorical([2, 1])), "i"),
        (pd.Series(pd.Categorical(["b", "a"])), "O"),
        (pd.Series([1, 2], dtype="Int64"), "i"),
        (pd.Series([True, False], dtype="boolean"), "b"),
        (pd.Series([1, None], dtype=object), "f"),
        ([1.5, 2], "f"),
    ],
)
def test_plain_values_are_numpys(values: Any, kind: str) -> None:
    found = plain(values)
    assert found.dtype.kind == kind
    assert found.shape == (2,)


def test_a_quantity_has_no_labels() -> None:
    assert distinct(np.arange(1001)) is None
    assert distinct(np.array(["b", "a", "b"], dtype=object)) == ("a", "b")


# Answers -------------------------------------------------------------------------------------------------------------------------


def test_numbers_that_are_none_of_two_classes_are_the_probability_of_the_positive_one() -> None:
    answers = as_answers([0.2, 0.5, 0.9], 3, (0, 1), None)
    assert answers.prediction.tolist() == [0, 1, 1]
    assert answers.scores["score"].tolist() == [0.2, 0.5, 0.9]
    other = as_answers([0.2, 0.5, 0.9], 3, ("no", "yes"), "no")
    assert other.prediction.tolist() == ["yes", "no", "no"]


def test_whole_numbers_and_regressions_are_predictions() -> None:
    assert as_answers(np.array([0.0, 1.0]), 2, (0, 1), None).scores == {}
    assert as_answers(np.array([[0.25], [7.5]]), 2, None, None).prediction.tolist() == [0.25, 7.5]
    assert as_answers(pd.Series(["a", "b"]), 2, ("a", "b"), None).prediction.tolist() == ["a", "b"]


def test_two_dimensions_are_probabilities_of_the_classes() -> None:
    two = as_answers([[0.9, 0.1], [0.3, 0.7]], 2, (0, 1), None)
    assert two.scores["score"].tolist() == [0.1, 0.7]
    assert two.prediction.tolist() == [0, 1]
    three = as_answers(pd.DataFrame([[0.5, 0.3, 0.2]]), 1, ("a", "b", "c"), None)
    assert list(three.scores) == ["score_a", "score_b", "score_c"]
    assert three.prediction.tolist() == ["a"]


def test_named_columns_are_taken_by_their_names() -> None:
    answers = as_answers({"prediction": ["a", "b"], "score_a": [0.9, 0.2], "score_b": [0.1, 0.8], "other": [1, 2]}, 2, None, None)
    assert list(answers.arrays) == ["prediction", "score_a", "score_b"]


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ([1, 2], "gives 2 answers to 3 rows"),
        (np.zeros((3, 4)), "4 numbers a row; the number of classes is 2"),
        (np.zeros((3, 2, 2)), "array of shape (3, 2, 2)"),
        (7, "array of shape ()"),
        (pd.DataFrame({"prediction": [0, 1, 1], "score": ["a", "b", "c"]}), "`score` is not a number in every row"),
    ],
)
def test_answers_that_mean_nothing_are_refused(output: Any, says: str) -> None:
    with pytest.raises(RefusedError) as raised:
        as_answers(output, 3, (0, 1), None)
    assert says in raised.value.message


def test_the_positive_class() -> None:
    assert positive_of((0, 1), None) == 1
    assert positive_of((False, True), "false") == 0
    with pytest.raises(RefusedError, match="the classes are `a`, `b`"):
        positive_of(("a", "b"), "c")


def test_predictions_take_the_truths_type_where_that_changes_nothing() -> None:
    truth = np.array([0, 1])
    assert like_truth(np.array([1.0, 0.0]), truth).dtype == truth.dtype
    assert like_truth(np.array([True, False]), truth).tolist() == [1, 0]
    assert like_truth(np.array([0.5, 1.0]), truth).tolist() == [0.5, 1.0]
    assert math.isnan(like_truth(np.array([math.nan, 1.0]), truth)[0])


@pytest.mark.parametrize(
    ("values", "type_", "dtype"),
    [
        (pd.Series([1, 2]), "double", "float64"),
        (pd.Series([1.5, 2]), "float", "float32"),
        (pd.Series([1.0, 2.0]), "long", "int64"),
        (pd.Series([1.0, np.nan]), "long", "float64"),
        (pd.Series([1.5, 2.0]), "integer", "float64"),
        (pd.Series([0, 1]), "boolean", "bool"),
        (pd.Series([0, 2]), "boolean", "int64"),
        (pd.Series(pd.Categorical(["a"])), "string", "category"),
    ],
)
def test_columns_take_the_signatures_type_where_that_loses_nothing(values: pd.Series, type_: str, dtype: str) -> None:
    assert cast(values, type_).dtype == dtype


def test_numbers_become_text_where_the_signature_says_so() -> None:
    assert cast(pd.Series([10, 20]), "string").tolist() == ["10", "20"]


# Checks --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prediction", "score_", "holds"),
    [
        ([0.0, 1.0], [0.5, 0.5], True),
        ([0.0, math.nan], [0.5, 0.5], False),
        ([0.0, 1.0], [0.5, math.inf], False),
        (np.array(["a", None], dtype=object), [0.5, 0.5], False),
    ],
)
def test_finite(prediction: Any, score_: list[float], holds: bool) -> None:
    assert check_finite(Answers(np.asarray(prediction), {"score": np.array(score_)}))["holds"] is holds


def test_probabilities() -> None:
    def found(**scores: list[float]) -> bool:
        check = check_probabilities(Answers(np.zeros(2), {name: np.array(values) for name, values in scores.items()}))
        assert check is not None
        return bool(check["holds"])

    assert found(score=[0, 1])
    assert not found(score=[0, 1.0000001])
    assert not found(score=[-1e-9, 0.5])
    assert found(score_a=[0.2, 0.9999], score_b=[0.8, 0.0])
    assert not found(score_a=[0.2, 0.9], score_b=[0.7, 0.1])
    assert check_probabilities(Answers(np.zeros(2))) is None


def test_classes() -> None:
    truth = np.array([0, 1])
    assert check_classes(Answers(np.array([0, 2])), truth, (0, 1, 2), False) == {
        "name": "classes", "holds": True, "severity": "critical", "observed": "`0`, `2`", "limit": "among `0`, `1`, `2`",
    }  # fmt: skip
    unknown = check_classes(Answers(np.array([0, 3])), truth, (0, 1, 2), False)
    assert unknown is not None
    assert not unknown["holds"]
    assert unknown["observed"] == "unknown: `3`"
    assert check_classes(Answers(np.array([0.5, 3.25])), truth, (0, 1), False) is None, "a regression"
    assert check_classes(Answers(np.array([7])), np.arange(30), tuple(range(30)), False) is None, "a quantity"
    assert check_classes(Answers(np.array([31])), np.arange(30), tuple(range(30)), True) is not None, (
        "the model says that it classifies"
    )


def test_same_answers() -> None:
    first = {"prediction": np.array(["a", "b"]), "score": np.array([0.1, math.nan])}
    assert check_same("same", first, first, 0)["holds"], "NaN twice is the same answer, which `finite` tells of"
    assert not check_same("same", first, {**first, "prediction": np.array(["a", "a"])}, 1)["holds"]
    moved = check_same("same", first, {**first, "score": np.array([0.2, math.nan])}, 0.01)
    assert moved["observed"] == "changed: 1 of 2 rows, by up to 0.1"
    assert not check_same("same", first, {"prediction": first["prediction"]}, 0)["holds"]
    assert not check_same("same", first, {name: values[:1] for name, values in first.items()}, 0)["holds"]


numbers = st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=20)


@given(numbers, st.floats(0, 1e3))
def test_answers_are_never_apart_from_themselves(values: list[float], tolerance: float) -> None:
    differs, distance = apart(np.array(values), np.array(values), tolerance)
    assert not differs.any()
    assert distance == 0


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), st.floats(1e-3, 1e3))
def test_answers_moved_by_twice_the_tolerance_are_apart(values: list[float], tolerance: float) -> None:
    moved = np.array(values) + 2 * tolerance
    assert apart(np.array(values), moved, tolerance)[0].all()
    assert not apart(np.array(values), moved, 4 * tolerance)[0].any()


@given(
    st.lists(st.sampled_from(["AA", "DL", "EV", None]), min_size=2, max_size=50).filter(lambda values: len(set(values) - {None}) > 1)
)
def test_a_column_is_exchanged_for_other_values_of_its_own(values: list[str | None]) -> None:
    column = pd.Series(values, dtype=object)
    (exchanged,) = replacements(column, column, None, "key")
    assert set(exchanged) <= set(values) - {None}
    assert not (exchanged == column).any()


def test_given_values_take_the_columns_type() -> None:
    ints, text, category = pd.Series([1, 2]), pd.Series(["a", "b"]), pd.Series(pd.Categorical(["a", "b"]))
    assert [one.tolist() for one in replacements(ints, ints, [3, 4], "key")] == [[3, 3], [4, 4]]
    assert of_type(pd.Series([0.5, 0.5], dtype=object), ints, 0.5, "key").tolist() == [0.5, 0.5]
    assert of_type(pd.Series(["c", "c"], dtype=object), text, "c", "key").tolist() == ["c", "c"]
    assert of_type(pd.Series(["c", "c"], dtype=object), category, "c", "key").tolist() == ["c", "c"], (
        "an unknown category is none missing"
    )
    with pytest.raises(RefusedError, match="does not fit a column of numbers"):
        of_type(pd.Series(["c", "c"], dtype=object), ints, "c", "key")
    with pytest.raises(RefusedError, match="only one value"):
        list(replacements(pd.Series([1, 1]), pd.Series([1, 1]), None, "key"))


def test_a_column_is_shifted_by_a_number_or_a_share() -> None:
    assert shifted(pd.Series([10, 15]), 5.0).tolist() == [15, 20]
    assert shifted(pd.Series([10, 15]), "+10%").tolist() == [11, 16], "whole numbers stay whole"
    assert shifted(pd.Series([10.0, 20.0]), "-50%").tolist() == [5, 10]


def model(score_of: Any) -> OwnModel:
    def predict(_path: str, rows: pd.DataFrame) -> pd.DataFrame:
        values = np.asarray(score_of(rows), dtype=float)
        return pd.DataFrame({"prediction": (values >= 0.5).astype(int), "score": values})

    return OwnModel("model", predict, (0, 1), None)


INVARIANT = {"column": "carrier", "values": None, "of": "prediction", "tolerance": None, "allow": 0.01, "severity": "critical"}
DIRECTION = {"column": "distance", "change": 100.0, "expect": "increase", "of": None, "allow": 0.05, "severity": "warning"}


def test_invariance() -> None:
    rows = rows_of(frame())
    by_carrier = model(lambda rows: (rows["carrier"] == "EV") * 1.0)
    assert not check_invariance(by_carrier, rows, INVARIANT, 0)["holds"]
    assert check_invariance(by_carrier, rows, {**INVARIANT, "allow": 1.0}, 0)["holds"]
    assert check_invariance(by_carrier, rows, {**INVARIANT, "column": "distance"}, 0)["holds"]
    slightly = model(lambda rows: 0.6 + 0.01 * (rows["carrier"] == "EV"))
    assert check_invariance(slightly, rows, INVARIANT, 0)["holds"], "no class changes"
    assert not check_invariance(slightly, rows, {**INVARIANT, "of": "score"}, 0)["holds"]
    assert check_invariance(slightly, rows, {**INVARIANT, "of": "score", "tolerance": 0.02}, 0)["holds"]
    named = check_invariance(by_carrier, rows, {**INVARIANT, "values": ["AA", "DL"]}, 0)
    changed = int((frame()["carrier"] == "EV").sum())
    assert named["observed"] == f"prediction changes on {changed} of 40 rows ({changed / 0.4:.3g}%)"
    with pytest.raises(RefusedError, match="asks for `score_a`; the model gives `score`"):
        check_invariance(by_carrier, rows, {**INVARIANT, "of": "score_a"}, 0)


@pytest.mark.parametrize(
    ("slope", "holds"),
    [(1, {"increase", "not-decrease"}), (-1, {"decrease", "not-increase"}), (0, {"not-increase", "not-decrease"})],
)
def test_directions(slope: int, holds: set[str]) -> None:
    rows = rows_of(frame())
    sloped = model(lambda rows: 0.5 + slope * rows["distance"] / 10000)
    for expect in ("increase", "decrease", "not-increase", "not-decrease"):
        found = check_direction(sloped, rows, {**DIRECTION, "expect": expect}, 1e-9)
        assert found["holds"] is (expect in holds)
        assert found["severity"] == "warning"
        assert found["name"] == f"distance +100 must {expect.replace('-', ' ')} score"
        assert found["limit"] == "at most 5% of the rows"
    against = {1: "increases on 40 of 40 rows (100%), mean change +0.01", 0: "increases on 0 of 40 rows (0%), mean change +0"}
    found = check_direction(sloped, rows, {**DIRECTION, "expect": "not-increase"}, 1e-9)
    assert found["observed"] == f"score {against.get(slope, 'increases on 0 of 40 rows (0%), mean change −0.01')}"


@pytest.mark.parametrize(
    ("change", "shown"), [(100.0, "+100"), (-2.5, "−2.5"), (12345.0, "+12345"), ("10%", "+10%"), ("+10%", "+10%"), ("-0.5%", "−0.5%")]
)
def test_a_change_is_written_with_its_sign(change: float | str, shown: str) -> None:
    assert by(change) == shown


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"column": "id"}, "it is the key or the target"),
        ({"column": "nothing"}, "which `holdout.csv` lacks"),
        ({"column": "carrier"}, "it is not a column of numbers"),
        ({"change": 0.0}, "changes no row"),
    ],
)
def test_a_direction_that_cannot_be_tried_is_refused(wanted: dict[str, Any], says: str) -> None:
    with pytest.raises(RefusedError) as raised:
        check_direction(model(lambda rows: rows["distance"] / 3000), rows_of(frame()), {**DIRECTION, **wanted}, 0)
    assert says in raised.value.message


def test_every_call_is_timed_and_the_warm_up_is_not() -> None:
    served: list[int] = []
    found = timed(lambda rows: served.append(len(rows)), [frame(2)] * 100, 3)
    assert len(served) == 103
    assert (found["rows"], found["calls"]) == (2, 100)
    assert 0 <= found["p50"] <= found["p99"]


# A team's own metrics ------------------------------------------------------------------------------------------------------------


def labelled(seed: int, n: int = 400, noise: float = 0.2) -> Labelled:
    random = np.random.default_rng(seed)
    truth = np.random.default_rng(1).integers(0, 2, n)
    score_ = np.clip(truth * 0.4 + 0.3 + noise * random.normal(size=n), 0, 1)
    return Labelled(truth, (score_ >= 0.5).astype(int), score_)


def accuracy(truth: Any, prediction: Any) -> float:
    return float((truth == prediction).mean())


def hits(truth: Any, prediction: Any, score: Any = None) -> Any:
    return truth == prediction


def test_one_number_a_row_and_one_number_agree() -> None:
    """The mean of per-row values has a formula; resampling the same mean has to come near it."""
    candidate, baseline = labelled(2, noise=0.3), labelled(3)
    by_rows = own_metric(OwnMetric("hits", hits), candidate, baseline, None, 0.95)
    at_once = own_metric(OwnMetric("accuracy", accuracy), candidate, baseline, None, 0.95)
    assert by_rows["candidate"] == at_once["candidate"]
    assert by_rows["baseline"] == at_once["baseline"]
    # The error of a standard deviation of 999 draws is 1 / sqrt(2 * 998), about 2.2 %; of their outer ranks about 5 % of it.
    assert at_once["standard-error"] == pytest.approx(by_rows["standard-error"], rel=0.1)
    for end in ("low", "high"):
        assert at_once[end] == pytest.approx(by_rows[end], abs=0.3 * by_rows["standard-error"])
    changed = int((candidate.prediction != baseline.prediction).sum())
    assert by_rows["effective-rows"] == pytest.approx(changed, rel=0.05)


def test_groups_are_resampled_as_a_whole() -> None:
    """Every row five times over, in groups of five, says no more than every row once."""
    candidate, baseline = labelled(2, noise=0.3), labelled(3)
    five = np.repeat(np.arange(400), 5)
    once = interval_of_mean(hits(candidate.truth, candidate.prediction) * 1.0 - hits(baseline.truth, baseline.prediction), None, 0.95)
    metric = OwnMetric("hits", hits)
    grouped = own_metric(metric, candidate.take(five), baseline.take(five), five, 0.95)
    assert grouped["standard-error"] == pytest.approx(once["standard-error"])
    assert grouped["effective-rows"] == pytest.approx(once["effective-rows"])
    resampled = bootstrap(OwnMetric("accuracy", accuracy), candidate.take(five), baseline.take(five), five, 0.95)
    assert resampled["standard-error"] == pytest.approx(once["standard-error"], rel=0.1)
    assert resampled["method"] == "paired bootstrap, by group"


def test_equal_models_have_no_difference() -> None:
    one = labelled(2)
    found = own_metric(OwnMetric("accuracy", accuracy), one, one, None, 0.95)
    assert (found["standard-error"], found["low"], found["high"], found["effective-rows"]) == (0, 0, 0, 0)
    assert own_metric(OwnMetric("hits", hits), one, one, None, 0.95)["standard-error"] == 0


def test_without_a_baseline_there_is_one_number() -> None:
    assert set(own_metric(OwnMetric("accuracy", accuracy), labelled(2), None, None, 0.95)) == {"candidate"}


def test_one_group_gives_no_interval() -> None:
    groups = np.zeros(400, dtype=int)
    for function in (accuracy, hits):
        found = own_metric(OwnMetric("own", function), labelled(2, noise=0.3), labelled(3), groups, 0.95)
        assert set(found) == {"candidate", "baseline"}
        assert set(own_metric(OwnMetric("own", function), labelled(3), labelled(3), groups, 0.95)) == {"candidate", "baseline"}


@pytest.mark.parametrize("function", [accuracy, hits])
def test_groups_are_counted(function: Any) -> None:
    groups = np.arange(400) // 8
    assert own_metric(OwnMetric("own", function), labelled(2, noise=0.3), labelled(3), groups, 0.95)["groups"] == 50
    assert "groups" not in own_metric(OwnMetric("own", function), labelled(2, noise=0.3), labelled(3), None, 0.95)


def test_the_bootstrap_gives_the_same_every_time() -> None:
    metric = OwnMetric("accuracy", accuracy)
    assert bootstrap(metric, labelled(2), labelled(3), None, 0.9) == bootstrap(metric, labelled(2), labelled(3), None, 0.9)


def test_a_metric_that_most_resamples_do_not_define_is_refused() -> None:
    truth = np.array([1, *[0] * 9])
    candidate, baseline = Labelled(truth, truth, None), Labelled(truth, 1 - truth, None)

    def recall(truth: Any, prediction: Any) -> float:
        return float(prediction[truth == 1].sum() / int((truth == 1).sum())) if truth.any() else math.nan

    with pytest.raises(RefusedError, match="is not defined on"):
        bootstrap(OwnMetric("recall", recall), candidate, baseline, None, 0.95)


def test_scores_are_given_to_a_function_that_takes_them() -> None:
    one = labelled(2)
    assert one.score is not None

    def value(function: Any) -> Any:
        return own_metric(OwnMetric("own", function), one, None, None, 0.95)["candidate"]

    assert value(lambda truth, prediction, score: score.mean()) == one.score.mean()
    assert value(lambda *arguments: len(arguments)) == 3
    assert value(lambda truth, prediction: 2) == 2


@settings(max_examples=50)
@given(st.integers(2, 60), st.integers(0, 1000))
def test_the_interval_holds_the_difference_and_narrows_with_less_confidence(n: int, seed: int) -> None:
    difference = np.random.default_rng(seed).normal(size=n)
    wide, narrow = interval_of_mean(difference, None, 0.99), interval_of_mean(difference, None, 0.9)
    assert wide["low"] < narrow["low"] < difference.mean() < narrow["high"] < wide["high"]
    assert 0 < wide["effective-rows"] <= n + 1e-9


# Predictions files ---------------------------------------------------------------------------------------------------------------


def task(folder: Path, **more: Any) -> dict[str, Any]:
    frame().to_csv(folder / "holdout.csv", index=False)
    columns = {"key": "id", "target": "late", "truth": "y", "prediction": "p", "score": "s"}
    return {
        "task": "score", "name": "evaluate-candidate", "folder": str(folder), "checks": None, "keep": ["carrier", "nothing"],
        "model": "model", "predict": "tests.unit.test_evaluate_scoring:by_distance", "positive": None, "reference": None,
        "table": str(folder / "holdout.csv"), "table-name": "holdout.csv", "columns": columns, **more,
    }  # fmt: skip


def by_distance(_path: str, rows: pd.DataFrame) -> pd.DataFrame:
    """A model of the team's own."""
    values = rows["distance"] / 2000
    return pd.DataFrame({"prediction": (values >= 0.5).astype(float), "score": values})


def test_predictions_are_written_under_the_teams_names(tmp_path: Path) -> None:
    assert score(task(tmp_path))["file"] == "evaluate-candidate.parquet"
    found = pd.read_parquet(tmp_path / "evaluate-candidate.parquet")
    assert list(found.columns) == ["id", "y", "p", "s", "carrier"]
    assert found["p"].dtype == found["y"].dtype
    assert found["s"].tolist() == (frame()["distance"] / 2000).tolist()


def test_without_an_engine_for_parquet_predictions_are_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_engine(*_: Any, **__: Any) -> None:
        raise ImportError("Unable to find a usable engine")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", no_engine)
    assert score(task(tmp_path))["file"] == "evaluate-candidate.csv"
    found = pd.read_csv(tmp_path / "evaluate-candidate.csv")
    assert found["s"].tolist() == (frame()["distance"] / 2000).tolist(), "not a digit is lost"


def test_a_name_that_is_taken_twice_is_refused(tmp_path: Path) -> None:
    columns = {"key": "id", "target": "late", "truth": "y", "prediction": "p", "score": "s"}
    with pytest.raises(RefusedError, match="is called as a column of answers is"):
        score(task(tmp_path, columns={**columns, "truth": "carrier"}))
    with pytest.raises(RefusedError, match="what a column of answers is called"):
        score(task(tmp_path, columns={**columns, "prediction": "id"}))


def test_auto_keeps_every_plain_column() -> None:
    table = frame(2).assign(tags=[[1], [2]], score_a=[1, 2], truth=[1, 2])
    assert kept(rows_of(table), None) == ["distance", "carrier"]
    assert kept(rows_of(table), ["carrier", "carrier", "id", "late"]) == ["carrier"]
