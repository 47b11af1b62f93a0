"""Predicts whether a flight out of New York arrives more than 15 minutes late."""
