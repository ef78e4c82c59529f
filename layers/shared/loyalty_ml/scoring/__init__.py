"""The one way to score: a table of customers in, columns of answers out."""
