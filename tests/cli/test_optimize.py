"""`depthcue optimize` from end to end, with nets too small to be good."""

import json
from pathlib import Path

import pytest
from noise_pictures import save_noise
from PIL import Image
from tiny_nets import save_tiny_nets

from depthcue.cli.main import main


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A depth net and two mask nets."""
    return save_tiny_nets(tmp_path_factory.mktemp("nets"), learned={}, opposite={})


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two pictures of noise, one wide and one not."""
    save_noise(tmp_path / "pictures", ["road"], (30, 90))
    return save_noise(tmp_path / "pictures", ["room"])


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
def test_mistakes_are_errors_without_a_traceback(nets: dict[str, str], pictures: Path, tmp_path: Path,
                                               capsys: pytest.CaptureFixture[str], arguments: list[str],
                                               message: str) -> None:
    names = {"PICTURES": str(pictures), "DEPTH": nets["depth"]}
    out = tmp_path / "out"
    assert main(["optimize", *(names.get(word, word) for word in arguments), "--weights", nets["learned"], "--out",
                 str(out)]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and message in printed.err and "Traceback" not in printed.err
    assert not out.exists()
