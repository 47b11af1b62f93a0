"""The model card: it says what the records hold, for and against the model, and text from data stays text."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given, settings

from modelship.core.records import ColumnDrift, DriftReportRecord, ModelCheck, TrainRecord
from modelship.reporting.card import Identity, model_card
from modelship.reporting.checks import Distrusted
from tests.unit.test_escape import MARKDOWN, REFERENCE, flat, shown, texts
from tests.unit.test_reporting import hostile
from tests.unit.test_reporting_gate import accepted, scored, undecidable, worse
from tests.unit.test_reporting_scenarios import HEAD, Records, broken_data, good, trained

DIGEST = "0a1b" * 16
IDENTITY = Identity("flight-delay", "8", DIGEST, ("skops",), "run 42", "https://github.com/acme/flights/actions/runs/4242")


def drifted(*columns: str) -> DriftReportRecord:
    def column(name: str) -> ColumnDrift:
        return ColumnDrift(
            column=name, kind="numerical", drifted=name in columns, method="wasserstein", distance=0.2, threshold=0.1, p_value=0.0
        )

    return DriftReportRecord(
        status="warn", summary=f"{len(columns)} of 9 columns drifted", columns=tuple(map(column, (*columns, "calm")))
    )


def read(card: str) -> dict[str, str]:
    """The text of each section by its heading, as a reader sees it, code included."""
    parts = re.split(r"^## (.*)$", card, flags=re.MULTILINE)
    seen = [re.sub(r"&nbsp;|</?(code|b)>", lambda found: " " if found[0] == "&nbsp;" else "", part) for part in parts[1:]]
    return dict(zip(seen[::2], seen[1::2], strict=True))


def limits(records: Records) -> str:
    return read(model_card(IDENTITY, records))["Limits"]


def test_a_card_says_what_it_was_judged_on_and_made_from() -> None:
    records = good() | {"evaluate": scored(), "drift-report": drifted("temp")}
    card = model_card(IDENTITY, records)
    assert card.startswith("# flight-delay v8\n")
    sections = read(card)
    assert list(sections)[:2] == ["Model", "Data"]
    assert DIGEST in sections["Model"]
    assert "skops" in sections["Model"]
    assert "| current | data/holdout.parquet | 5,000 | 16 |" in sections["Data"]
    assert "1 of 9 columns drifted" in sections["Data"]
    assert "roc_auc" in sections["Metrics"]
    assert HEAD in sections["Lineage"]
    assert "data/train.parquet" in sections["Lineage"]
    assert "learning_rate" in sections["Parameters: 3"]


def test_metrics_come_with_their_intervals_and_slices_with_theirs() -> None:
    sections = read(model_card(IDENTITY, worse()))
    assert "−0.0211 &#91;−0.0264, −0.0159&#93;" in sections["Metrics"]
    assert "champion v7" in sections["Metrics"]
    assert "carrier=EV" in sections["Slices"]
    assert "joint 95% CI" in sections["Slices"]


def test_limits_name_what_speaks_against_the_model() -> None:
    told = limits(worse() | {"drift-report": drifted("temp", "humid"), "evaluate": scored(checks=(BROKEN,))})
    assert "roc_auc does not hold its limits: worse." in told
    assert "worse than its baseline for carrier=EV." in told
    assert "3 slices have too few rows" in told
    assert "temp, humid." in told
    assert "invariant to carrier does not hold: 4% of the rows" in told
    assert "calm" not in told


BROKEN = ModelCheck(name="invariant to carrier", holds=False, observed="4% of the rows change")


@pytest.mark.parametrize(
    ("records", "says"),
    [
        (undecidable(), "On roc_auc the data cannot tell: 5,000 rows show"),
        (accepted(), "accepted a regression"),
        (broken_data(), "of the data"),
        (good(), "Metrics have no intervals"),
        ({"train": trained()}, "Nobody has compared the model"),
        ({}, "Nobody has validated the data."),
        ({"validate": Distrusted("forged")}, "validate left behind cannot be trusted."),
        (
            {"evaluate": scored(status="error", summary="the model does not load")},
            "evaluate came to no verdict: the model does not load",
        ),
    ],
)
def test_what_is_not_known_is_said(records: Records, says: str) -> None:
    assert says in limits(records)


def test_metrics_that_nobody_judged_are_shown_as_such() -> None:
    sections = read(model_card(Identity("m"), {"train": trained()}))
    assert "0.7226" in sections["Metrics"]
    assert "nobody has judged them" in sections["Metrics"]


def test_no_more_columns_are_named_than_a_reader_reads() -> None:
    assert "c9, and 5 more." in limits({"drift-report": drifted(*(f"c{number}" for number in range(15)))})


def test_a_dirty_work_tree_is_told() -> None:
    assert "the commit alone does not give this model" in read(model_card(IDENTITY, {"train": trained(dirty=True)}))["Lineage"]


@given(texts)
@settings(max_examples=30, deadline=None)
def test_text_from_data_stays_text(text: str) -> None:
    records = hostile(text) | {"drift-report": msgspec.structs.replace(drifted(text, "b"), summary=text)}
    plain = hostile("plain") | {"drift-report": msgspec.structs.replace(drifted("plain", "b"), summary="plain")}
    assert isinstance(records["train"], TrainRecord)
    identity = Identity(text or "m", text, DIGEST, (text,), text, text)
    card = model_card(identity, records)
    assert not REFERENCE.search(shown(card).replace("https://", ""))
    tokens = [token for token in flat(MARKDOWN.parse(card)) if token.type in ("html_block", "html_inline")]
    assert {token.content.strip() for token in tokens} <= {"<code>", "</code>", "<b>", "</b>", "<sub>", "</sub>"}
    headings = [token for token in flat(MARKDOWN.parse(card)) if token.type == "heading_open"]
    assert len(headings) <= len([token for token in flat(MARKDOWN.parse(model_card(IDENTITY, plain))) if token.type == "heading_open"])
