"""Parsers against broken input: `make fuzz` takes 100,000 cases each, `tests/unit/test_fuzz.py` a few hundred."""
