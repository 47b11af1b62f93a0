"""How params.yaml is read."""

from pathlib import Path

from flight_delay.settings import load_params


def test_numbers_are_numbers_also_in_scientific_notation(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("split: {}\nfeatures: [hour]\nmodel: {learning_rate: 1e-1}\n", encoding="utf-8")
    assert load_params(file).model == {"learning_rate": 0.1}
