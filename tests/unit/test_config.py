"""`modelship.yaml`: strict, with errors that point at the line, and one schema for us and for editors."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelship.core.config import Config, Limit, LoadedConfig, bytes_of, json_schema, load_config, parse_config, seconds_of, share_of
from modelship.core.errors import BadInput, Problem

settings.register_profile("patient", deadline=None)  # a busy machine is not a failure
settings.load_profile("patient")

FULL = """\
model: flight-delay
data:
  reference: data/train.parquet
  current: data/holdout.parquet
  target: late
  key: flight_id
  expectations: expectations.yaml
  remote: storage
train:
  run: dvc repro
  metrics: metrics.json
  params: params.yaml
  predictions: predictions.parquet
  model: model
  timeout: 60m
  python: python
gate:
  baseline: base
  first-run: allow
  metrics:
    roc_auc: {min: 0.70, max-regression: 0.005}
    log_loss: {max-regression: 1%}
registry: {name: flight-delay-eu}
"""


def load(text: str, **overrides: Any) -> LoadedConfig:
    return parse_config(text.encode(), "ml/modelship.yaml", Path("ml"), overrides)


def refused(text: str, **overrides: Any) -> Problem:
    with pytest.raises(BadInput) as caught:
        load(text, **overrides)
    assert caught.value.exit_code == 2
    (problem,) = caught.value.problems
    assert "\n" not in str(problem)
    return problem


def outcome(document: Any, indent: int | None = None) -> Config | str:
    """The configuration that a document makes, or the one problem with it; JSON is YAML, too."""
    try:
        return load(json.dumps(document, ensure_ascii=False, indent=indent)).config
    except BadInput as error:
        (problem,) = error.problems
        return problem.message


def test_a_full_file() -> None:
    config = load(FULL).config
    assert config.model == "flight-delay"
    assert config.gate.metrics == {"roc_auc": Limit(min=0.7, max_regression=0.005), "log_loss": Limit(max_regression="1%")}
    assert (config.gate.first_run, config.train.timeout, config.registered_name) == ("allow", "60m", "flight-delay-eu")


def test_a_short_file_has_careful_defaults() -> None:
    config = load("model: m").config
    assert (config.gate.baseline, config.gate.first_run, config.gate.metrics) == ("base", "refuse", None)
    assert config.registered_name == "m"


# Errors point at what is wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "message", "remedy"),
    [
        ("model: m\ngaet: {}\n", 2, "unknown key `gaet`.", "Did you mean `gate`?"),
        ("model: m\ngate:\n  first_run: allow\n", 3, "unknown key `gate.first_run`.", "Did you mean `first-run`?"),
        ("model: m\ndata: {referense: x}\n", 2, "unknown key `data.referense`.", "Did you mean `reference`?"),
        (
            "model: m\ngate:\n  metrics:\n    f1: {min: 1}\n    roc_auc:\n      max-regresion: 1%\n",
            6,
            "unknown key `gate.metrics.roc_auc.max-regresion`.",
            "Did you mean `max-regression`?",
        ),
        ("model: m\ntrain:\n  metrics: [a, b]\n", 3, "`train.metrics`", "The metrics file"),
        ("model: m\ntrain:\n  run: 5\n", 3, "`train.run`", "The command"),
        ("model: m\ntrain:\n  timeout: soon\n", 3, "`train.timeout` is `soon`.", "90s"),
        ("model: m\ntrain:\n  timeout: 0m\n", 3, "`train.timeout` is `0m`.", "90s"),
        ("model: m\ngate:\n  baseline: champ\n", 3, "`gate.baseline` is `champ`.", "champion"),
        ("model: m\ngate:\n  baseline: 'git:'\n", 3, "`gate.baseline` is `git:`.", "git:<ref>"),
        ("model: m\ndrift: {sample: many}\n", 2, "`drift.sample` is `many`.", "Allowed: a whole number from 100 on or `full`."),
        ("model: m\ngate:\n  first-run: maybe\n", 3, "`gate.first-run` is `maybe`.", "Allowed: `allow` or `refuse`."),
        (
            "model: m\ngate:\n  metrics:\n    f1: {min: high}\n",
            4,
            "`gate.metrics.f1.min`: expected a number, got text. It is `high`.",
            "lowest",
        ),
        ("model: m\ngate:\n  metrics:\n    f1: {min: true}\n", 4, "`gate.metrics.f1.min`", "lowest"),
        ("model: m\ngate:\n  metrics:\n    f1:\n      max-regression: 1 %\n", 5, "`gate.metrics.f1.max-regression`", "1%"),
        ("model: m\ngate:\n  metrics:\n    f1:\n      max-regression: -1\n", 5, "`gate.metrics.f1.max-regression`", "1%"),
        ("model: m\ngate:\n  metrics:\n    f1:\n      better: up\n", 5, "`gate.metrics.f1.better` is `up`.", "`higher` or `lower`"),
        ("model: m\ngate:\n  metrics:\n    f1: {better: higher}\n", 4, "`gate.metrics.f1`: it needs at least one", ""),
        ("model: m\ngate:\n  metrics:\n    f1: {min: .nan}\n", 4, "finite", ""),
        ("model: m\ngate:\n  metrics:\n    f1: {max-regression: .inf}\n", 4, "finite", ""),
        ("model: m\ngate:\n  metrics:\n    f1: {min: 1, max: 0}\n", 4, "`min` is above `max`", ""),
        ("model: m\ngate:\n  metrics: {}\n", 3, "`gate.metrics`", "Limits by metric"),
        ("model: m\ngate:\n  metrics: [roc_auc]\n", 3, "`gate.metrics`", ""),
        ("model: a b\n", 1, "`model` is `a b`.", "letters"),
        (
            "model: m\ndeploy:\n  environments:\n    test: {target: {directory: a}}\n    Live: {target: {directory: b}}\n",
            5,
            "`deploy.environments` has the key `Live`.",
            "Allowed: small letters",
        ),
        ("model: ''\n", 1, "`model`", "letters"),
        ("model: .hidden\n", 1, "`model`", "letters"),
        ('model: "m\\n"\n', 1, "`model`", "letters"),
        ('model: m\ntrain: {timeout: "60m\\n"}\n', 2, "`train.timeout`", "90s"),
        ('model: m\ngate: {baseline: "base\\n"}\n', 2, "`gate.baseline`", "champion"),
        ('model: m\ngate: {metrics: {f1: {max-regression: "1%\\n"}}}\n', 2, "`gate.metrics.f1.max-regression`", "1%"),
        ("data: {}\n", 1, "the key `model` is missing.", "Add it, or give it"),
        ("- model\n", 1, "is not a mapping", "modelship init"),
        ("model: m\nmodel: n\n", 2, "has the key `model` twice.", ""),
        ("model: m\ngate: [\n", 3, "is not valid YAML", ""),
    ],
)
def test_a_mistake(text: str, line: int, message: str, remedy: str) -> None:
    problem = refused(text)
    assert (problem.path, problem.line) == ("ml/modelship.yaml", line)
    assert message in problem.message
    assert remedy in problem.remedy


@pytest.mark.parametrize("metric", ["roc.auc", "test/f1", "a b", "…", "on", "1", "", "x`y", "a]b", "[...]", "$"])
def test_a_mistake_under_a_metric_of_any_name(metric: str) -> None:
    text = f'model: m\ngate:\n  metrics:\n    "good": {{min: 0}}\n    {json.dumps(metric)}:\n      min: high\n'
    problem = refused(text)
    assert problem.line == 6
    assert f"gate.metrics.{metric}.min" in problem.message


@pytest.mark.parametrize("key", ["x.model", "a.b.c", "x[0]", "x - at `$.gate.metrics`", ".", "[...]"])
def test_an_unknown_key_of_any_name(key: str) -> None:
    """It is told in the same breath as where it is, and may look like that."""
    assert refused(json.dumps({"model": "m", key: 1})).message == f"unknown key `{key}`."
    limits = {"metrics": {"f1": {"min": 0, key: 1}}}
    assert refused(json.dumps({"model": "m", "gate": limits})).message == f"unknown key `gate.metrics.f1.{key}`."


@pytest.mark.parametrize("reason", ["", "Expected `str` matching regex 'x'", "Object missing required field `y", "Invalid enum value"])
@pytest.mark.parametrize("trail", ["$", "$.model", "$.gate.metrics[...].min", "$.a.b[0]"])
def test_an_unknown_key_that_reads_like_a_reason_is_refused(reason: str, trail: str) -> None:
    assert "unknown key `" in refused(json.dumps({"model": "m", f"{reason}` - at `{trail}": 1})).message


def test_a_mistake_among_very_many_is_found() -> None:
    metrics: dict[str, Any] = {f"m{n}": {"min": 0} for n in range(3_000)}
    metrics["m1234"] = metrics["m2345"] = {"min": "high"}
    raw = json.dumps({"model": "m", "gate": {"metrics": metrics}}).encode()
    with pytest.raises(BadInput, match=r"`gate\.metrics\.m1234\.min`"):
        parse_config(raw, "modelship.json", Path())


def test_a_mistake_in_a_mapping_within_a_list() -> None:
    problem = refused(json.dumps({"model": "m", "evaluate": {"invariance": [{"column": "a"}, {"column": "b", "by": 1}]}}))
    assert problem.message == "unknown key `evaluate.invariance[1].by`."


@pytest.mark.parametrize("suffix", ["yaml", "json", "toml"])
def test_a_configuration_that_nobody_wrote_by_hand(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"modelship.{suffix}"
    path.write_bytes(b" " * (256 * 1024 + 1))
    with pytest.raises(BadInput, match=r"is larger than 256 KiB\."):
        load_config(path)
    with pytest.raises(BadInput, match=r"is larger than 256 KiB\."):
        parse_config(path.read_bytes(), path.name, tmp_path)


@given(st.text(max_size=12), st.text(max_size=12))
def test_any_mapping_keys_are_explained(metric: str, key: str) -> None:
    document = {"model": "m", "gate": {"metrics": {"f1": {"min": 0}, metric: {key: "x"}}}}
    assert outcome(document)


# Inputs win over the file --------------------------------------------------------------------------------------------------------


def test_overrides_win(tmp_path: Path) -> None:
    path = tmp_path / "modelship.yaml"
    path.write_text(FULL)
    overrides = {"model": "other", "gate.metrics": {"f1": {"min": 0.5}}, "gate.baseline": None, "train.timeout": "9m"}
    config = load_config(path, overrides).config
    assert (config.model, config.gate.baseline, config.train.timeout) == ("other", "base", "9m")
    assert config.gate.metrics == {"f1": Limit(min=0.5)}


def test_inputs_alone_make_a_configuration(tmp_path: Path) -> None:
    config = load_config(tmp_path / "modelship.yaml", {"model": "m", "gate.metrics": {"f1": {"min": 0.5}}}).config
    assert config.model == "m"


def test_a_wrong_override_is_refused() -> None:
    assert "`gate.baseline` is `x`." in refused(FULL, **{"gate.baseline": "x"}).message
    assert refused(FULL, **{"gate.metrics": {"f1": {"mim": 1}}}).remedy == "Did you mean `min`?"


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        load_config(tmp_path / "modelship.yaml", name="modelship.yaml")
    assert str(caught.value) == "modelship.yaml: does not exist. Run `modelship init` to write one."


def test_a_link_to_nothing_is_not_an_absent_file_with_overrides(tmp_path: Path) -> None:
    """Without overrides there is nothing to go by; the same file cannot be half there."""
    (tmp_path / "modelship.yaml").symlink_to("nowhere.yaml")
    with pytest.raises(BadInput):
        load_config(tmp_path / "modelship.yaml")


def test_an_unset_key_is_required_with_its_name() -> None:
    with pytest.raises(BadInput) as caught:
        load("model: m\ntrain:\n  metrics: m.json\n").require("train.run")
    (problem,) = caught.value.problems
    assert (problem.message, problem.line) == ("`train.run` is not set.", 2)


@given(
    st.dictionaries(st.sampled_from(["model", "data", "train", "gate", "registry"]), st.none() | st.integers() | st.text(max_size=5))
)
def test_a_configuration_is_never_half_right(data: dict[str, Any]) -> None:
    """Whatever a section holds, the answer is a whole configuration or one problem."""
    found = outcome(data)
    if isinstance(found, Config):
        assert set(data) == {"model"}
        assert found.model == data["model"]


# One schema ----------------------------------------------------------------------------------------------------------------------


def test_the_schema_is_a_json_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


def _leaves(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [at, *(place for key, child in children for place in _leaves(child, (*at, key)))]


FULL_DATA: dict[str, Any] = {
    "model": "m",
    "data": {"reference": "a", "current": "b", "target": "t", "key": "k", "expectations": "e.yaml", "remote": "r"},
    "train": {
        "run": "x", "metrics": "m.json", "params": "p", "predictions": "q", "model": "o", "timeout": "1h", "python": "python"
    },
    "gate": {
        "baseline": "base",
        "first-run": "allow",
        "metrics": {"a": {"min": 0, "max": 1.5, "max-regression": 0.1, "better": "higher"}, "b.c": {"max-regression": "1%"}},
    },
    "registry": {"name": "n"},
}  # fmt: skip

VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [
        None, True, False, 0, 1, -1, 0.5, -0.5, 1e-3, "", "x", "a b", "base", "none", "git:", "git:main",
        "file:x", "run:", "refuse", "allow", "lower", "1%", "1.5%", "%", "-1%", "60m", "0m", "1d",
        [], [1], {}, {"min": 1}, {"x": {"min": 1}}, {"x": {}}, "x\n", "é", "a" * 101,
    ]
)  # fmt: skip


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A good document with up to three places replaced, removed or added to."""
    document = copy.deepcopy(FULL_DATA)
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.sampled_from(_leaves(document)[1:]))
        parent: Any = document
        for key in place[:-1]:
            parent = parent[key]
        action = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if action == "replace":
            parent[place[-1]] = copy.deepcopy(draw(VALUES))
        elif action == "remove":
            del parent[place[-1]]
        elif isinstance(parent, dict):
            parent[draw(st.sampled_from(["min", "max", "better", "name", "zzz", "max_regression"]))] = copy.deepcopy(draw(VALUES))
        if not document:
            break
    return document


def _says_more_than_a_schema_can(message: str) -> bool:
    """Rules between keys (one of `min`, `max`, `max-regression`; `min` not above `max`; `query` with `connection`)."""
    return any(
        words in message for words in ("at least one of", "is above", "it needs either", "belong together", "needs `mlflow-run`")
    )


SCHEMA = jsonschema.Draft202012Validator(json_schema())


@settings(max_examples=200)
@given(documents())
def test_editors_and_modelship_agree(document: dict[str, Any]) -> None:
    errors = list(SCHEMA.iter_errors(document))
    found = outcome(document)
    if isinstance(found, Config):
        assert not errors, errors[0].message
    else:
        assert errors or _says_more_than_a_schema_can(found), found


@given(documents())
def test_layout_does_not_matter(document: dict[str, Any]) -> None:
    assert outcome(document) == outcome(document, indent=2)


@given(st.floats())
def test_limits_are_finite(value: float) -> None:
    if math.isfinite(value):
        assert Limit(min=value).min == value
    else:
        with pytest.raises(ValueError, match="finite"):
            Limit(min=value)


def test_shares_are_numbers_or_percent() -> None:
    assert share_of("1%") == pytest.approx(0.01)
    assert share_of(0.05) == 0.05


@pytest.mark.parametrize(
    ("text", "number"), [("500B", 500), ("1.5kB", 1500), ("50MB", 50_000_000), ("2GiB", 2 * 2**30), ("1KiB", 1024)]
)
def test_sizes(text: str, number: int) -> None:
    assert bytes_of(text) == number


# Environments --------------------------------------------------------------------------------------------------------------------


def environments(**after: str | None) -> str:
    listed = ", ".join(
        f"{name.replace('_', '-')}: {{target: {{directory: models}}{f', after: {before}' if before else ''}}}"
        for name, before in after.items()
    )
    return f"environments: {{{listed}}}"


@pytest.mark.parametrize(
    ("deploy", "says"),
    [
        (environments(production="staging"), "`production` comes after `staging`, which is no environment"),
        (environments(a="b", b="a"), "comes after itself"),
        (environments(champion=None), "cannot be called `champion`"),
        (environments(challenger=None), "cannot be called `challenger`"),
        (environments(v7=None), "cannot be called `v7`"),
        (environments(eu=None, us=None), "of `eu` and `us` one must be `champion`"),
        (f"{environments(eu=None)}, champion: us", "`champion` names `us`, which is no environment"),
        ("environments: {live: {target: {}}}", "`deploy.environments.live.target`"),
        ("environments: {live: {target: {directory: a, command: {run: b}}}}", "`deploy.environments.live.target`"),
        ("environments: {live: {target: {directory: a}, smoke: {latency-p99: fast}}}", "milliseconds or seconds"),
        ("environments: {live: {target: {directory: a}, affter: b}}", "Did you mean `after`?"),
        ("environments: {Live: {target: {directory: a}}}", "mall letters, digits and dashes"),
    ],
)
def test_environments_that_are_refused(deploy: str, says: str) -> None:
    assert says in str(refused(f"model: m\ndeploy: {{{deploy}}}\n"))


def test_the_champion_is_what_is_live_where_no_other_environment_comes_after() -> None:
    def champion_of(deploy: str) -> str | None:
        return load(f"model: m\ndeploy: {{{deploy}}}\n").config.deploy.champion_environment

    assert champion_of(environments(production="staging", staging=None)) == "production"
    assert champion_of(environments(live=None)) == "live"
    assert champion_of(f"{environments(eu='staging', us='staging', staging=None)}, champion: us") == "us"
    assert load("model: m\n").config.deploy.champion_environment is None


@pytest.mark.parametrize(("text", "seconds"), [("50ms", 0.05), ("2s", 2), ("0.5ms", 0.0005), ("90s", 90), ("60m", 3600), ("2h", 7200)])
def test_durations(text: str, seconds: float) -> None:
    assert seconds_of(text) == pytest.approx(seconds)
