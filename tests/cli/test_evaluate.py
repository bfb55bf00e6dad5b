"""`depthcue evaluate` from end to end, with nets too small to be good."""

import json
from pathlib import Path

import pytest
from noise_pictures import save_noise
from PIL import Image
from tiny_nets import save_tiny_nets

from depthcue.cli.main import main


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A depth net, its mask net with a dial, two mask nets of one lambda each, and one for another net."""
    return save_tiny_nets(
        tmp_path_factory.mktemp("nets"), dial={"lambda_range": (0.5, 4.5)},
        two={"lambda_range": None, "default_lambda": 2.0}, five={"lambda_range": None, "default_lambda": 5.0},
        stranger={"lambda_range": None, "target": "compact-road"})


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three pictures of noise with depth beside them."""
    return save_noise(tmp_path / "pictures", "abc", depth=True)


def test_everything_of_a_dial_on_rendered_rooms(nets: dict[str, str], tmp_path: Path,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["evaluate", "--weights", nets["dial"], "--data", "scenes:indoor", "--limit", "2", "--out", str(out),
                 "--json"]) == 0
    results = json.loads((out / "results.json").read_text())
    assert json.loads(capsys.readouterr().out) == results
    assert [row["lambda"] for row in results["table"]] == [1, 2, 3, 4]
    assert results["target_net"]["architecture"] == "compact" and results["images"] == 2
    plots = ("trade-off", "orders", "thresholds")
    assert {path.name for path in out.iterdir()} == {"results.json", *(
        f"{name}.{kind}" for name in plots for kind in ("png", "svg"))}


def test_nets_of_one_lambda_each_make_one_table(nets: dict[str, str], pictures: Path, tmp_path: Path,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "-w", nets["two"], "-w", nets["five"], "--data", f"folder:{pictures}", "--only-table",
                 "--truth", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    rows = [line.split("│")[1].strip() for line in printed.splitlines() if line.startswith("│")]
    assert rows[:3] == ["original", "2", "5"]
    assert "insertion" not in printed
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"results.json", "trade-off.png", "trade-off.svg"}


def test_a_sanity_check_on_pictures_without_depth(nets: dict[str, str], pictures: Path, tmp_path: Path,
                                                  capsys: pytest.CaptureFixture[str],
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    from depthcue.evaluation import sanity
    from depthcue.evaluation.sanity import Sanity
    from depthcue.scorers import DirectSettings

    for depth in pictures.glob("*.npy"):
        depth.unlink()
    # the command's own settings are for real nets, and take minutes
    monkeypatch.setattr(sanity, "Sanity", lambda steps, seed: Sanity(
        stages=2, direct_images=2, steps=steps, seed=seed, draws=50, direct=DirectSettings(steps=2)))
    assert main(["evaluate", "-w", nets["dial"], "--lambda", "2", "--data", f"folder:{pictures}", "--only-table",
                 "--sanity-steps", "2", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "This data has no depth" in printed and "against ground truth" not in printed
    assert "Sanity: agreement with the masks for the intact net, the mask net trained on for 2 steps" in printed
    assert (tmp_path / "out" / "sanity.png").is_file()


@pytest.mark.parametrize(("arguments", "message"), [
    (["-w", "dial", "--lambda", "60"], "between 0.5 and 4.5"),
    (["-w", "two", "--lambda", "3"], "--lambda must be 2 for"),
    (["-w", "dial", "-w", "stranger"], "trained for different depth nets"),
    (["-w", "dial", "--fill", "pink"], "mean, black, own-mean, colour, blur, noise"),
    (["-w", "depth"], "--weights a mask net"),
    (["-w", "dial", "--truth", "--data", "BARE"], "--truth asks for it"),
])
def test_mistakes_are_errors_and_leave_nothing(nets: dict[str, str], pictures: Path, tmp_path: Path,
                                             capsys: pytest.CaptureFixture[str], arguments: list[str],
                                             message: str) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    Image.new("RGB", (64, 48)).save(bare / "a.png")
    words = [nets.get(word, f"folder:{bare}" if word == "BARE" else word) for word in arguments]
    data = [] if "--data" in words else ["--data", f"folder:{pictures}"]
    assert main(["evaluate", *words, *data, "--out", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and message in printed.err and "Traceback" not in printed.err
    assert not (tmp_path / "out").exists()
