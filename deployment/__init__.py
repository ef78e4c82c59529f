"""What is done with a deployed stack: looked at from outside, its snapshots and versions kept in order."""
