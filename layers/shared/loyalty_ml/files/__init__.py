"""Files: rows in, rows out."""
