"""python -m training.train_models_from_dwh: from the company's warehouse to a measured model set.

The same as `loyalty train`.
"""

import sys
from collections.abc import Sequence

from training.cli.main import run_as
from training.cli.train import COMMAND


def main(arguments: Sequence[str] | None = None) -> int:
    return run_as(COMMAND, "python -m training.train_models_from_dwh", arguments)


if __name__ == "__main__":
    sys.exit(main())
