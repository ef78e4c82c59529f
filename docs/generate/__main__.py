"""`make docs`: writes the reference pages from the code. With --check: fails when one of them has drifted."""

import argparse
import os
import sys
from pathlib import Path

# Powertools reads these when it is first imported.
os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "loyalty-ml")
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "LoyaltyML")
# The parsers take a default from it, which is no business of a page.
os.environ.pop("WAREHOUSE_URL", None)

from docs.generate import api, commands, configuration, errors, metrics, parameters, warehouse
from docs.generate.problem import Undocumented
from local import openapi

REPOSITORY = Path(__file__).parents[2]
REFERENCE = REPOSITORY / "docs" / "reference"


def pages() -> dict[Path, str]:
    """Every generated file and its text. Raises Undocumented where the code does not say what a page has to."""
    described = {REFERENCE / "api" / name: text for name, text in api.pages().items()}
    return described | {
        REFERENCE / "errors.md": errors.page(),
        REFERENCE / "configuration.md": configuration.page(),
        REFERENCE / "parameters.md": parameters.page(),
        REFERENCE / "commands.md": commands.page(),
        REFERENCE / "warehouse-toml.md": warehouse.page(),
        REFERENCE / "metrics.md": metrics.page(),
        openapi.PATH: openapi.text(),
    }


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m docs.generate", description=__doc__)
    made.add_argument("--check", action="store_true", help="write nothing: fail when a page is not what the code says")
    return made


def main(arguments: list[str] | None = None) -> int:
    check: bool = parser().parse_args(arguments).check
    try:
        written = pages()
    except Undocumented as problem:
        print(f"docs: {problem}", file=sys.stderr)
        return 1
    left = set(REFERENCE.rglob("*.md")) - written.keys()
    drifted = [path for path, text in written.items() if not path.exists() or path.read_text() != text]
    names = ", ".join(sorted(str(path.relative_to(REPOSITORY)) for path in (*drifted, *left)))
    if check:
        if names:
            print(
                f"docs: the code says otherwise than {names}: run 'make docs' and commit what it writes.",
                file=sys.stderr,
            )
        return 1 if names else 0
    for path in left:
        path.unlink()
    for path in drifted:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(written[path])
    print(f"Wrote {names}" if names else "Every page is what the code says.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
