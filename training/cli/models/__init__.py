"""loyalty models: what lies in the model bucket, and which of it is active."""
