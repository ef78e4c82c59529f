"""What whoever deploys can put right."""


class Problem(Exception):
    """The message is a sentence: what is wrong, then what to do."""
