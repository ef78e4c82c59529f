"""HTTP at the edge: requests, answers, errors and their statuses."""
