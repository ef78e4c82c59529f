"""Delimited text and lines, pure: no file, no network, no DuckDB connection."""
