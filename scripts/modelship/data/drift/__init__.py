"""Whether one table looks like another: columns chosen, measured, judged and drawn."""
