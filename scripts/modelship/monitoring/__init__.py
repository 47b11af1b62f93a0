"""Watching production: batches of logged predictions against what was promised at release, and the decision to train again."""
