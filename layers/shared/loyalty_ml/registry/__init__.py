"""The model registry: which versions lie in the bucket, which are active, and how that is changed."""
