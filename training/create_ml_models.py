"""python -m training.create_ml_models: the placeholder models, so that the service answers before any real training.

The same as `loyalty placeholders`.
"""

import sys
from collections.abc import Sequence

from training.cli.main import run_as
from training.cli.placeholders import COMMAND


def main(arguments: Sequence[str] | None = None) -> int:
    return run_as(COMMAND, "python -m training.create_ml_models", arguments)


if __name__ == "__main__":
    sys.exit(main())
