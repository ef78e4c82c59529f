"""The whole service on one machine, with no AWS: what `make run` starts."""
