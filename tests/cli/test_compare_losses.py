"""`depthcue compare-losses` from end to end, with trainings of one step."""

import json
from pathlib import Path

import pytest
from noise_pictures import save_noise

from depthcue.cli.main import main


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """The command on two pictures without depth to be found at test time, for the smallest of nets."""
    folder = save_noise(tmp_path / "pictures", "ab", (32, 48), depth=True)
    return ["compare-losses", "--data", f"folder:{folder}", "--out", str(tmp_path / "out"), "--size", "48x32",
            "--steps", "1", "--mask-steps", "1", "--batch-size", "2", "--device", "cpu", "--lambda", "2"]


def test_from_training_to_the_figure(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "What changes on the same images" in printed and "Small objects are left out" in printed
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "results.json", "losses.png", "losses.svg", "masks.png", "examples", "runs"}
    assert main([*words, "--json"]) == 0
    assert [entry["loss"] for entry in json.loads(capsys.readouterr().out)["losses"]] == [
        "depth", "depth+grad", "depth+grad+normal"]


@pytest.mark.parametrize(("extra", "message"), [
    (["--net", "giant"], "giant"), (["--mask-net", "giant"], "giant"), (["--share", "2"], "above 0 and below 1"),
    (["--size", "50x32"], "multiples of 16"), (["--lambda", "-1"], "above 0")])
def test_mistakes_are_errors_without_a_traceback(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                               extra: list[str], message: str) -> None:
    assert main([*words, *extra]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and message in printed.err and "Traceback" not in printed.err
    # nothing was trained before the mistake was seen
    assert not list(tmp_path.glob("out/runs/*/*.safetensors"))
