"""How many examples a property is tried with."""

from hypothesis import settings


def examples(count: int) -> int:
    """As much of `count` as the profile has it: all in `ci`, a tenth in `dev`, twice in `long` (conftest.py)."""
    profile = settings.default
    assert profile is not None
    return max(1, count * profile.max_examples // 100)
