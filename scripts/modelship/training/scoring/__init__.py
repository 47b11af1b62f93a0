"""Scores models in the team's own interpreter.

This package stands alone: a copy of it, called `modelship_scoring`, is run by whatever Python the team trains with, which needs pandas
and what loads the model, and nothing of Modelship. It reads a task as JSON and writes its answer as JSON; rows travel as Parquet, or
as CSV where pandas has no engine for Parquet. Written for Python 3.9 and newer; its own modules import each other by relative names.
"""
