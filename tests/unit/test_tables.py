"""Tables in files, read with the types that all their values fit."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelship.core.errors import BadInput
from modelship.data.tables import csv_files, json_files
from modelship.data.tables.opening import open_table
from modelship.data.tables.reader import BATCH_ROWS, MixedColumn, TableReader


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def written(folder: Path, content: str | bytes, name: str = "table.csv") -> TableReader:
    raw = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return open_table(name, folder)


def types(reader: TableReader) -> dict[str, str]:
    return {field.name: str(field.type) for field in reader.schema()}


def refusal(reader: TableReader) -> str:
    with pytest.raises(BadInput) as caught:
        reader.read()
    return str(caught.value)


# CSV.


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-2", ""], "int64"),
        (["1", "+2", " 3 "], "int64"),
        (["007", "12"], "int64"),
        (["1", "18446744073709551615"], "uint64"),
        (["-1", "18446744073709551615"], "string"),
        (["123456789012345678901", "5"], "string"),
        (["123456789012345678901", "5.5"], "double"),
        (["1", "2.5", "1e3", ".5", "inf"], "double"),
        (["0x1f", "0x20"], "string"),
        (["True", "false", "NA"], "bool"),
        (["True", "1"], "string"),
        (["2026-01-01", "2026-01-02 03:04", "2026-01-02T03:04:05.678901"], "timestamp[us]"),
        (["2026-01-01T00:00Z", "2026-01-01 01:00:00+02:00"], "timestamp[us, tz=UTC]"),
        (["2026-01-01T00:00Z", "2026-01-01"], "string"),
        (["2026-01-01", "2026-13-01"], "string"),
        (["20260101", "20260102"], "int64"),
        (["", "NaN", "null"], "null"),
        (["a", "N/A"], "string"),
    ],
)
def test_a_column_has_the_narrowest_type_that_its_values_fit(folder: Path, values: list[str], kind: str) -> None:
    for order in (values, values[::-1]):
        assert types(written(folder, "x,n\n" + "".join(f"{value},0\n" for value in order))) == {"x": kind, "n": "int64"}


@pytest.mark.parametrize(
    ("late", "kind", "first", "last"),
    [("x", "string", "1", "x"), ("2.5", "double", 1.0, 2.5), ("-9223372036854775809", "string", "1", "-9223372036854775809")],
)
def test_the_last_block_says_as_much_as_the_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch, late: str, kind: str, first: Any, last: Any
) -> None:
    monkeypatch.setattr(csv_files, "_BLOCK_BYTES", 1000)
    reader = written(folder, "x\n" + "1\n" * 2000 + f"{late}\n")
    assert types(reader) == {"x": kind}
    assert reader.rows() == 2001
    batches = list(reader.batches())
    assert len(batches) > 1
    assert (batches[0][0][0].as_py(), batches[-1][0][-1].as_py()) == (first, last)


def test_batches_are_small(folder: Path) -> None:
    reader = written(folder, "x\n" + "1\n" * 200_000)
    assert sum(batch.num_rows for batch in reader.batches()) == 200_000
    assert max(batch.num_rows for batch in reader.batches()) <= BATCH_ROWS


cells = st.sampled_from(["", "1", "-2", "3.5", "NA", "x", "y z", "True", "false", "1e5", "007", "inf", '"q,""r"', '"a\nb"'])


@given(st.lists(st.tuples(cells, cells), max_size=8), st.booleans())
@settings(deadline=None, max_examples=100)
def test_csv_is_what_pandas_reads(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], bom: bool) -> None:
    """Times aside, which pandas leaves text."""
    text = "a,b\n" + "".join(f"{first},{second}\n" for first, second in rows)
    frame = written(tmp_path_factory.mktemp("csv"), ("\ufeff" if bom else "") + text).read()
    known = pd.read_csv(io.StringIO(text), index_col=False, low_memory=False)
    if rows:
        read, expected = (table.astype(object).where(table.notna(), None).to_dict("list") for table in (frame, known))
        assert read == expected
        same = {name: kind for name, kind in known.dtypes.items() if kind.kind != "O"}
        assert {name: frame[name].dtype for name in same} == same
    assert list(frame) == ["a", "b"]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz", "TABLE.CSV"])
def test_line_ends_blank_lines_and_compression_change_nothing(folder: Path, ending: str, name: str) -> None:
    content = ending.join(["\ufeff", "a,b", "1,x", "", '2,"y"'])
    assert written(folder, content, name).read().to_dict("list") == {"a": [1, 2], "b": ["x", "y"]}


def test_a_header_may_hold_anything(folder: Path) -> None:
    names = ['"a\nb"', '"c,d"', "", "é"]
    reader = written(folder, ",".join(names) + "\n1,2,3,4\n")
    assert reader.columns() == ["a\nb", "c,d", "", "é"]
    assert reader.read(["é", "a\nb"]).to_dict("list") == {"é": [4], "a\nb": [1]}


@pytest.mark.parametrize("content", ["a,b\n", "a,b", "a,b\n\n\n"])
def test_a_header_alone_is_a_table_without_rows(folder: Path, content: str) -> None:
    reader = written(folder, content)
    assert (reader.columns(), reader.rows(), len(reader.read())) == (["a", "b"], 0, 0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b\n1,2,3\n", "Expected 2 columns, got 3"),
        ("a,b\n1,2\n3\n", "Expected 2 columns, got 1"),
        ('a,b\n1,"x\n2,3\n', "unexpected end"),
        (b"a,b\n1,\xe9\n", "is no UTF-8. Save it"),
        (b"a,\xe9\n1,2\n", "is no UTF-8. Save it"),
        (b"a,b\n" + b"1,2\n" * 3_000 + b"1,\xe9\n", "is no UTF-8. Save it"),
        ("a;b\n1;2\n", "has fields separated by semicolons"),
        ("a\tb\n1\t2\n", "has fields separated by tabs"),
        ("a,a\n1,2\n", "more than once"),
    ],
)
def test_a_broken_csv_file_is_refused(folder: Path, content: str | bytes, said: str) -> None:
    for name in ("table.csv", "table.csv.gz"):
        assert said.lower() in refusal(written(folder, content, name)).lower()


def test_a_quote_within_a_field_opens_nothing(folder: Path) -> None:
    assert written(folder, 'a,b\n5" pipe,1\n').read().to_dict("list") == {"a": ['5" pipe'], "b": [1]}


def test_most_values_are_numbers_and_the_others_are_shown(folder: Path) -> None:
    reader = written(folder, "n,t,all,few\n" + "1,2026-01-01,a,1\n" * 3 + "x,soon,b,c\n" + "NA,,c,d\n" + "2.5,2026-01-02,d,e\n")
    assert reader.mixed() == {
        "n": MixedColumn("number", 4, 1, {3: "x"}),
        "t": MixedColumn("time", 4, 1, {3: "soon"}),
    }
    assert reader.read(["n"])["n"].tolist()[3:4] == ["x"]


def test_what_is_shown_of_the_others_is_short(folder: Path) -> None:
    reader = written(folder, "x\n" + "1\n" * 50 + "".join(f"{'z' * 1000}{row}\n" for row in range(20)))
    found = reader.mixed()["x"]
    assert (found.values, found.others, list(found.sample)) == (50, 20, [50, 51, 52, 53, 54])
    assert {len(text) for text in found.sample.values()} == {100}


def test_a_record_longer_than_a_block_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_files, "_BLOCK_BYTES", 1000)
    assert "block" in refusal(written(folder, "a,b\n1," + "x" * 5000 + "\n"))


# Parquet.


def test_parquet_keeps_the_types_of_pandas(folder: Path) -> None:
    frame = pd.DataFrame(
        {
            "whole": pd.array([1, None, 3], dtype="Int64"),
            "kind": pd.Categorical(["a", None, "b"], categories=["b", "a"], ordered=True),
            "at": pd.to_datetime(["2026-01-01", None, "2026-01-02"]),
            "zoned": pd.to_datetime(["2026-01-01", None, "2026-01-02"]).tz_localize("Europe/Berlin"),
            "text": ["x", None, "y"],
        }
    )
    frame.to_parquet(folder / "table.parquet")
    pd.testing.assert_frame_equal(open_table("table.parquet", folder).read(), pd.read_parquet(folder / "table.parquet"))


def test_an_index_with_a_name_is_a_column_and_one_without_is_none(folder: Path) -> None:
    frame = pd.DataFrame({"x": [1, 2]}, index=pd.Index([8, 9], name="id"))
    frame.to_parquet(folder / "named.parquet")
    frame.rename_axis(None).to_parquet(folder / "unnamed.parquet")
    assert open_table("named.parquet", folder).read().to_dict("list") == {"x": [1, 2], "id": [8, 9]}
    unnamed = open_table("unnamed.parquet", folder)
    assert (unnamed.columns(), unnamed.read().index.tolist()) == (["x"], [0, 1])


def test_days_are_times_whatever_they_are_stored_in(folder: Path) -> None:
    """Great Expectations compares no text with Python's dates."""
    pq.write_table(pa.table({"day": [date(2026, 1, 2), None]}), folder / "table.parquet")
    assert open_table("table.parquet", folder).read()["day"].dtype.kind == "M"
    assert written(folder, "day\n2026-01-02\n").read()["day"].dtype.kind == "M"


def test_a_nested_column_does_not_hide_one_of_its_name(folder: Path) -> None:
    pq.write_table(pa.table({"wind": [{"speed": 1}], "wind.speed": [2]}), folder / "table.parquet")
    reader = open_table("table.parquet", folder)
    assert reader.read(["wind.speed"]).to_dict("list") == {"wind.speed": [2]}
    assert [batch.num_columns for batch in reader.batches(["wind"])] == [1]


@pytest.fixture
def parts(folder: Path) -> Path:
    """A table of 12 rows in three files, in folders by year and month."""
    table = pa.table({"id": np.arange(12), "year": [2025] * 4 + [2026] * 8, "month": ["a"] * 8 + ["b"] * 4, "x": np.arange(12) / 2})
    pq.write_to_dataset(table, folder / "table", partition_cols=["year", "month"])
    (folder / "table" / "_SUCCESS").touch()
    return folder / "table"


def test_a_partitioned_folder_is_one_table(folder: Path, parts: Path) -> None:
    reader = open_table("table", folder)
    assert (reader.kind, reader.columns(), reader.rows()) == ("Parquet", ["id", "x", "year", "month"], 12)
    frame = reader.read()
    assert frame["id"].tolist() == list(range(12))
    assert frame["year"].tolist() == [2025] * 4 + [2026] * 8
    assert frame["month"].tolist() == ["a"] * 8 + ["b"] * 4
    assert reader.read(["month", "id"]).columns.tolist() == ["month", "id"]
    assert reader.read(["year"])["year"].tolist() == [2025] * 4 + [2026] * 8
    assert [list(piece) for piece in reader.pieces(["x", "year"])] == [["x"], ["year"]]


def test_a_plain_folder_of_parts_is_one_table_whose_types_hold_all_of_them(folder: Path) -> None:
    (folder / "table.parquet").mkdir()
    for number, values in enumerate([[1, 2], [None, None], [2.5, None]]):
        kind = [pa.int64(), pa.null(), pa.float64()][number]
        pq.write_table(pa.table({"x": pa.array(values, kind), "n": [number] * 2}), folder / "table.parquet" / f"part-{number}.parquet")
    reader = open_table("table.parquet", folder)
    assert types(reader) == {"x": "double", "n": "int64"}
    assert reader.read(["x"])["x"].tolist()[:2] == [1.0, 2.0]
    assert (reader.rows(), reader.read(["n"])["n"].tolist()) == (6, [0, 0, 1, 1, 2, 2])


@pytest.mark.parametrize(
    ("other", "said"), [(pa.table({"y": [1]}), "has other columns"), (pa.table({"x": ["a"]}), "has another type")]
)
def test_files_that_are_no_one_table_are_refused(folder: Path, other: pa.Table, said: str) -> None:
    (folder / "table").mkdir()
    pq.write_table(pa.table({"x": [1]}), folder / "table" / "a.parquet")
    pq.write_table(other, folder / "table" / "b.parquet")
    told = refusal(open_table("table", folder))
    assert "`b.parquet`" in told
    assert said in told


def test_a_folder_without_a_table_is_refused(folder: Path) -> None:
    (folder / "table").mkdir()
    assert "without a Parquet file" in refusal(open_table("table", folder))
    pq.write_table(pa.table({"x": [1]}), folder / "table" / "a.parquet")
    (folder / "table" / "b.csv").write_text("x\n2\n")
    assert "`b.csv`, which is no Parquet file" in refusal(open_table("table", folder))


def test_text_in_parquet_may_be_mixed_too(folder: Path) -> None:
    table = pa.table(
        {"x": pa.array(["1", "2", None, "n/a?"]).dictionary_encode(), "name": ["1", "a", "b", "c"], "zip": ["1", "2", "3", "4"]}
    )
    pq.write_table(table, folder / "table.parquet")
    assert open_table("table.parquet", folder).mixed() == {"x": MixedColumn("number", 2, 1, {3: "n/a?"})}


# JSON lines.


def lines(folder: Path, *objects: Any, name: str = "table.jsonl") -> TableReader:
    return written(folder, "".join(json.dumps(item) + "\n" for item in objects), name)


@pytest.mark.parametrize(
    ("values", "kind", "read"),
    [
        ([1, None, 3], "int64", [1.0, None, 3.0]),
        ([1, 2.5], "double", [1.0, 2.5]),
        ([1, 2**70], "string", ["1", str(2**70)]),
        ([True, False, None], "bool", [True, False, None]),
        (["1", "2"], "string", ["1", "2"]),
        (["2026-01-01", "2026-01-02T03:04:05"], "timestamp[us]", [pd.Timestamp(2026, 1, 1), pd.Timestamp(2026, 1, 2, 3, 4, 5)]),
        (["2026-01-01", "soon"], "string", ["2026-01-01", "soon"]),
        ([{"a": 1}, [1, "x"], None], "string", ['{"a": 1}', '[1, "x"]', None]),
        ([None, None], "null", [None, None]),
    ],
)
@pytest.mark.parametrize("chunk", [1, 2, 1000])
def test_json_has_types_that_all_its_values_fit(
    folder: Path, monkeypatch: pytest.MonkeyPatch, values: list[Any], kind: str, read: list[Any], chunk: int
) -> None:
    monkeypatch.setattr(json_files, "CHUNK_ROWS", chunk)
    for name in ("table.jsonl", "table.ndjson.gz"):
        reader = lines(folder, *({"x": value} for value in values), name=name)
        assert (reader.kind, types(reader), reader.mixed()) == ("JSON lines", {"x": kind}, {})
        frame = reader.read()
        assert frame["x"].astype(object).where(frame["x"].notna(), None).tolist() == read


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_values_of_several_types_are_text_and_told(folder: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(json_files, "CHUNK_ROWS", chunk)
    reader = lines(folder, *({"x": value} for value in [1, 2.5, True, "a", None, 3]))
    assert reader.read()["x"].tolist()[:4] == ["1", "2.5", "true", "a"]
    assert reader.mixed() == {"x": MixedColumn("number", 3, 2, {2: "true", 3: "a"})}


def test_lines_need_not_have_the_same_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_files, "CHUNK_ROWS", 1)
    reader = lines(folder, {}, {"a": 1}, {"b": "x", "a": 2}, {})
    assert (reader.columns(), reader.rows()) == (["a", "b"], 4)
    assert [batch.num_rows for batch in reader.batches(["b"])] == [1, 1, 1, 1]
    assert reader.read(["b"])["b"].notna().tolist() == [False, False, True, False]
    assert [list(piece) for piece in reader.pieces(["b", "a"])] == [["b"], ["a"]]


def test_what_python_writes_for_no_number_is_read(folder: Path) -> None:
    assert lines(folder, {"x": float("inf")}, {"x": 1}).read()["x"].tolist() == [float("inf"), 1.0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"x": 1}\n{"x":', "table.jsonl:2: is no JSON"),
        ('{"x": 1}\n\n[1]\n', "table.jsonl:3: is no object"),
        ('[{"x": 1}]', "table.jsonl:1: is no object"),
        ('{"x": 1, "x": 2}\n', "table.jsonl:1: has the column `x` more than once"),
        (b'{"x": "\xe9"}\n', "table.jsonl:1: is no UTF-8. Save it"),
    ],
)
def test_lines_that_are_no_objects_are_refused(folder: Path, content: str | bytes, said: str) -> None:
    assert said in refusal(written(folder, content, "table.jsonl"))


def test_a_block_ends_with_a_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_files, "_BLOCK_BYTES", 7)
    assert lines(folder, *({"x": number} for number in range(50))).read()["x"].tolist() == list(range(50))
    monkeypatch.setattr(json_files, "MAX_LINE_BYTES", 30)
    assert "a line of more than" in refusal(lines(folder, {"x": "a" * 100}))


# Arrow.


@pytest.mark.parametrize("stream", [False, True])
def test_arrow_files_are_read_in_small_batches(folder: Path, stream: bool) -> None:
    table = pa.table({"x": np.arange(100_000), "text": pa.array(["a", None] * 50_000, pa.string_view())})
    writer = pa.ipc.new_stream if stream else pa.ipc.new_file
    with writer(str(folder / "table.arrow"), table.schema) as file:
        file.write_table(table)
    reader = open_table("table.arrow", folder)
    assert (reader.kind, reader.rows(), types(reader)) == ("Arrow", 100_000, {"x": "int64", "text": "string"})
    batches = list(reader.batches(["text", "x"]))
    assert max(batch.num_rows for batch in batches) <= BATCH_ROWS
    assert pa.Table.from_batches(batches)["x"].to_pylist() == list(range(100_000))
    assert reader.read(["text"])["text"].tolist()[0] == "a"


def test_feather_is_what_pandas_wrote(folder: Path) -> None:
    frame = pd.DataFrame({"x": [1, 2], "kind": pd.Categorical(["a", None]), "at": pd.to_datetime(["2026-01-01", None])})
    frame.to_feather(folder / "table.feather")
    pd.testing.assert_frame_equal(open_table("table.feather", folder).read(), frame)


@pytest.mark.parametrize("name", ["table.arrow", "table.parquet", "table.csv.gz", "table.jsonl.gz"])
def test_a_file_that_was_cut_off_is_refused(folder: Path, name: str) -> None:
    frame = pd.DataFrame({"x": range(1000), "y": [f"text {number}" for number in range(1000)]})
    writers: dict[str, Callable[[Path], object]] = {
        "table.arrow": frame.to_feather,
        "table.parquet": frame.to_parquet,
        "table.csv.gz": lambda path: frame.to_csv(path, index=False),
        "table.jsonl.gz": lambda path: frame.to_json(path, orient="records", lines=True),
    }
    writers[name](folder / name)
    (folder / name).write_bytes((folder / name).read_bytes()[:-20])
    assert "cannot be read as" in refusal(open_table(name, folder))


# Any table.


def test_names_that_are_not_there_or_there_twice_are_refused(folder: Path) -> None:
    reader = written(folder, "a,b,b\n1,2,3\n")
    assert reader.read(["a"])["a"].tolist() == [1]
    for columns, said in ((["b"], "more than once"), (["c"], "has no column `c`")):
        with pytest.raises(BadInput, match=said):
            reader.read(columns)


@pytest.mark.parametrize("name", ["table.csv", "table.jsonl", "table.parquet", "table.arrow", "folder"])
def test_no_columns_are_no_batches(folder: Path, name: str) -> None:
    table = pa.table({"x": [1, 2]})
    (folder / "folder").mkdir()
    pq.write_table(table, folder / "table.parquet")
    pq.write_table(table, folder / "folder" / "part.parquet")
    table.to_pandas().to_csv(folder / "table.csv", index=False)
    table.to_pandas().to_json(folder / "table.jsonl", orient="records", lines=True)
    table.to_pandas().to_feather(folder / "table.arrow")
    reader = open_table(name, folder)
    assert (list(reader.batches([])), list(reader.read([])), reader.rows()) == ([], [], 2)
    assert reader.read().to_dict("list") == {"x": [1, 2]}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [("table.xlsx", b"x", "suffix"), ("table.csv", b"", "is empty"), ("table.csv", None, "does not exist")],
)
def test_what_is_no_table_is_not_opened(folder: Path, name: str, content: bytes | None, said: str) -> None:
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(BadInput, match=said):
        open_table(name, folder)
