"""Figures need no display and change no caller's matplotlib."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image


@pytest.mark.parametrize(("backend", "chosen"), [("no-backend-of-this-name", "agg"), ("svg", "svg")])
def test_no_backend_is_needed_and_none_is_taken_away(tmp_path: Path, backend: str, chosen: str) -> None:
    """matplotlib fails to import where MPLBACKEND names one that is not here; a caller's pyplot keeps its own."""
    program = """
import os, pathlib, sys
from depthcue.report.figures import LIGHT, new_figure, save_figure
save_figure(new_figure(2, 2, LIGHT), [pathlib.Path(sys.argv[1])])
assert "matplotlib.pyplot" not in sys.modules
print(os.environ["MPLBACKEND"])
import matplotlib
print(matplotlib.get_backend())
"""
    environment = {**os.environ, "MPLBACKEND": backend}
    environment.pop("DISPLAY", None)
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "figure.png")], capture_output=True, text=True,
                          env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [backend, chosen]
    with Image.open(tmp_path / "figure.png") as figure:
        assert figure.size == (400, 400)
