"""What `pip install` of client/ brings: the package, its types, and two dependencies."""

import re
import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.build import build_wheel

pytestmark = pytest.mark.process

CLIENT = Path(__file__).parents[2] / "client"
PAGE = Path(__file__).parents[2] / "docs" / "client.md"


def test_the_wheel_is_the_package_and_its_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CLIENT)
    wheel = tmp_path / build_wheel(str(tmp_path))
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        (described,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = archive.read(described).decode()
    modules = {path.relative_to(CLIENT / "src").as_posix() for path in (CLIENT / "src").rglob("*.py")}
    assert names == modules | {"loyalty_client/py.typed"}
    required = re.findall(r"^Requires-Dist: ([\w-]+)(?!.*extra ==)", metadata, re.MULTILINE)
    assert required == ["httpx", "tqdm"]
    assert wheel.stat().st_size < 50_000, "docs/client.md says how large it is"


def test_the_page_names_the_dependencies_that_there_are() -> None:
    project = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
    page = PAGE.read_text()
    for requirement in project["dependencies"]:
        name = re.split(r"[^\w-]", requirement)[0]
        assert f"[{name}](https://pypi.org/project/{name}/)" in page
    for extra in project["optional-dependencies"]:
        assert f"`{extra}`" in page
