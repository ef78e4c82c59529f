"""python -m training.cli: `loyalty`, for a Python that has no script of that name."""

import sys

from training.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
