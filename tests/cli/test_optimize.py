"""`depthcue optimize` from end to end, with nets too small to be good."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from depthcue.cli.main import main
from depthcue.nets import build_depth_net, build_mask_net
from depthcue.nets.checkpoint import save_net

SIZE = {"height": 32, "width": 48}
WIDTHS = (4, 4, 8, 8, 8)


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("nets")
    target = folder / "depth.safetensors"
    save_net(build_depth_net("compact", config={"widths": WIDTHS}, **SIZE), target, architecture="compact")
    for name in ("learned", "opposite"):
        net = build_mask_net("compact", config={"widths": WIDTHS, "detail": 4}, target=str(target),
                             lambda_range=(0.5, 6.0), **SIZE)
        save_net(net, folder / f"{name}.safetensors", architecture="compact")
    return {path.stem: str(path) for path in folder.glob("*.safetensors")}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two pictures of noise, one wide and one not."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    draws = np.random.default_rng(0)
    for name, size in (("room", (48, 64)), ("road", (30, 90))):
        Image.fromarray(draws.integers(0, 255, (*size, 3), np.uint8)).save(folder / f"{name}.png")
    return folder


def test_pictures_of_two_sizes_with_all_three_equations(nets: dict[str, str], pictures: Path, tmp_path: Path,
                                                        capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["optimize", str(pictures), "--weights", nets["learned"], "--opposite", nets["opposite"], "--out",
                 str(out), "--lambda", "1.5", "--steps", "3", "--restarts", "2", "--tv", "0.1", "--blur", "1.5",
                 "--json"]) == 0
    results = json.loads((out / "results.json").read_text())
    assert json.loads(capsys.readouterr().out) == results
    assert list(results["ways"]) == ["eq3", "eq4", "eq5"] and results["images"] == 2 and results["lambda"] == 1.5
    assert results["direct"] == {"steps": 3, "learning_rate": 0.3, "restarts": 2, "variation": 0.1, "blur_px": 1.5,
                                 "seed": 0}
    assert {path.name for path in out.iterdir()} == {"results.json", "figure.png", "masks", "examples"}
    assert (out / "masks" / "000001-room-eq3-mask.png").is_file() and len(list((out / "masks").iterdir())) == 12
    # the wide picture keeps its shape
    with Image.open(out / results["masks"][0]["eq3_mask"]) as mask:
        assert mask.width > 2.5 * mask.height


def test_data_without_a_mask_net(nets: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["optimize", "--data", "scenes:indoor", "--limit", "2", "--target", nets["depth"], "--steps", "2",
                 "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "nothing hidden" in printed and "Eq. (3)" in printed and "Eq. (4)" not in printed


@pytest.mark.parametrize(("arguments", "message"), [
    ([], "got neither"), (["PICTURES", "--data", "scenes:indoor"], "got both"),
    (["/nowhere/at/all.png"], "/nowhere/at/all.png"), (["PICTURES", "--lambda", "60"], "between 0.5 and 6"),
    (["PICTURES", "--learning-rate", "0"], "--learning-rate must be above 0, got 0"),
    (["PICTURES", "--opposite", "DEPTH"], "a mask net"),
])
def test_mistakes_are_told_without_a_traceback(nets: dict[str, str], pictures: Path, tmp_path: Path,
                                               capsys: pytest.CaptureFixture[str], arguments: list[str],
                                               message: str) -> None:
    names = {"PICTURES": str(pictures), "DEPTH": nets["depth"]}
    out = tmp_path / "out"
    assert main(["optimize", *(names.get(word, word) for word in arguments), "--weights", nets["learned"], "--out",
                 str(out)]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and message in printed.err and "Traceback" not in printed.err
    assert not out.exists()
