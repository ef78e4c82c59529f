"""A customer erased from everything that the service keeps, or listed where somebody else has to decide."""
