"""Everything in the gate that looks at rows: it needs numpy and pyarrow, and is imported only where there are predictions."""
