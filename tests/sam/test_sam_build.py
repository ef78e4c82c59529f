"""What `sam build` packs: all that a function needs, and nothing that its runtime cannot load."""

import re
from pathlib import Path

AMAZON_LINUX_2023_GLIBC = (2, 34)
LAYERS_LIMIT_BYTES = 250 * 1024 * 1024


def test_the_functions_and_their_layer_are_complete(build: Path) -> None:
    assert (build / "PredictFunction" / "app.py").is_file()
    assert (build / "BatchFunction" / "app.py").is_file()
    python = build / "SharedLayer" / "python"
    for package in ("loyalty_ml", "numpy", "pydantic", "aws_lambda_powertools"):
        assert (python / package / "__init__.py").is_file(), package
    assert (python / "ai_edge_litert" / "interpreter.py").is_file()


def test_the_layer_leaves_room_under_lambdas_limit(build: Path) -> None:
    size = sum(file.stat().st_size for file in (build / "SharedLayer").rglob("*") if file.is_file())
    assert size < LAYERS_LIMIT_BYTES


def test_every_binary_in_the_layer_loads_on_the_runtimes_c_library(build: Path) -> None:
    libraries = list((build / "SharedLayer").rglob("*.so*"))
    assert libraries
    for library in libraries:
        wanted = {(int(major), int(minor)) for major, minor in re.findall(rb"GLIBC_(\d+)\.(\d+)", library.read_bytes())}
        assert max(wanted, default=(0, 0)) <= AMAZON_LINUX_2023_GLIBC, library.name
