"""What became of a model over time: read from registry, ledger and monitoring, and judged as a whole."""
