"""What a pull request changes in the tables: rows by key, columns, and what their values look like."""
