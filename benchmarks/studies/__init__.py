"""Studies: measured by name, for the documents; `python -m benchmarks.studies --help` lists them."""
