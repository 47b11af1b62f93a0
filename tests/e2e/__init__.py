"""The real workflows on a real repository, on one machine: no Docker, no GitHub."""
