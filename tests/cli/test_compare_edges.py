"""`depthcue compare-edges` from end to end, with nets too small to be good."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from noise_pictures import save_noise
from PIL import Image
from tiny_nets import save_tiny_nets

from depthcue.cli.main import main


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A depth net, its mask net with a dial, and one without the name of its target."""
    return save_tiny_nets(tmp_path_factory.mktemp("nets"), mask={}, lost={"target": "gone.safetensors"})


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three pictures of noise with depth beside them."""
    return save_noise(tmp_path / "pictures", "abc", depth=True)


def test_on_rendered_rooms(nets: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["compare-edges", "--weights", nets["mask"], "--data", "scenes:indoor", "--limit", "3",
                 "--out", str(out), "--json"]) == 0
    results = json.loads((out / "results.json").read_text())
    assert json.loads(capsys.readouterr().out) == results
    assert results["images"] == 3 and results["data"]["spec"] == "scenes:indoor"
    assert results["weights"]["sha256"] and results["target_net"]["sha256"]
    assert list(results["curves"]) == ["mask", "sobel", "random"]
    assert {path.name for path in out.iterdir()} == {
        "results.json", "comparison.png", "comparison.svg", "choices.png", "choices.svg", "examples.png", "examples",
        "gallery"}
    assert len(list((out / "examples").iterdir())) == 3 * 10


def test_tables_are_printed_and_one_rival_is_enough(nets: dict[str, str], pictures: Path, tmp_path: Path,
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare-edges", "--weights", nets["mask"], "--target", nets["depth"], "--data",
                 f"folder:{pictures}", "--out", str(tmp_path / "out"), "--against", "sobel", "--lambda", "2"]) == 0
    printed = capsys.readouterr().out
    assert "RMSE in metres against ground truth; 3 images" in printed
    assert "edges − mask" in printed and "random" not in printed
    assert "With 20% of the pixels left" in printed


def test_names_of_pictures_and_folders_may_hold_anything(nets: dict[str, str], tmp_path: Path,
                                                         capsys: pytest.CaptureFixture[str]) -> None:
    folder = save_noise(tmp_path / "we,ird", "ab", depth=True)
    if os.name == "posix":
        os.rename(folder / "b.png", os.fsencode(folder / "caf") + b"\xe9.png")
        os.rename(folder / "b.npy", os.fsencode(folder / "caf") + b"\xe9.npy")
    out = tmp_path / "out"
    assert main(["compare-edges", "--weights", nets["mask"], "--target", nets["depth"], "--data", f"folder:{folder}",
                 "--against", "random", "--keep", "0.2", "--out", str(out), "-q"]) == 0
    assert json.loads((out / "results.json").read_text())["images"] == 2
    assert capsys.readouterr().out == "", "-q prints nothing but errors"


def test_a_picture_that_cannot_be_read_is_counted(nets: dict[str, str], pictures: Path, tmp_path: Path,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    (pictures / "b.png").write_bytes((pictures / "b.png").read_bytes()[:100])
    arguments = ["compare-edges", "--weights", nets["mask"], "--target", nets["depth"], "--data", f"folder:{pictures}",
                 "--against", "random", "--keep", "0.2", "--out", str(tmp_path / "out")]
    assert main(arguments) == 1
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["images"] == 2 and [each["picture"] for each in results["data"]["unreadable"]] == ["b.png"]
    assert "Left out, since they could not be read: b.png" in capsys.readouterr().out
    assert main([*arguments, "-q"]) == 1
    told = capsys.readouterr()
    assert told.out == "" and "b.png" in told.err


def test_a_depth_net_that_gives_nan_is_told_with_the_picture(nets: dict[str, str], pictures: Path, tmp_path: Path,
                                                             monkeypatch: pytest.MonkeyPatch,
                                                             capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "hollow.py").write_text(
        "import torch\n"
        "def network():\n"
        "    def depth(rgb): return torch.where(rgb.std((1, 2, 3), keepdim=True) > 0.01, 1 + rgb.mean(1, keepdim=True),"
        " torch.nan)\n"
        "    depth.depth_description = {'predicts': 'metric', 'takes': 'rgb', 'size': '48x32', 'multiple': 16}\n"
        "    return depth\n")
    monkeypatch.syspath_prepend(tmp_path)
    Image.new("RGB", (48, 32)).save(pictures / "black.png")
    np.save(pictures / "black.npy", np.ones((32, 48), np.float32))
    assert main(["compare-edges", "--weights", nets["mask"], "--target", "python:hollow:network", "--data",
                 f"folder:{pictures}", "--out", str(tmp_path / "out")]) == 1
    assert "NaN or infinity for black" in capsys.readouterr().err


def test_pictures_without_depth(nets: dict[str, str], pictures: Path, tmp_path: Path,
                                capsys: pytest.CaptureFixture[str]) -> None:
    for depth in pictures.glob("*.npy"):
        depth.unlink()
    assert main(["compare-edges", "--weights", nets["mask"], "--data", f"folder:{pictures}", "--out",
                 str(tmp_path / "out")]) == 0
    assert "ground truth" not in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "results.json").read_text())["ground_truth"] is False


@pytest.mark.parametrize(("arguments", "said"), [
    (["--weights", "compact-outdoor", "--data", "PICTURES"], "compact-outdoor"),
    (["--weights", "TINY", "--data", "nyu2:somewhere"], "nyu2:somewhere"),
    (["--weights", "TINY", "--data", "folder:/nowhere/at/all"], "/nowhere/at/all"),
    (["--weights", "TINY", "--data", "PICTURES", "--lambda", "60"], "between 0.5 and 6"),
    (["--weights", "TINY", "--data", "PICTURES", "--against", "prewitt"], "sobel, canny, hed, contrast"),
    (["--weights", "TINY", "--data", "PICTURES", "--device", "abacus"], "--device abacus"),
    (["--weights", "LOST", "--data", "PICTURES"], "--target"),
    (["--weights", "TINY", "--target", "TINY", "--data", "PICTURES"], "--target takes a depth net"),
])
def test_mistakes_are_errors_without_a_traceback(nets: dict[str, str], pictures: Path, tmp_path: Path,
                                               capsys: pytest.CaptureFixture[str], arguments: list[str],
                                               said: str) -> None:
    names = {"TINY": nets["mask"], "LOST": nets["lost"], "PICTURES": f"folder:{pictures}"}
    out = tmp_path / "out"
    assert main(["compare-edges", "--out", str(out), *(names.get(word, word) for word in arguments)]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and said in printed.err and "Traceback" not in printed.err
    assert not out.exists()


def test_an_out_that_is_a_file(nets: dict[str, str], pictures: Path, tmp_path: Path,
                               capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").write_text("mine")
    assert main(["compare-edges", "--weights", nets["mask"], "--data", f"folder:{pictures}", "--out",
                 str(tmp_path / "out")]) == 1
    assert "is not a folder" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "mine"
