"""`depthcue findings` from end to end, with nets too small to be good."""

import json
from pathlib import Path

import pytest
from tiny_nets import save_tiny_nets

from depthcue.cli.main import main


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A mask net with a dial, beside the depth net it names."""
    return save_tiny_nets(tmp_path_factory.mktemp("nets"), mask={})["mask"]


def test_two_data_sets(weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["findings", "--weights", weights, "--data", "scenes:indoor", "--data", "scenes:indoor:3", "--limit",
                 "2", "--finding", "edges", "--finding", "objects", "--out", str(out), "--json"]) == 0
    results = json.loads((out / "results.json").read_text())
    assert json.loads(capsys.readouterr().out) == results
    assert [entry["spec"] for entry in results["data"]] == ["scenes:indoor", "scenes:indoor:3"]
    assert {path.name for path in out.iterdir()} == {"results.json"} | {
        f"{name}-{number}.{suffix}" for name in ("edges", "objects") for number in (1, 2)
        for suffix in ("png", "svg")}


def test_one_finding_in_words(weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["findings", "-w", weights, "-d", "scenes:indoor", "--limit", "2", "--finding", "objects",
                 "--lambda", "2", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "Objects by the share of the picture that they cover" in printed and "Kinds of edges" not in printed
    # 1% of a picture of 48x32 is 15 pixels
    assert "no object below 1% of the picture is large enough to have an inside" in printed
    assert json.loads((tmp_path / "out" / "results.json").read_text())["data"][0]["lambda"] == 2


@pytest.mark.parametrize(("arguments", "message"), [
    (["--data", "scenes:indoor", "--finding", "shadows"], "edges, objects, far"),
    (["--data", "scenes:indoor", "--limit", "1"], "at least 2"),
    (["--data", "scenes:indoor", "--lambda", "60"], "between 0.5 and 6"),
    (["--data", "scenes:indoor", "--data", "nyu2:somewhere"], "nyu2:somewhere"),
])
def test_mistakes_are_errors_without_a_traceback(weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                               arguments: list[str], message: str) -> None:
    assert main(["findings", "--weights", weights, "--out", str(tmp_path / "out"), *arguments]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and message in printed.err and "Traceback" not in printed.err
    assert not (tmp_path / "out").exists()
