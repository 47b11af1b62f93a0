"""The gate: a candidate's metrics against the limits that the team set and against a baseline."""
