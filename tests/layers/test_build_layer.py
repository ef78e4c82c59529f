"""What `make build` packs: all that a function needs, and nothing that its runtime cannot load or never does."""

import filecmp
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from email import message_from_string
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

from layers import build_layer
from layers.build_layer import MEGABYTE, BuildError, size_of
from loyalty_ml.scoring.scorers import scorer_for
from loyalty_ml.vocabulary import PredictionType
from tests import sample_set
from tests.sam import THIS_PROCESSOR

pytestmark = pytest.mark.built

ROOT = Path(__file__).parents[2]
PROCESSORS = ["x86_64", "arm64"]
BUILT = [
    processor if processor == THIS_PROCESSOR else pytest.param(processor, marks=pytest.mark.long)
    for processor in PROCESSORS
]
"""The build for the other processor takes a minute, and the same code has made this one's."""
LAYERS = ["SharedLayer", "AnalyticsLayer"]
SHARED_LAYER_LIMIT = 130 * MEGABYTE
FUNCTION_LIMIT = 210 * MEGABYTE
MACHINES = {"x86_64": "EM_X86_64", "arm64": "EM_AARCH64"}

# Amazon Linux 2023, which Lambda's python3.13 runs on: glibc 2.34 and, since its release of March 2025, the C++ library
# of GCC 14. (LiteRT for arm64 asks for GCC 12's.)
NEWEST_VERSIONS = {"GLIBC": (2, 34), "GLIBCXX": (3, 4, 33), "CXXABI": (1, 3, 15), "GCC": (14, 0, 0)}
SYSTEM_LIBRARIES = {
    "ld-linux-aarch64.so.1",
    "ld-linux-x86-64.so.2",
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
    "libstdc++.so.6",
}


def test_the_functions_and_their_layers_are_complete(build: Path) -> None:
    for function in ("PredictFunction", "BatchFunction", "SegmentFunction", "RefreshFunction", "FilesFunction"):
        assert (build / function / "app.py").is_file(), function
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
    """The handler of each function with layers; the hook of releases has none, and boto3 of the runtime."""
    return {
        name: resource["Properties"]["Handler"]
        for name, resource in translated["Resources"].items()
        if resource["Type"] == "AWS::Lambda::Function" and "Layers" in resource["Properties"]
    }


def run_with(folders: list[Path], python: Path, program: str, stdin: str = "") -> str:
    """What a program prints that finds nothing but these folders and Python's own library."""
    done = subprocess.run(
        [
            python,
            "-I",
            "-S",
            "-B",
            "-c",
            f"import sys; sys.path[:0] = {[str(folder) for folder in folders]}\n{program}",
        ],
        env={"AWS_DEFAULT_REGION": "eu-west-1", "POWERTOOLS_METRICS_NAMESPACE": "LoyaltyML"},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (folders, done.stderr)
    return done.stdout


def test_each_function_starts_from_its_code_and_its_layers_alone(
    build: Path, translated: dict[str, Any], lambdas_python: Path
) -> None:
    assert functions_of(translated)
    for function, handler in functions_of(translated).items():
        code, *layers = folders_of(build, translated, function)
        module, name = handler.split(".")
        run_with(
            [code, *(layer / "python" for layer in layers)],
            lambdas_python,
            f"import {module}; assert callable({module}.{name})",
        )


PREDICT = """
import json
from pathlib import Path
import numpy as np
from loyalty_ml.models.document import path_in
from loyalty_ml.models.manifest import parse_manifest
from loyalty_ml.models.store import ModelSet, load_model
from loyalty_ml.vocabulary import PredictionType
from loyalty_ml.scoring.scorers import scorer_for

asked = json.load(sys.stdin)
folder = Path(asked["models"])
manifest = parse_manifest((folder / "manifest.json").read_bytes())
read = lambda key, sha256: path_in(folder, key).read_bytes()
models = ModelSet(manifest, {name: load_model(name, active, read) for name, active in manifest.models.items()})
for kind in ("churn", "nbo", "rfm"):
    scorer = scorer_for(kind, models, "false")
    values = np.array(asked["customers"])[:, :len(scorer.features)]
    scores = scorer.score([str(row) for row in range(len(values))], scorer.matrix(values))
    print(json.dumps([column.tolist() for column in scores]))
"""


def test_the_built_layer_predicts_each_type_as_the_sources_do(build: Path, lambdas_python: Path) -> None:
    customers = np.random.default_rng(7).uniform(0, 500, (200, 10))
    asked = {"models": str(sample_set.FOLDER), "customers": customers.tolist()}

    printed = run_with([build / "SharedLayer" / "python"], lambdas_python, PREDICT, json.dumps(asked))

    kinds: list[PredictionType] = ["churn", "nbo", "rfm"]
    for kind, line in zip(kinds, printed.splitlines(), strict=True):
        scorer = scorer_for(kind, sample_set.model_set(), "false")
        values = customers[:, : len(scorer.features)]
        scores = scorer.score([str(row) for row in range(len(values))], scorer.matrix(values))
        assert json.loads(line) == [column.tolist() for column in scores], kind


def test_every_aws_service_that_the_code_calls_is_in_the_layer(build: Path, lambdas_python: Path) -> None:
    sources = [*(ROOT / "layers" / "shared" / "loyalty_ml").rglob("*.py"), *(ROOT / "functions").rglob("*.py")]
    sources = [path for path in sources if "before_traffic" not in path.parts]  # it has the runtime's boto3
    called = {name for path in sources for name in re.findall(r'\.client\(\s*"(\w+)"', path.read_text("utf-8"))}
    assert {"s3", "dynamodb"} <= called
    # By web identity, as where credentials come from such a token; Lambda's own come from its environment.
    for name in [*sorted(called), "sts"]:
        run_with(
            [build / "SharedLayer" / "python"],
            lambdas_python,
            f"import boto3; assert boto3.client({name!r}).meta.endpoint_url.startswith('https://')",
        )


@pytest.mark.parametrize("processor", BUILT)
def test_the_layers_and_each_function_with_them_are_small(
    build_for: Callable[[str], Path], translated: dict[str, Any], processor: str
) -> None:
    assert 0 < size_of(build_for(processor) / "SharedLayer") < SHARED_LAYER_LIMIT
    assert functions_of(translated)
    for function in functions_of(translated):
        size = sum(size_of(folder) for folder in folders_of(build_for(processor), translated, function))
        assert 0 < size < FUNCTION_LIMIT, function


def binaries_in(folder: Path) -> Iterator[tuple[Path, ELFFile]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as content:
                if content.read(4) == b"\x7fELF":
                    yield path, ELFFile(content)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("processor", BUILT)
def test_every_binary_in_a_layer_loads_on_the_runtimes_system(
    build_for: Callable[[str], Path], processor: str, layer: str
) -> None:
    brought = {path.name for path in build_for(processor).glob("*Layer/python/**/*.so*")}
    found = 0
    for path, binary in binaries_in(build_for(processor) / layer):
        found += 1
        assert binary["e_machine"] == MACHINES[processor], path
        for section in binary.iter_sections():
            if isinstance(section, DynamicSection):
                needed = {tag.needed for tag in section.iter_tags("DT_NEEDED")}
                assert needed <= SYSTEM_LIBRARIES | brought, path
            elif isinstance(section, GNUVerNeedSection):
                versions = {version.name for _, of_library in section.iter_versions() for version in of_library}
                for version in versions:
                    name, _, numbers = version.partition("_")
                    assert tuple(map(int, numbers.split("."))) <= NEWEST_VERSIONS[name], (path, version)
    assert found > 5


@pytest.mark.parametrize("processor", BUILT)
def test_no_program_test_type_file_or_source_of_an_extension_is_in_a_layer(
    build_for: Callable[[str], Path], processor: str
) -> None:
    unwanted = re.compile(r"(^|/)(tests|f2py|bin|[^/]*-stubs)/|\.(pyi|typed|pyx|pxd|c|cpp|h|hpp|a|o)$")
    for layer in LAYERS:
        python = build_for(processor) / layer / "python"
        files = [path.relative_to(python).as_posix() for path in python.rglob("*") if path.is_file()]
        assert files
        assert [file for file in files if unwanted.search(file)] == []
        programs = [path for path, binary in binaries_in(python) if binary.get_section_by_name(".interp")]
        assert programs == []


@pytest.mark.parametrize("layer", LAYERS)
def test_each_package_keeps_its_licences_and_says_its_version(build: Path, layer: str) -> None:
    described = list((build / layer / "python").glob("*.dist-info"))
    assert described
    for folder in described:
        metadata = message_from_string((folder / "METADATA").read_text("utf-8"))
        assert folder.name == f"{metadata['Name'].replace('-', '_').replace('.', '_')}-{metadata['Version']}.dist-info"
        for licence in metadata.get_all("License-File", []):
            assert (folder / licence).is_file() or (folder / "licenses" / licence).is_file(), (folder.name, licence)


@pytest.mark.parametrize("layer", LAYERS)
def test_every_module_is_compiled_to_be_loaded_without_a_look_at_its_source(build: Path, layer: str) -> None:
    modules = [path for path in (build / layer).rglob("*.py") if path.parent.name != "__pycache__"]
    assert modules
    for module in modules:
        compiled = module.parent / "__pycache__" / f"{module.stem}.cpython-313.pyc"
        flags = int.from_bytes(compiled.read_bytes()[4:8], "little")
        assert flags == 0b01, module  # PEP 552: by hash, unchecked


class AnyTag(yaml.SafeLoader):
    """Reads CloudFormation's short forms, such as !Ref, as nothing."""


AnyTag.add_multi_constructor("!", lambda *_: None)


def architectures_of(build: Path) -> set[str]:
    """What the functions and the layers are built for."""
    template = yaml.load((build / "template.yaml").read_text("utf-8"), AnyTag)
    listed = [template["Globals"]["Function"]["Architectures"]]
    for resource in template["Resources"].values():
        properties = resource["Properties"]
        listed += [properties[name] for name in ("Architectures", "CompatibleArchitectures") if name in properties]
    return {architecture for each in listed for architecture in each}


@pytest.mark.long
def test_the_same_input_gives_the_same_bytes(build: Path, lambdas_python: Path, tmp_path: Path) -> None:
    (processor,) = architectures_of(build)
    command: list[str | Path] = [
        lambdas_python,
        "layers/build_layer.py",
        "--architecture",
        processor,
        "layers/shared",
        tmp_path,
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)

    again, files = (
        sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        for folder in (tmp_path, build / "SharedLayer")
    )
    assert again == files
    assert filecmp.cmpfiles(tmp_path, build / "SharedLayer", files, shallow=False) == (files, [], [])


def test_what_is_built_for_one_processor_cannot_be_deployed_as_for_the_other(build: Path) -> None:
    """An answer that `sam deploy --guided` keeps in samconfig.toml would be given for the other's build too."""
    text = (build / "template.yaml").read_text("utf-8")
    assert architectures_of(build) == {THIS_PROCESSOR}
    template = yaml.load(text, AnyTag)
    assert "Architecture" not in template["Parameters"]
    assert "Architecture" not in str(template["Metadata"])
    assert not re.search(r"Ref: Architecture\b|\$\{Architecture\}|!Ref Architecture\b", text)


def test_a_wheel_that_is_missing_is_named_with_the_processor(tmp_path: Path) -> None:
    # The package's old name, of which there are no wheels for this Python.
    locked = (ROOT / "layers" / "shared" / "requirements.txt").read_text("utf-8")
    entry = re.search(r"^(tflite-runtime==\S+) ;[^\\]+(\\\n(?:    --hash.*\n)+)", locked, re.MULTILINE)
    assert entry
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"{entry[1]} {entry[2]}")

    with pytest.raises(
        BuildError, match=r"for arm64 \(aarch64-manylinux_2_34, Python 3.13\).*tflite-runtime.* no wheels"
    ):
        build_layer.install(lock, tmp_path / "python", "arm64")


def test_a_build_without_its_tools_says_what_installs_them(tmp_path: Path) -> None:
    uv = ROOT / ".venv-none" / "bin" / "uv"

    with pytest.raises(BuildError, match=r"There is no .venv-none/bin/uv: run `make build`"):
        build_layer.install(ROOT / "layers" / "shared" / "requirements.txt", tmp_path, "x86_64", uv=uv)


@pytest.mark.usefixtures("lambdas_python")
@pytest.mark.long
def test_what_is_built_is_made_anew_where_it_is_gone_or_another_processors_or_not_of_make(tmp_path: Path) -> None:
    """With a `sam` of the test's own, that empties the folder first, as the real one does."""
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    for name in ("Makefile", "template.yaml", "samconfig.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("functions", "layers", "statemachines", ".venv-sam/bin"):
        (tmp_path / name).mkdir(parents=True)
    built = tmp_path / ".aws-sam" / "build"
    sam = tmp_path / ".venv-sam" / "bin" / "sam"
    sam.write_text(f"#!/bin/sh\nrm -rf '{built}' && mkdir '{built}' && touch '{built}/template.yaml' && echo a build\n")
    sam.chmod(0o755)
    (tmp_path / ".venv-sam" / "stamp").touch()
    # A page that is built already, each file newer than what it is made of.
    page = ("package.json", "package-lock.json", ".npmrc", "node_modules/.stamp")
    made = (".venv-node/stamp", *(f"page/{name}" for name in page), "openapi.json", "functions/admin/page/index.html")
    for name in made:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def builds(architecture: str = "x86_64") -> int:
        done = subprocess.run(
            ["make", "build", f"ARCHITECTURE={architecture}"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.count("a build\n")

    assert (builds(), builds()) == (1, 0)
    assert (builds("arm64"), builds("arm64"), builds(), builds()) == (1, 0, 1, 0)
    shutil.rmtree(built)
    assert builds() == 1
    subprocess.run([sam], check=True)
    assert (builds(), builds()) == (1, 0)
    (tmp_path / "layers" / "requirements.txt").touch()
    assert (builds(), builds()) == (1, 0)
    (tmp_path / "layers" / "requirements.txt").unlink()
    assert (builds(), builds()) == (1, 0)


@pytest.mark.parametrize("processor", PROCESSORS)
def test_a_layer_is_built_in_a_checkout_whose_path_has_a_space(
    lambdas_python: Path, tmp_path: Path, processor: str
) -> None:
    checkout, target = tmp_path / "my checkout", tmp_path / "my artifacts"
    shutil.copytree(ROOT / "layers" / processor, checkout / "layers" / processor, symlinks=True)
    shutil.copytree(ROOT / "requirements", checkout / "requirements")
    shutil.copy(ROOT / "layers" / "build.mk", checkout / "layers")
    (checkout / "layers" / "build_layer.py").write_text("import sys\nprint(sys.argv[1:])\n")

    done = subprocess.run(
        ["make", "--silent", "--makefile", checkout / "layers" / processor / "Makefile", "build-SharedLayer"],
        cwd=tmp_path,
        env=os.environ | {"ARTIFACTS_DIR": str(target), "PATH": f"{lambdas_python.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert str(["--architecture", processor, ".", str(target)]) in done.stdout


def test_a_large_file_that_nobody_knows_to_be_needed_stops_the_build(tmp_path: Path) -> None:
    known = tmp_path / "ai_edge_litert" / "libpywrap_litert_common.so"
    known.parent.mkdir()
    known.write_bytes(bytes(2 * MEGABYTE))
    build_layer.check_large_files(tmp_path)

    (tmp_path / "ai_edge_litert" / "libLiteRtVulkan.so").write_bytes(bytes(2 * MEGABYTE))

    with pytest.raises(BuildError, match=r"ai_edge_litert/libLiteRtVulkan.so has 2.0 MB: .* LARGE .* LEFT_OUT"):
        build_layer.check_large_files(tmp_path)


def test_what_is_left_out_is_told_with_its_size(tmp_path: Path) -> None:
    for file in ("numpy/core.py", "numpy/core.pyi", "botocore/data/s3/service.json", "botocore/data/ec2/service.json"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(bytes(100))

    left_out = build_layer.leave_out(tmp_path)

    assert left_out == {"types, for checkers": 100, "AWS services that nothing here calls": 100}
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"numpy/core.py", "botocore/data/s3/service.json"}
