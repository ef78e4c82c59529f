"""How long to wait before another try."""

import random
from collections.abc import Iterator

FIRST_SECONDS = 0.05
LONGEST_SECONDS = 1.0


def pauses(first_seconds: float = FIRST_SECONDS, longest_seconds: float = LONGEST_SECONDS) -> Iterator[float]:
    """Seconds to wait before the second try, the third, and so on: exponential, with full jitter.

    Each is drawn from 0 to a limit that doubles: callers that were throttled together must not come back together
    (Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015).
    """
    limit = first_seconds
    while True:
        yield random.uniform(0, limit)  # noqa: S311 (no secret)
        limit = min(2 * limit, longest_seconds)
