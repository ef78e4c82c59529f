"""Customer predictions: a table of customers in, columns of answers out."""
