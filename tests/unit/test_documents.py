"""JSON, YAML and TOML are read strictly, with lines to point at."""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelship.core.documents import MAX_BYTES, MAX_BYTES_BY_HAND, Document, flatten, parse_document, read_document
from modelship.core.errors import BadInput, Problem

settings.register_profile("patient", deadline=None)  # a busy machine is not a failure
settings.load_profile("patient")


def refused(raw: bytes | str, name: str) -> Problem:
    with pytest.raises(BadInput) as caught:
        parse_document(raw.encode() if isinstance(raw, str) else raw, name)
    (problem,) = caught.value.problems
    assert problem.path == name
    return problem


def parsed(text: str, name: str = "x.yaml") -> Any:
    return parse_document(text.encode(), name).data


# Refused, never guessed ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["m.json", "m.yaml", "m.yml", "m.toml"])
@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"], ids=["utf-8", "utf-16-le", "utf-16-be"])
def test_a_byte_order_mark(name: str, mark: bytes) -> None:
    assert "byte order mark" in refused(mark + b'{"a": 1}', name).message


@pytest.mark.parametrize("name", ["m.json", "m.yaml", "m.toml"])
def test_another_encoding_names_the_line(name: str) -> None:
    problem = refused(b"a\nb\n\xe9", name)
    assert (problem.line, problem.message) == (3, "is not UTF-8.")


@pytest.mark.parametrize("name", ["m.json", "m.yaml", "m.toml"])
@pytest.mark.parametrize("raw", [b"", b" \n\t\n"])
def test_an_empty_file(name: str, raw: bytes) -> None:
    assert refused(raw, name).message == "is empty."


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("m.json", '{"a": 1,\n "b": 2,\n "a": 3}', None),
        ("m.json", '{"x": {"a": 1, "a": 1}}', None),
        ("m.yaml", "a: 1\nb: 2\na: 3\n", 3),
        ("m.yaml", "x:\n  a: 1\n  a: 1\n", 3),
        ("m.yaml", "{a: 1, a: 2}\n", 1),
    ],
)
def test_a_duplicate_key(name: str, text: str, line: int | None) -> None:
    problem = refused(text, name)
    assert problem.message == "has the key `a` twice."
    assert problem.line == line


def test_a_duplicate_key_in_toml() -> None:
    assert "not valid TOML" in refused("a = 1\na = 2\n", "m.toml").message


@pytest.mark.parametrize("first", ["1", "yes", "a b", "a\\nb"])
def test_a_duplicate_key_of_any_kind(first: str) -> None:
    assert "twice" in refused(f'"{first}": 1\n"{first}": 2\n', "m.yaml").message


def test_keys_that_become_the_same_text_are_duplicates_too() -> None:
    """`1` and `"1"` are two keys to YAML and one name to us: neither value may silently win."""
    assert "twice" in refused('1: 0.1\n"1": 0.9\n', "m.yaml").message


@given(cut=st.integers(1, 80))
def test_a_truncated_json_file(cut: int) -> None:
    whole = json.dumps({"roc_auc": 0.744, "slices": [{"carrier": "EV", "n": 14}], "ok": True, "text": "a b"}, indent=1)
    assert refused(whole[: min(cut, len(whole) - 1)], "m.json")


@pytest.mark.parametrize("text", ['{"a": 1', '{"a": ', '{"a": [1, 2'])
def test_a_truncated_json_file_is_told_so(text: str) -> None:
    assert "ends too early" in refused(text, "m.json").message


@pytest.mark.parametrize("text", ["a: [1, 2", 'a: "b', "a: {b: 1", "a: 1\nb"])
def test_a_truncated_yaml_file(text: str) -> None:
    assert "not valid YAML" in refused(text, "m.yaml").message


@pytest.mark.parametrize("name", ["m.json", "m.yaml"])
@pytest.mark.parametrize("text", ['{"a\\ud800": 1}', '{"a": "\\ud800"}', '{"a": ["\\udc00"]}'])
def test_half_a_character(name: str, text: str) -> None:
    """A lone surrogate cannot be written to any record: it must not come further than this."""
    assert refused(text, name)


def test_two_yaml_documents_in_one_file() -> None:
    assert "YAML" in refused("a: 1\n---\nb: 2\n", "m.yaml").message


def test_garbage_names_the_line() -> None:
    assert refused('{"a": 1,\n"b": oops}', "m.json").line == 2
    assert refused("a: 1\nb: [1,\n}\n", "m.yaml").line == 3


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system ['true']", "a: !!python/name:os.system", "a: !whatever 1"])
def test_a_yaml_tag_runs_nothing(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    try:
        data = parsed(text)
    except BadInput:
        return
    assert isinstance(data, str | dict | list)
    json.dumps(data)


def test_aliases_that_expand_without_end() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
    assert "too many values" in refused(bomb, "m.yaml").message


@pytest.mark.parametrize("text", ["a: &a\n  b: *a\n", "a: &a\n  - *a\n", "&a [*a, *a]"])
def test_an_alias_to_itself_ends(text: str) -> None:
    try:
        data = parsed(text, "m.yaml")
    except BadInput:
        return
    assert flatten(data).keys() <= {"a.b", "a.0", "0", "1"}
    assert set(flatten(data).values()) == {None}


@pytest.mark.parametrize(
    ("name", "depth"), [("m.json", 100_000), ("m.yaml", 200), ("m.yaml", 5_000), ("m.yaml", 100_000), ("m.toml", 100_000)]
)
def test_deep_nesting(name: str, depth: int) -> None:
    assert refused(f"{'a = ' if name == 'm.toml' else ''}{'[' * depth}{']' * depth}", name)


@pytest.mark.parametrize(
    ("name", "text", "most", "says"),
    [
        ("m.json", b'{"a": 1}', MAX_BYTES, "is larger than 4,096 KiB."),
        ("m.yaml", b"a: 1", MAX_BYTES_BY_HAND, "is larger than 256 KiB. JSON may be larger."),
        ("m.toml", b"a = 1", MAX_BYTES_BY_HAND, "is larger than 256 KiB. JSON may be larger."),
    ],
)
def test_a_file_that_is_too_large(name: str, text: bytes, most: int, says: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(text.ljust(most, b"\n"))
    assert read_document(path).data == {"a": 1}
    path.write_bytes(text.ljust(most + 1, b"\n"))
    with pytest.raises(BadInput) as caught:
        read_document(path)
    assert str(caught.value).endswith(says)


def test_who_writes_by_machine_may_write_more() -> None:
    text = "a:\n" + "".join(f"- b: {n}\n" for n in range(40_000))
    assert "larger than 256 KiB" in refused(text, "m.yaml").message
    assert len(parse_document(text[:100_000].rpartition("\n")[0].encode(), "m.yaml", most_values=500_000).data["a"]) > 4_000


@pytest.mark.parametrize(("count", "is_read"), [(4_999, True), (5_000, False)])
@pytest.mark.parametrize("line", ["k{}: 1\n", "- - {}\n"])
def test_keys_count_as_values_do(count: int, is_read: bool, line: str) -> None:
    """With what holds them 10,000 are the most."""
    text = "".join(line.format(n) for n in range(count))
    if is_read:
        assert len(parsed(text)) == count
    else:
        assert "too many values" in refused(text, "m.yaml").message


@pytest.mark.parametrize("kind", ["int", "float", "bool"])
@pytest.mark.parametrize("text", ["", "''", "x", "'-'", "'.'", "1:2", "0x"])
def test_a_tag_that_is_not_true(kind: str, text: str) -> None:
    problem = refused(f"a: 1\nb: !!{kind} {text}\n", "m.yaml")
    assert (problem.message, problem.line) == (f"holds a `!!{kind}` that is none.", 2)


def test_a_tag_without_end() -> None:
    assert "tag" in refused("a: !" + "x" * 100_000 + " 1", "m.yaml").message
    assert parsed("a: !" + "x" * 900 + " 1") == {"a": "1"}


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        read_document(tmp_path / "none.json")
    with pytest.raises(BadInput, match="cannot be read"):
        read_document(tmp_path, "folder.json")


@pytest.mark.parametrize("name", ["metrics", "metrics.csv", "metrics.json.bak"])
def test_an_unknown_suffix(name: str) -> None:
    assert ".json, .yaml, .yml or .toml" in refused("{}", name).remedy


@given(raw=st.binary(max_size=200), suffix=st.sampled_from(["json", "yaml", "toml"]))
def test_any_bytes_are_read_or_refused(raw: bytes, suffix: str) -> None:
    """Nothing but a BadInput comes out: no crash, whatever stands in the file."""
    with contextlib.suppress(BadInput):
        parse_document(raw, f"m.{suffix}")


yaml_soup = st.text(alphabet="abn:-[]{}&*!|>'\"#%@`,?\n 01.~<=", max_size=40)


@given(text=yaml_soup)
def test_any_yaml_like_text_is_read_or_refused(text: str) -> None:
    try:
        document = parse_document(text.encode(), "m.yaml")
    except BadInput:
        return
    assert isinstance(document, Document)
    json.dumps(document.data)


# Kept as written -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("0.1", 0.1),
        ("+1.5", 1.5),
        ("12", 12),
        ("012", 12),
        ("0o14", 12),
        ("0x1F", 31),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("1:30", "1:30"),
        ("1%", "1%"),
        ("6h", "6h"),
        ("'1e-3'", "1e-3"),
    ],
)
def test_yaml_is_1_2(written: str, value: Any) -> None:
    data = parsed(f"a: {written}\n")
    assert data == {"a": value}
    assert type(data["a"]) is type(value)


@pytest.mark.parametrize("text", ['{"a": NaN, "b": Infinity, "c": -Infinity}', "a: .nan\nb: .inf\nc: -.inf\n", "a=nan\nb=inf\nc=-inf"])
def test_nan_and_infinity_are_kept_for_the_gate_to_name(text: str) -> None:
    suffix = "json" if text.startswith("{") else "toml" if "=" in text else "yaml"
    data = parsed(text, f"m.{suffix}")
    assert math.isnan(data["a"])
    assert (data["b"], data["c"]) == (math.inf, -math.inf)


def test_yaml_data_is_plain() -> None:
    data = parsed("a: 1\nb: [1.5, x, 'y', true, null]\nc:\n  d: |\n    text\n")
    assert data == {"a": 1, "b": [1.5, "x", "y", True, None], "c": {"d": "text\n"}}
    found = [data, data["a"], data["b"], *data["b"], data["c"], data["c"]["d"]]
    assert {type(value) for value in found} == {dict, int, list, float, str, bool, type(None)}


def test_lines() -> None:
    document = parse_document(
        b"# first\nmodel: m\ngate:\n  metrics:\n    roc_auc:\n      min: 1\n    f1: {min: 2,\n      max: 3}\n", "m.yaml"
    )
    assert document.line(("model",)) == 2
    assert document.line(("gate", "metrics", "roc_auc", "min")) == 6
    assert document.line(("gate", "metrics", "f1", "max")) == 8
    assert document.line(("gate", "metrics", "f1", "none")) == 7, "the nearest parent that has one"
    assert document.line(("nothing",)) is None


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=10,
)


@given(plain)
def test_json_comes_back_as_it_went(data: Any) -> None:
    assert parse_document(json.dumps(data).encode(), "m.json").data == data


@given(
    st.dictionaries(
        st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=6), st.integers(), min_size=1
    )
)
def test_json_text_is_the_same_in_yaml(data: dict[str, int]) -> None:
    assert parsed(json.dumps(data)) == data


def test_flatten() -> None:
    assert flatten({"a": {"b": [1, {"c": 2}]}, "d": None}) == {"a.b.0": 1, "a.b.1.c": 2, "d": None}
    assert flatten({"a": {}, "b": []}) == {}


def test_flattening_loses_no_leaf_to_another() -> None:
    """`a.b` and `a: {b}` are one name: neither number may silently win."""
    from modelship.core.metrics import read_metrics

    with pytest.raises(BadInput, match=r"a\.b"):
        read_metrics(Document("metrics.json", {"a": {"b": 0.1}, "a.b": 0.9}))
