"""Models: their cards, the manifest that says which are active, and the interpreter that runs them."""
