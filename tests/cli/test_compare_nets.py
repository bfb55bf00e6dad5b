"""`depthcue compare-nets` from end to end, with nets too small to be good."""

import json
from pathlib import Path

import pytest

from depthcue.cli.main import main
from depthcue.nets import build_depth_net, build_mask_net
from depthcue.nets.checkpoint import save_net

WIDTHS = (4, 4, 8, 8, 8)


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Mask nets of two depth nets that work at different sizes."""
    folder = tmp_path_factory.mktemp("nets")
    weights = []
    for seed, size in enumerate(({"height": 32, "width": 48}, {"height": 48, "width": 64})):
        target, mask = folder / f"depth-{seed}.safetensors", folder / f"mask-{seed}.safetensors"
        save_net(build_depth_net("compact", config={"widths": WIDTHS}, seed=seed, name=f"tiny-{seed}", **size), target,
                 architecture="compact")
        save_net(build_mask_net("compact", config={"widths": WIDTHS, "detail": 4}, seed=seed, target=str(target),
                                lambda_range=(0.5, 6.0), **size), mask, architecture="compact")
        weights.append(str(mask))
    return weights


def test_on_rendered_rooms(nets: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    words = ["compare-nets", "-w", nets[0], "-w", nets[1], "--data", "scenes:indoor", "--limit", "2", "--out", str(out)]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "tiny-0" in printed and "Agreement: overlap of the 20% of pixels kept" in printed
    assert "Of the pixels that either of two networks keeps" in printed
    assert {path.name for path in out.iterdir()} == {
        "results.json", "agreement.png", "agreement.svg", "transfer.png", "transfer.svg", "masks.png", "examples"}
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["columns"] == ["tiny-0", "tiny-1", "edges", "random"]


@pytest.mark.parametrize(("extra", "message"), [
    (["--share", "0"], "above 0 and below 1"), (["--lambda", "60"], "between 0.5 and 6"),
    (["--target", "compact-indoor"], "got 1 and 2"), (["--device", "abacus"], "--device abacus")])
def test_mistakes_are_errors_without_a_traceback(nets: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                               extra: list[str], message: str) -> None:
    out = tmp_path / "out"
    assert main(["compare-nets", "-w", nets[0], "-w", nets[1], "--data", "scenes:indoor:2", "--out", str(out),
                 *extra]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and message in printed.err and "Traceback" not in printed.err
    assert not out.exists()
