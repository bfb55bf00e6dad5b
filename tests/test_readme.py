"""The README says what the result files and the modules say."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_numbers_and_tree_are_those_of_the_files() -> None:
    done = subprocess.run([sys.executable, ROOT / "benchmarks" / "fill_readme.py", "--check"], timeout=60)
    assert done.returncode == 0, "run python benchmarks/fill_readme.py"


def test_every_local_link_leads_somewhere() -> None:
    import re

    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text()):
        assert target.startswith("http") or (ROOT / target).exists(), target
