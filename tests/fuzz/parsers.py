"""What reads text that others wrote, each as a function of bytes. It returns,
or raises an error of ours; anything else is a finding."""

from __future__ import annotations

import gzip
import io
import os
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelship.core.config import parse_config
from modelship.core.documents import parse_document
from modelship.core.errors import BadInput, bad_input
from modelship.core.event import read_event, read_word
from modelship.core.metrics import read_metrics
from modelship.core.records import RECORDS, encode, read_record
from tests.fuzz.mutate import Mutator, as_json
from tests.hostile import Forger, names
from tests.project import CONFIG, ROOT

Parse = Callable[[bytes, int], None]
"""Takes what a file holds, and the number of the case, by which a parser of several formats chooses one."""


@dataclass(frozen=True)
class Parser:
    """A parser, and where its cases come from."""

    parse: Parse
    cases: Callable[[int], Iterator[bytes]]
    """From a seed."""
    valid: Sequence[bytes] = ()

    def warm_up(self) -> None:
        """Load what is loaded when it is first needed: it is no part of a case."""
        for raw in self.valid:
            try:
                self.parse(raw, 0)
            except BadInput:
                continue


def parsers(folder: Path) -> dict[str, Parser]:
    """All of them by name; they may write into `folder`."""
    return {
        "configuration": _mutating(_configuration, _configurations(), _KEYS),
        "metrics": _mutating(_metrics, _metrics_files(), ("roc_auc", "NaN", "Infinity", "inf", "nan")),
        "records": Parser(lambda raw, case: _records(folder, raw, case), _forged_records),
        "predictions": _mutating(
            lambda raw, case: _predictions(folder, raw, case), _tables(), ("PAR1", '"', "\r", ",", ";", "\t", "flight_id")
        ),
        "expectations": _mutating(lambda raw, case: _expectations(folder, raw, case), _expectation_files(), _EXPECTATION_WORDS),
        "event": _mutating(
            lambda raw, case: _event(folder, raw, case), _events(), ("pull_request", "number", "sha", "null", '"' + "0" * 40 + '"')
        ),
    }


NAMES = ("configuration", "metrics", "records", "predictions", "expectations", "event")


def self_test() -> Parser:
    """A parser that does right twice, and in turn everything else that one may do."""
    return Parser(_misbehave, lambda _: iter([b"fine", b"refused", b"raises", b"hangs", b"eats", b"dies"] * 9))


def _misbehave(raw: bytes, case: int) -> None:
    if case == 0 and raw == b"fine":
        return
    match raw:
        case b"refused":
            raise bad_input("this is how a parser refuses.")
        case b"raises":
            raise KeyError("x")
        case b"hangs":
            while True:
                pass
        case b"eats":
            bytearray(2**31)
        case b"dies":
            os.kill(os.getpid(), signal.SIGKILL)


def _mutating(parse: Parse, valid: Sequence[bytes], tokens: Sequence[str]) -> Parser:
    def cases(seed: int) -> Iterator[bytes]:
        mutator = Mutator(seed, valid, tokens)
        while True:
            yield mutator.case()

    return Parser(parse, cases, valid)


_KEYS = (
    "model", "data", "reference", "current", "target", "key", "positive", "expectations", "checks", "drift", "columns",
    "train", "run", "metrics",
    "predictions", "evaluate", "invariance", "latency", "gate", "baseline", "max-regression", "min", "max", "slices", "auto",
    "approval-label",
    "registry", "deploy", "environments", "after", "smoke", "query", "connection", "mlflow-run", "...", "[...]",
)  # fmt: skip
_EVERYTHING = """
model: flight-delay
data:
  reference: data/train.parquet
  current: {query: "SELECT * FROM flights", connection: DATABASE_URL}
  target: late
  key: flight_id
  positive: 1
  expectations: expectations.yaml
  checks: {new-category: ignore}
drift: {max-share: 0.3, columns: {temp: ignore, pressure: {threshold: 0.2}}}
train: {run: dvc repro, metrics: metrics.json, predictions: predictions.parquet, model: model}
evaluate:
  latency: {p99: 50ms}
  invariance: [{column: carrier, share: 1%}]
gate:
  baseline: champion
  metrics: {roc_auc: {min: 0.7, max-regression: 1%}, "a.b": {max: 1, better: lower}}
  slices: [carrier, origin]
registry: {name: flight-delay}
deploy:
  environments: {staging: {target: {directory: models}}, production: {after: staging}}
"""


def _configurations() -> Sequence[bytes]:
    return [CONFIG.encode(), _EVERYTHING.encode(), (ROOT / "template-repo" / "modelship.yaml").read_bytes()]


def _configuration(raw: bytes, case: int) -> None:
    parse_config(raw, f"modelship.{('yaml', 'yaml', 'json', 'toml')[case % 4]}", Path())


def _metrics_files() -> Sequence[bytes]:
    nested = {"roc_auc": 0.7, "log_loss": 0.53, "per_class": {"a": 1, "b": [0.1, 0.2]}, "x": float("nan"), "n": 10**20}
    return [
        as_json(nested),
        b"roc_auc: 0.7\nnested:\n  a: 1e-3\n  b: [1, 2]\n",
        b"roc_auc = 0.7\n[nested]\na = 1e-3\nb = [1, 2]\n",
    ]


def _metrics(raw: bytes, case: int) -> None:
    read_metrics(parse_document(raw, f"metrics.{('json', 'yaml', 'toml')[case % 3]}"))


def _forged_records(seed: int) -> Iterator[bytes]:
    """Records of all kinds in turn, now and then as they should be."""
    dice = random.Random(seed)
    forger = Forger(seed, names(seed))
    kinds = list(RECORDS)
    for case in range(2**31):
        forged = forger.record(kinds[case % len(kinds)], commit="a" * 40)
        raw = encode(forged).replace(b"\\ud", b"") if _is_whole(forged) else b"{}"
        yield (
            raw
            if dice.random() < 0.1
            else Mutator(dice.randrange(2**31), [raw], ('"record"', "metric-gate/1", "1e999", "18446744073709551616")).case()
        )


def _is_whole(record: object) -> bool:
    try:
        repr(record).encode()
    except UnicodeEncodeError:
        return False
    return "\\ud" not in repr(record)


def _records(folder: Path, raw: bytes, case: int) -> None:
    path = folder / "record.json"
    path.write_bytes(raw)
    read_record(path, list(RECORDS)[case % len(RECORDS)])


def _tables() -> Sequence[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = b'flight_id,late,prediction,score,carrier\n1,0,1,0.7,EV\n2,1,1,0.9,UA\n3,,0,nan,"a,""b"\n'
    table = pa.table({"flight_id": [1, 2, 3], "late": [0, 1, None], "score": [0.7, 0.9, float("nan")], "carrier": ["EV", "UA", "é"]})
    binary = io.BytesIO()
    pq.write_table(table, binary)
    return [text, text, gzip.compress(text, mtime=0), binary.getvalue(), text.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + text]


def _predictions(folder: Path, raw: bytes, case: int) -> None:
    from modelship.gate.rows.prediction_tables import PredictionsFile

    suffix = (
        ".csv.gz" if raw[:2] == b"\x1f\x8b" else ".parquet" if raw[:3] == b"PAR" else (".csv", ".csv", ".parquet", ".csv.gz")[case % 4]
    )
    path = folder / f"predictions{suffix}"
    path.write_bytes(raw)
    found = PredictionsFile(path, "the candidate's predictions")
    columns = [name for name, is_plain in found.columns().items() if is_plain]
    if columns:
        found.read(columns, columns[0])


_EXPECTATION_WORDS = (
    "expect_column_values_to_be_between", "expect_column_to_exist", "column", "min_value", "mostly", "expectations", "kwargs",
    "type", "meta",
    "row_condition", "$PARAMETER", "quantile_ranges", "value_ranges", "value_set",
)  # fmt: skip
_CATALOG = {
    "expect_column_values_to_be_between": ("column", "min_value", "max_value", "mostly", "row_condition"),
    "expect_column_to_exist": ("column",),
    "expect_column_quantile_values_to_be_between": ("column", "quantile_ranges"),
    "expect_column_values_to_be_in_set": ("column", "value_set"),
    "expect_column_pair_values_to_be_equal": ("column_A", "column_B"),
}


def _expectation_files() -> Sequence[bytes]:
    listed = b"""- expect_column_to_exist: {column: late}
- expect_column_values_to_be_between: {column: distance, min_value: 0, max_value: 6000, mostly: 0.9}
- expect_column_quantile_values_to_be_between:
    column: temp
    quantile_ranges: {quantiles: [0.1, 0.9], value_ranges: [[0, 1], [null, 90]]}
"""
    kwargs = {"column": "late", "value_set": [0, 1]}
    suite = {"name": "s", "expectations": [{"type": "expect_column_values_to_be_in_set", "kwargs": kwargs, "meta": {}, "id": "x"}]}
    return [listed, listed, as_json(suite), (ROOT / "template-repo" / "expectations.yaml").read_bytes()]


def _expectations(folder: Path, raw: bytes, case: int) -> None:
    from modelship.data import expectations

    path = folder / f"expectations.{'json' if raw[:1] == b'{' else ('yaml', 'yaml', 'yaml', 'json')[case % 4]}"
    path.write_bytes(raw)
    specs = expectations.read_expectations(path, path.name)
    engines = ("pandas", "spark", "sql")
    expectations.check_engine(specs, engines[case % 3])  # type: ignore[arg-type]
    expectations.check_names(specs, _CATALOG)
    expectations.check_substance(specs, _CATALOG)
    expectations.columns_to_read(specs, ["late", "distance"], ["late"])


def _events() -> Sequence[bytes]:
    user = {"login": "dana", "type": "User"}
    pull = {"number": 7, "head": {"sha": "a" * 40}, "base": {"sha": "b" * 40}, "updated_at": "2026-11-27T10:00:00Z"}
    return [
        as_json({"action": "labeled", "pull_request": pull, "label": {"name": "modelship-approved"}, "sender": user}),
        as_json({"action": "created", "issue": {"number": 7, "pull_request": {"url": "x"}}, "comment": {"user": user,
        "body": "x", "created_at": "y"}}),
        as_json({"before": "c" * 40, "after": "d" * 40}),
        as_json({"merge_group": {"base_sha": "e" * 40, "head_sha": "f" * 40}}),
    ]  # fmt: skip


def _event(folder: Path, raw: bytes, case: int) -> None:
    path = folder / "event.json"
    path.write_bytes(raw)
    name = ("pull_request", "issue_comment", "push", "merge_group")[case % 4]
    environ = {"GITHUB_REPOSITORY": "o/r", "GITHUB_EVENT_NAME": name, "GITHUB_EVENT_PATH": os.fspath(path), "GITHUB_SHA": "a" * 40}
    read_event(environ)
    read_word(environ)
