"""The command line: its help, its exit codes, and what it says when a package is missing."""

import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
import zipfile
from argparse import Namespace
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path
from pkgutil import resolve_name
from typing import get_args

import pytest
from hatchling.build import build_wheel

from loyalty_ml.models.store import MODEL_OUTPUTS
from loyalty_ml.vocabulary import FileType
from training.cli import options, score
from training.cli.command import Command
from training.cli.main import COMMANDS, MODELS, SQL, build_parser, main
from training.cli.missing import missing_packages

pytestmark = pytest.mark.process

REPOSITORY = Path(__file__).parents[3]
ALL = [
    *((command.name,) for command in COMMANDS),
    *(("models", command.name) for command in MODELS),
    *(("sql", command.name) for command in SQL),
]
GROUPS: list[tuple[str, ...]] = [(), ("models",), ("sql",)]
HEAVY = {"boto3", "botocore", "duckdb", "ibis", "numpy", "pyarrow", "pydantic", "sklearn", "tensorflow", "tqdm"}

# What `loyalty` does in a Python that has none of the modules in sys.argv[1]; then what it has imported of the heavy.
WITHOUT = f"""
import sys
from importlib.machinery import PathFinder

class Hiding:
    find_distributions = PathFinder.find_distributions

    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.partition(".")[0] in hidden else PathFinder.find_spec(name, path, target)

hidden = set(sys.argv.pop(1).split(","))
sys.meta_path = [finder for finder in sys.meta_path if finder is not PathFinder] + [Hiding]
from training.cli.main import main
try:
    code = main(sys.argv[1:])
except SystemExit as ended:
    code = ended.code
print("imported:", *sorted(set({sorted(HEAVY)!r}) & sys.modules.keys()))
sys.exit(code)
"""


def loyalty(*arguments: str, hidden: set[str] | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """On a machine with no credentials for AWS."""
    nobody = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, ",".join(hidden or {"none"}), *arguments],
        cwd=REPOSITORY,
        env={**nobody, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def not_in_lock(lock: str) -> set[str]:
    """The modules that are installed here and would not be from that lock alone."""
    text = (REPOSITORY / lock).read_text()
    locked = set(re.findall(r"^([a-z0-9][a-z0-9._-]*)==", text, re.MULTILINE))
    return {
        module
        for module, distributions in packages_distributions().items()
        if not {re.sub(r"[-_.]+", "-", name).lower() for name in distributions} & {*locked, "loyalty-ml", "pip"}
    }


@pytest.mark.parametrize("command", [*GROUPS, *ALL], ids=lambda command: " ".join(("loyalty", *command)))
def test_help_has_an_example_that_parses(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: {' '.join(('loyalty', *command))} ")
    example = text.rpartition("Example:\n  ")[2].strip()
    assert "\n" not in example, "one line, to be copied"
    program, *arguments = shlex.split(example)
    assert program == "loyalty"
    assert arguments[: len(command)] == list(command)
    chosen: Namespace = build_parser().parse_args(arguments)
    subcommand: Command = chosen.command
    assert subcommand.mistake(chosen) == ""


@pytest.mark.parametrize("name", ["create_ml_models", "train_models_from_dwh"])
def test_the_two_modules_that_users_know_are_commands_by_their_own_name(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        import_module(f"training.{name}").main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: python -m training.{name} ")
    assert f"Example:\n  python -m training.{name} --" in text
    assert "loyalty" not in text


def test_the_list_of_subcommands_says_what_each_does(capsys: pytest.CaptureFixture[str]) -> None:
    for group, commands in (((), COMMANDS), (("models",), MODELS), (("sql",), SQL)):
        with pytest.raises(SystemExit):
            main([*group, "--help"])
        text = capsys.readouterr().out
        for command in commands:
            # argparse before Python 3.13 puts what stands beside a long name below it.
            assert re.search(rf"^    {command.name}\s+{re.escape(command.summary)}$", text, re.MULTILINE)


def test_what_is_written_out_for_a_quick_help_is_what_the_service_has() -> None:
    assert tuple(MODEL_OUTPUTS) == options.MODELS
    assert get_args(FileType) == score.TYPES


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["models"], "the following arguments are required: COMMAND"),
        (["tarin"], "invalid choice: 'tarin'"),
        (["models", "list"], "--bucket"),
        (["models", "diff", "--bucket", "b", "weather"], "invalid choice: 'weather'"),
        (["models", "diff", "--bucket", "b", "churn", "1", "2", "3"], "two versions are compared, not more"),
        (["train", "--publish"], "--publish needs --bucket"),
        (["placeholders", "--seed", "-1"], "not a whole number"),
        (["materialize", "--table", "t", "--bucket", "b", "--warehouse", "duckdb://x", "--as-of", "now"], "time zone"),
    ],
)
def test_mistaken_arguments_are_told_with_the_usage(
    arguments: list[str], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("usage: loyalty")
    assert part in printed.err.splitlines()[-1]


def test_help_waits_for_no_import() -> None:
    for arguments in ([], ["train"], ["models", "publish"], ["materialize"]):
        ended = loyalty(*arguments, "--help")
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.splitlines()[-1] == "imported:"


def test_a_command_without_its_packages_says_what_to_install_before_it_imports() -> None:
    """As the environment is after `make run`, and as it is after a plain `pip install loyalty-ml`."""
    after_run = not_in_lock("requirements/run.txt")
    assert {"tensorflow", "scipy", "sklearn", "lightgbm"} <= after_run
    alone = not_in_lock("layers/shared/requirements.txt")
    assert {"ibis", "duckdb"} <= alone
    for hidden, arguments, target in (
        (after_run, ["train"], "make install"),
        (after_run, ["placeholders"], "make install"),
        (alone, ["materialize", "--table", "t", "--bucket", "b", "--warehouse", "duckdb://x"], "make run"),
        (
            {"tqdm"},
            ["score", "--bucket", "b", "--jobs-table", "t", "--state-machine", "s", "--prefix", "p"],
            "make run",
        ),
        (alone, ["status"], "make run"),
    ):
        ended = loyalty(*arguments, hidden=hidden)
        assert ended.returncode == 1
        assert re.fullmatch(
            rf"loyalty {arguments[0]} needs \S.*: run '{target}' once, "
            r"or pip install -e '\.\[training\]' in the project's folder\.\n",
            ended.stderr,
        ), ended.stderr
        assert ended.stdout == "imported:\n"


@pytest.mark.parametrize(
    ("lock", "arguments", "sentence"),
    [
        ("layers/shared/requirements.txt", ["models", "list", "--bucket", "b"], "AWS could not be asked"),
        ("layers/shared/requirements.txt", ["models", "publish", "--bucket", "b", "--models", "no"], "there is no no/"),
        (
            "requirements/run.txt",
            ["materialize", "--table", "t", "--bucket", "b", "--warehouse", "duckdb://x", "--config", "no.toml"],
            "The configuration no.toml cannot be read",
        ),
        (
            "layers/shared/requirements.txt",
            ["score", "--bucket", "b", "--jobs-table", "t", "--state-machine", "s", "--prefix", "elsewhere/"],
            "datasets/",
        ),
        ("requirements/run.txt", ["predict", "--ids-from", os.devnull], "has no id"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_command_works_with_the_packages_of_its_install(lock: str, arguments: list[str], sentence: str) -> None:
    """It gets as far as its own work, which has nothing to work with here."""
    ended = loyalty(*arguments, hidden=not_in_lock(lock))
    assert ended.returncode == 1
    assert sentence in ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr


def test_a_library_that_the_system_lacks_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "lightgbm.py").write_text(
        "raise OSError('libgomp.so.1: cannot open shared object file: No such file or directory')\n"
    )
    ended = loyalty("train", "--out", str(tmp_path), PYTHONPATH=str(tmp_path))
    assert ended.returncode == 1
    assert ended.stderr.startswith("loyalty train: LightGBM cannot be loaded (libgomp.so.1: ")
    assert ended.stderr.count("\n") == 1


def test_missing_packages_are_called_what_they_are_installed_by() -> None:
    assert missing_packages(["json", "re"]) == ""
    assert missing_packages(["json", "nowhere"]) == "nowhere"
    assert missing_packages(["c_nowhere", "a_nowhere", "b_nowhere"]) == "a_nowhere, b_nowhere and c_nowhere"


def test_ctrl_c_ends_it_clean(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    os.mkfifo(config)
    where = ["--table", "t", "--bucket", "b", "--warehouse", "duckdb://x", "--config", str(config)]
    with subprocess.Popen(
        [sys.executable, "-m", "training.cli", "materialize", *where], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True
    ) as process:
        with config.open("w"):  # it is there when the command has come to read it
            process.send_signal(signal.SIGINT)
        # Closed by now: a signal between its opening and its reading would be seen only once that reading ends.
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert error.startswith("loyalty materialize: stopped; the published snapshot is as it was")
    assert error.count("\n") == 1


def test_the_wheel_has_the_command_and_what_it_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    wheel = tmp_path / build_wheel(str(tmp_path))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    installed = tmp_path / "installed"
    assert {"loyalty_ml", "training"} == {path.name for path in installed.iterdir() if path.suffix != ".dist-info"}
    (script,) = installed.glob("*.dist-info/entry_points.txt")
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert f"loyalty = {project['scripts']['loyalty']}" in script.read_text()
    assert resolve_name(project["scripts"]["loyalty"]) is main
    code = "from training import config; from training.cli.main import main; config.load(); main(['--help'])"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=installed,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert (installed / "training/learning/report.html.jinja").exists()
