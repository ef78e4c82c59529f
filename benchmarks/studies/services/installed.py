"""python installed.py REQUIREMENT...: what these packages and all that they need take on disk, and their versions.

As JSON on standard output: {"bytes": without bytecode, "versions": {name: version}}. Run by each venv's own Python.
"""

import json
import re
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from pip._vendor.packaging.requirements import Requirement


def main() -> None:
    found: dict[str, set[str]] = {}  # extras by name
    todo = [Requirement(each) for each in sys.argv[1:]]
    while todo:
        wanted = todo.pop()
        name = re.sub(r"[-_.]+", "-", wanted.name).lower()
        if name in found and wanted.extras <= found[name]:
            continue
        try:
            needs = distribution(name).requires or []
        except PackageNotFoundError:
            if wanted in map(Requirement, sys.argv[1:]):
                raise
            continue  # an extra's, which the lock did not take
        found.setdefault(name, set()).update(wanted.extras)
        for each in map(Requirement, needs):
            extras = [{"extra": extra} for extra in ("", *found[name])]
            if each.marker is None or any(each.marker.evaluate(extra) for extra in extras):
                todo.append(each)
    files = (Path(str(file.locate())) for name in found for file in distribution(name).files or [])
    size = sum(file.stat().st_size for file in files if "__pycache__" not in file.parts and file.exists())
    print(json.dumps({"bytes": size, "versions": {name: distribution(name).version for name in sorted(found)}}))


if __name__ == "__main__":
    main()
