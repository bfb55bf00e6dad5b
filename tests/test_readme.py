"""The README says what the result files and the modules say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_numbers_and_tree_are_those_of_the_files() -> None:
    done = subprocess.run([sys.executable, ROOT / "benchmarks" / "fill_readme.py", "--check"], timeout=60)
    assert done.returncode == 0, "run python benchmarks/fill_readme.py"


def test_the_ten_lines_are_a_network_that_can_be_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from depthcue.nets import load_depth_net

    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert code is not None and "python:mine:network" in (ROOT / "README.md").read_text()
    (tmp_path / "mine.py").write_text(code[1])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    net = load_depth_net("python:mine:network")
    assert net.differentiable and net.description.relative and net.description.predicts == "inverse depth"


def test_every_local_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text()):
        assert target.startswith("http") or (ROOT / target).exists(), target
