"""Training: the team's own command, in its own environment."""
