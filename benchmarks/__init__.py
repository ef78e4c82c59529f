"""Speed, measured beside a peer in the same run: what `make bench` prints."""
