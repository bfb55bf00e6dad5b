"""The wheel and the source distribution hold what is used, and their metadata are as registries take them."""

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

import depthcue

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.slow
def test_wheel_and_sdist_are_complete(tmp_path: Path) -> None:
    for module in ("build", "hatchling", "twine"):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    subprocess.run([sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path, ROOT], check=True,
                   timeout=600, capture_output=True)
    wheel, = tmp_path.glob("*.whl")
    sdist, = tmp_path.glob("*.tar.gz")
    checked = subprocess.run([sys.executable, "-m", "twine", "check", "--strict", wheel, sdist], timeout=120,
                             capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    in_wheel = set(zipfile.ZipFile(wheel).namelist())
    with tarfile.open(sdist) as archive:
        in_sdist = {name.partition("/")[2] for name in archive.getnames()}
    package = {path.relative_to(ROOT).as_posix() for path in (ROOT / "depthcue").rglob("*")
               if path.is_file() and path.suffix not in (".pyc", ".pyo") and "weights" not in path.parts}
    weights = {path.name for path in (ROOT / "weights").iterdir() if path.suffix in (".json", ".safetensors")}
    assert package <= in_wheel and package <= in_sdist
    assert {"depthcue/py.typed", "depthcue/guides/masks.md", "depthcue/report/templates/page.css"} <= package
    assert weights and {f"depthcue/weights/{name}" for name in weights} <= in_wheel
    assert {f"weights/{name}" for name in weights} <= in_sdist
    assert {"README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", "benchmarks/RESULTS.md"} <= in_sdist


def test_versions_agree() -> None:
    assert PROJECT["version"] == depthcue.__version__
    assert f"## [{PROJECT['version']}]" in (ROOT / "CHANGELOG.md").read_text()
    assert f"version = {{{PROJECT['version']}}}" in (ROOT / "README.md").read_text()


def test_every_extra_that_a_page_names_exists() -> None:
    pages = [ROOT / "README.md", *(ROOT / "depthcue" / "guides").glob("*.md")]
    named = {extra for page in pages for extra in page.read_text().split("depthcue[")[1:]}
    assert named and {extra.partition("]")[0] for extra in named} <= set(PROJECT["optional-dependencies"])


def test_labels_of_addresses_are_short_enough() -> None:
    # the limit of the core metadata; a comma would end the label
    assert all(len(label) <= 32 and "," not in label for label in PROJECT["urls"])
