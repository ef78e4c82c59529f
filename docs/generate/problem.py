"""What stops the pages from being written."""


class Undocumented(Exception):
    """Something in the code that a page has to describe has no description; the message names it."""
