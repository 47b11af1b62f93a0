"""Data: fetched, read and validated."""
