"""What a command tells the person who ran it."""


class Problem(Exception):
    """Something that this person can put right. The message is a sentence: what is wrong, then what to do."""
