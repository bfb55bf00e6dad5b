"""The notebook of the guides runs from its first cell to its last."""

import runpy
from pathlib import Path

import pytest

import depthcue

NOTEBOOK = Path(depthcue.__file__).parent / "guides" / "notebook.py"


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    left = runpy.run_path(str(NOTEBOOK), init_globals={"QUICK": True})
    assert left["result"].keep == pytest.approx(0.2, abs=1e-3)
    assert left["mask_of_mine"](left["picture"], keep=0.2).overlay().size == (320, 240)
    for shown in ("result", "curve", "profile"):
        assert left[shown]._repr_png_().startswith(b"\x89PNG"), shown
    assert "kept 20.0% of 76,800 pixels" in capsys.readouterr().out
    assert list((tmp_path / "runs").glob("*/mask.safetensors"))


def test_it_is_a_notebook_in_percent_format() -> None:
    cells = NOTEBOOK.read_text().split("# %%")
    assert cells[0] == "" and len(cells) > 15
    assert sum(cell.startswith(" [markdown]") for cell in cells) > 5
