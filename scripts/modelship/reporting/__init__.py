"""The report: one pure function from records to a typed report, and its renderers."""
