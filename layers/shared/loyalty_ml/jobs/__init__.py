"""Jobs: what takes longer than a request may."""
