"""How the demo shows a comment."""

from .markdown import rendered


def test_code_is_shown_as_it_is_without_its_fence() -> None:
    shown = rendered("Before\n\n```text\nroc_auc  ├──●─┤   │\n| `a` | **b** |\n```\n\nAfter **that**\n")
    assert shown.splitlines() == [
        "  │ Before",
        "  │",
        "  │ roc_auc  ├──●─┤   │",
        "  │ | `a` | **b** |",
        "  │",
        "  │ After that",
        "  │",
    ]


def test_open_details_are_shown_and_closed_ones_are_not() -> None:
    shown = rendered(
        "<details open><summary>Slices</summary>\n\nworse\n\n</details>\n\n<details><summary>Data</summary>\n\nlong\n\n</details>\n"
    )
    assert [line.lstrip(" │") for line in shown.splitlines() if line.strip(" │")] == ["▾ Slices", "worse", "▸ Data"]
