"""What `sam build` packs: all that a function needs, and nothing that its runtime cannot load."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

AMAZON_LINUX_2023_GLIBC = (2, 34)
LAYERS_LIMIT_BYTES = 250 * 1024 * 1024


def test_the_functions_and_their_layers_are_complete(build: Path) -> None:
    for function in ("PredictFunction", "BatchFunction", "SegmentFunction"):
        assert (build / function / "app.py").is_file(), function
    assert (build / "RefreshFunction" / "refresh.py").is_file()
    assert (build / "FilesFunction" / "files.py").is_file()
    python = build / "SharedLayer" / "python"
    for package in ("loyalty_ml", "numpy", "pydantic", "aws_lambda_powertools"):
        assert (python / package / "__init__.py").is_file(), package
    assert (python / "ai_edge_litert" / "interpreter.py").is_file()
    for package in ("duckdb", "nanoarrow", "jsonlogic"):
        assert (build / "AnalyticsLayer" / "python" / package / "__init__.py").is_file(), package


def folders_of(build: Path, translated: dict[str, Any], function: str) -> list[Path]:
    """A function's code, and its layers: the translator names one by its logical id and a hash of its content."""
    layers = translated["Resources"][function]["Properties"]["Layers"]
    return [build / function, *(build / re.sub("[0-9a-f]{10}$", "", layer["Ref"]) for layer in layers)]


def functions_of(translated: dict[str, Any]) -> dict[str, str]:
    """Each function's handler."""
    return {
        name: resource["Properties"]["Handler"]
        for name, resource in translated["Resources"].items()
        if resource["Type"] == "AWS::Lambda::Function"
    }


def test_each_function_starts_from_its_code_and_its_layers_alone(
    build: Path, translated: dict[str, Any], lambdas_python: Path
) -> None:
    assert functions_of(translated)
    for function, handler in functions_of(translated).items():
        code, *layers = folders_of(build, translated, function)
        module, name = handler.split(".")
        path = [str(code), *(str(layer / "python") for layer in layers)]
        start = f"import sys; sys.path[:0] = {path}; import {module}; assert callable({module}.{name})"
        done = subprocess.run(
            [lambdas_python, "-I", "-S", "-c", start],
            env={"AWS_DEFAULT_REGION": "eu-west-1", "POWERTOOLS_METRICS_NAMESPACE": "LoyaltyML"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (function, done.stderr)


def test_a_functions_layers_and_code_together_are_under_lambdas_limit(build: Path, translated: dict[str, Any]) -> None:
    assert functions_of(translated)
    for function in functions_of(translated):
        folders = folders_of(build, translated, function)
        size = sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())
        assert 0 < size < LAYERS_LIMIT_BYTES, (function, size)


@pytest.mark.parametrize("layer", ["SharedLayer", "AnalyticsLayer"])
def test_every_binary_in_a_layer_loads_on_the_runtimes_c_library(build: Path, layer: str) -> None:
    libraries = list((build / layer).rglob("*.so*"))
    assert libraries
    for library in libraries:
        wanted = {(int(major), int(minor)) for major, minor in re.findall(rb"GLIBC_(\d+)\.(\d+)", library.read_bytes())}
        assert max(wanted, default=(0, 0)) <= AMAZON_LINUX_2023_GLIBC, library.name
