"""The dry run: what training would make of a warehouse, in under a minute and without a model."""
