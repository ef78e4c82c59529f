"""`make docs`: writes the reference pages from the code. With --check: fails when one of them has drifted."""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

# Powertools reads these when it is first imported.
os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "loyalty-ml")
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "LoyaltyML")
# The parsers take a default from it, which is no business of a page.
os.environ.pop("WAREHOUSE_URL", None)

from docs.generate import (
    api,
    client,
    client_answers,
    commands,
    configuration,
    errors,
    limits,
    metrics,
    parameters,
    warehouse,
)
from docs.generate.problem import Undocumented
from local import openapi

REPOSITORY = Path(__file__).parents[2]
REFERENCE = REPOSITORY / "docs" / "reference"
CLIENT = REPOSITORY / "client" / "src" / "loyalty_client"


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
        REFERENCE / "limits.md": limits.page(),
        openapi.PATH: openapi.text(),
        CLIENT / "codes.py": client.codes_module(),
        CLIENT / "answers.py": client_answers.module(openapi.document()["components"]["schemas"]),
        CLIENT / "async_client.py": client.async_client_module(client.SOURCE.read_text()),
    }


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m docs.generate", description=__doc__)
    made.add_argument("--check", action="store_true", help="write nothing: fail when a page is not what the code says")
    return made


def main(arguments: list[str] | None = None) -> int:
    only_check: bool = parser().parse_args(arguments).check
    try:
        written = pages()
    except Undocumented as problem:
        print(f"docs: {problem}", file=sys.stderr)
        return 1
    if only_check:
        return check(written, REFERENCE)
    names = write(written, REFERENCE)
    print(f"Wrote {names}." if names else "Every page is what the code says.")
    return 0


def check(written: Mapping[Path, str], folder: Path) -> int:
    """The exit code: 1, and a sentence on standard error, if a page is not what the code says."""
    drifted, left = _differing(written, folder)
    if not (drifted or left):
        return 0
    print(
        f"docs: the code says otherwise than {_names(drifted, left)}: run 'make docs' and commit what it writes.",
        file=sys.stderr,
    )
    return 1


def write(written: Mapping[Path, str], folder: Path) -> str:
    """Writes what has drifted and removes pages of what is gone. Returns their names."""
    drifted, left = _differing(written, folder)
    for path in left:
        path.unlink()
    for path in drifted:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(written[path])
    return _names(drifted, left)


def _differing(written: Mapping[Path, str], folder: Path) -> tuple[list[Path], list[Path]]:
    """Pages whose text differs, and pages in the folder that nothing writes."""
    drifted = [path for path, text in written.items() if not path.exists() or path.read_text() != text]
    return drifted, [path for path in folder.rglob("*.md") if path not in written]


def _names(*paths: list[Path]) -> str:
    return ", ".join(sorted(os.path.relpath(path, REPOSITORY) for each in paths for path in each))


if __name__ == "__main__":
    sys.exit(main())
