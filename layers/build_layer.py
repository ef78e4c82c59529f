"""Builds one layer: its locked wheels for the processor asked for, without what a Lambda never loads, and compiled.

`make build` runs it, by `sam build` and build.mk, under the runtime's own version of Python: a layer is read-only where
it runs, so that what is not compiled here would be compiled anew at every cold start. The same input gives the same
bytes, as a layer's version is made from the hash of its content.
"""

import argparse
import compileall
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from py_compile import PycInvalidationMode

ROOT = Path(__file__).resolve().parents[1]
UV = ROOT / ".venv-sam" / "bin" / "uv"
WHEELS = ROOT / "build" / "wheels"

VERSION = "3.13"
# Lambda's python3.13 is Amazon Linux 2023: wheels may ask for up to this version of its C library.
PLATFORMS = {"x86_64": "x86_64-manylinux_2_34", "arm64": "aarch64-manylinux_2_34"}

MEGABYTE = 1_000_000

# What is left out, and why. Patterns are below the layer's python/.
LEFT_OUT = {
    "LiteRT's accelerator for WebGPU: a Lambda has no GPU": ("ai_edge_litert/libLiteRtWebGpu*",),
    "LiteRT's compilers for phones' processors, and what they come with": (
        "ai_edge_litert/aot",
        "ai_edge_litert/tools",
        "ai_edge_litert/vendors",
    ),
    "LiteRT's second API, which its package loads at once where it is there; the interpreter calls nothing of it": (
        "ai_edge_litert/libLiteRt.so",
    ),
    "what LiteRT converts and describes models with, and packages that only that imports": (
        "ai_edge_litert/tflite",
        "ai_edge_litert/schema_py_generated.py",
        "ai_edge_litert/*_pb2.py",
        "google",
        "protobuf-*",
        "ml_dtypes*",
        "flatbuffers*",
        "tqdm*",
        "backports/strenum",
        "backports_strenum-*",
    ),
    "tests, and the extensions that only tests load": (
        "**/tests",
        "numpy/testing",
        "numpy/conftest.py",
        "numpy/_core/_*_tests.*",
        "numpy/_core/_simd.*",
    ),
    "Zstandard for other Pythons, and within archives": (
        "backports/zstd/_cffi",
        "backports/zstd/tarfile.py",
        "backports/zstd/zipfile",
    ),
    "NumPy's build tools, headers and static libraries": (
        "numpy/f2py",
        "numpy/_pyinstaller",
        "numpy/_core/include",
        "numpy/_core/lib",
        "numpy/random/lib",
        "numpy/random/_examples",
    ),
    "sources of extensions": ("**/*.pyx", "**/*.pxd", "**/*.h", "**/*.c", "**/*.cpp", "**/*.a"),
    "types, for checkers": ("**/*.pyi", "**/py.typed", "*-stubs"),
    "AWS services that nothing here calls": ("botocore/data/*/", "boto3/data/*/", "boto3/examples"),
    "Powertools' page of Swagger UI": (
        "aws_lambda_powertools/event_handler/openapi/swagger_ui/*.js",
        "aws_lambda_powertools/event_handler/openapi/swagger_ui/*.css",
    ),
    "commands for a terminal": ("bin",),
    # A package's METADATA and licences stay: for whoever asks for its version, and for scanners.
    "installers' records": (
        ".lock",
        "*.dist-info/RECORD",
        "*.dist-info/INSTALLER",
        "*.dist-info/REQUESTED",
        "*.dist-info/WHEEL",
    ),
}
# sts: credentials by web identity; xray: aws_xray_sdk makes a client of it.
KEPT_SERVICES = {"dynamodb", "events", "s3", "sqs", "stepfunctions", "sts", "xray"}

# Every file above a megabyte that a layer may hold, so that none comes back with an update, under another name.
LARGE = (
    "numpy.libs/libscipy_openblas64_*.so",
    "numpy/_core/_multiarray_umath.*.so",
    "ai_edge_litert/libpywrap_litert_common.so",
    "pydantic_core/_pydantic_core.*.so",
    "botocore/data/endpoints.json",  # every client is made with it
    "_duckdb.*.so",
)


class BuildError(Exception):
    """One sentence: what is wrong with the layer, and what to do."""


def build_layer(source: Path, target: Path, architecture: str) -> None:
    """Writes `target`/python, as Lambda puts it at /opt/python, from `source`'s requirements.txt and its packages.

    Prints what is left out. Raises BuildError where a wheel is missing for the architecture ("x86_64" or "arm64"), a
    large file is not known to be needed, a module does not compile, or this is not the runtime's Python.
    """
    if not sys.version.startswith(f"{VERSION}."):
        raise BuildError(f"This is Python {sys.version.split()[0]}: run it with the runtime's, {VERSION}.")
    python = target / "python"
    install(source / "requirements.txt", python, architecture)
    for reason, size in leave_out(python).items():
        print(f"{size / MEGABYTE:6.1f} MB left out: {reason}")
    for package in sorted(source.glob("*/__init__.py")):
        shutil.copytree(
            package.parent, python / package.parent.name, ignore=shutil.ignore_patterns("__pycache__", "py.typed")
        )
    check_large_files(python)
    compile_all(python)
    print(f"{size_of(python) / MEGABYTE:6.1f} MB in {target.name}, for {architecture}")


def install(requirements: Path, python: Path, architecture: str, *, uv: Path = UV) -> None:
    """Unpacks the lock's wheels for the architecture's Lambda into `python`, each checked by its hash.

    Nothing is compiled, and markers are those of where it will run, so any machine builds for either architecture.
    """
    if not uv.exists():
        raise BuildError(f"There is no {uv.relative_to(ROOT)}: run `make build`, which installs it.")
    command = [str(uv), "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    command += ["--link-mode=copy", f"--cache-dir={WHEELS}", f"--python={sys.executable}"]
    command += [f"--python-version={VERSION}", f"--python-platform={PLATFORMS[architecture]}"]
    command += [f"--target={python.resolve()}", f"--requirements={requirements.resolve()}"]
    # In a folder of its own: uv would add this project's own constraints to the lock, and then miss their hashes.
    with tempfile.TemporaryDirectory() as elsewhere:
        done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(
            f"The layer's packages cannot be installed for {architecture} "
            f"({PLATFORMS[architecture]}, Python {VERSION}); "
            f"where one has no wheel for it, lock a version that has. {' '.join(done.stderr.split())}"
        )


def leave_out(python: Path) -> dict[str, int]:
    """Removes what `LEFT_OUT` names, and gives the bytes that each of its groups had here, if any."""
    sizes = {}
    for reason, patterns in LEFT_OUT.items():
        found = [path for pattern in patterns for path in python.glob(pattern) if not is_kept_service(python, path)]
        size = 0
        for path in found:
            size += size_of(path)
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        if found:
            sizes[reason] = size
    return sizes


def is_kept_service(python: Path, path: Path) -> bool:
    return path.relative_to(python).parts[1:2] == ("data",) and path.name in KEPT_SERVICES


def check_large_files(python: Path) -> None:
    """Raises BuildError where a file is above a megabyte and not in `LARGE`."""
    known = {path for pattern in LARGE for path in python.glob(pattern)}
    for path in sorted(python.rglob("*")):
        if path.is_file() and path not in known and path.stat().st_size > MEGABYTE:
            raise BuildError(
                f"{path.relative_to(python)} has {path.stat().st_size / MEGABYTE:.1f} MB: in layers/build_layer.py, "
                "name it in LARGE if a function needs it, else in LEFT_OUT."
            )


def compile_all(python: Path) -> None:
    """Compiles every module, to be loaded with no look at its source's time: that is lost on the way to a Lambda."""
    compiled = compileall.compile_dir(
        python,
        quiet=1,
        stripdir=str(python),
        prependdir="/opt/python",
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )
    if not compiled:
        raise BuildError("A module does not compile, as said above: leave it out in layers/build_layer.py, or mend it.")


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    return sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="the layer's folder: requirements.txt and packages of its own")
    parser.add_argument("target", type=Path, help="where to put python/; it must not have one")
    parser.add_argument("--architecture", choices=PLATFORMS, required=True, help="the processor of the functions")
    arguments = parser.parse_args()
    try:
        build_layer(arguments.source, arguments.target, arguments.architecture)
    except BuildError as error:
        sys.exit(f"build_layer: {error}")


if __name__ == "__main__":
    main()
