"""GitHub: a small client, and the publication of a report through it."""
