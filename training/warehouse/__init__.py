"""The company's warehouse, through Ibis: its tables, features computed in it, and what is learnt from it."""
