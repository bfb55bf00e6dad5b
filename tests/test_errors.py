"""A user's mistake as part of a larger one: nothing that was said of it is lost."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from depthcue.errors import DepthcueError
from depthcue.evaluation.viewing import load_pair
from depthcue.export.onnx import export_onnx
from depthcue.nets import DepthDescription, DepthNet, build_mask_net, load_depth_net
from depthcue.nets.checkpoint import save_net


def test_a_mistake_within_a_larger_one_keeps_its_hint() -> None:
    inner = DepthcueError("no weights", "Download them.")
    assert str(inner.within("the net", "Or give another.")) == "the net: no weights\nDownload them. Or give another."
    assert str(inner.within("the net")) == "the net: no weights\nDownload them."
    assert str(DepthcueError("no weights").within("the net", "Give another.")) == "the net: no weights\nGive another."
    assert DepthcueError("no weights").within("the net").hint is None


def test_a_target_that_does_not_load_says_what_to_do_about_it(tmp_path: Path) -> None:
    net = build_mask_net("compact", config={"widths": (4, 4, 8, 8, 8), "detail": 4}, target="drn22:nowhere.pth")
    save_net(net, tmp_path / "mask.safetensors", architecture="compact")
    with pytest.raises(DepthcueError) as caught:
        load_pair(str(tmp_path / "mask.safetensors"), None, "cpu")
    assert "--target takes a depth net, --weights a mask net" in str(caught.value.hint)
    assert "another with --target" in str(caught.value.hint)


def test_a_factory_that_knows_what_to_do_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    Path("factory_with_a_hint.py").write_text(
        "from depthcue.errors import DepthcueError\n\n\ndef net():\n"
        "    raise DepthcueError('no weights here', 'Run fetch.sh first.')\n")
    with pytest.raises(DepthcueError, match="no weights here\nRun fetch.sh first. The factory is called without"):
        load_depth_net("python:factory_with_a_hint:net")


class Refusing(DepthNet):
    """Works on no picture."""

    def forward(self, normalised: Tensor) -> Tensor:
        raise DepthcueError("no picture is good enough", "Clean the lens.")


def test_a_net_that_refuses_to_be_written_says_why(tmp_path: Path) -> None:
    picture = torch.zeros(32, 32, 3, dtype=torch.uint8).numpy()
    with pytest.raises(DepthcueError, match="no picture is good enough(.|\n)*Clean the lens."):
        export_onnx(Refusing(DepthDescription("refusing", 32, 32, 8)), tmp_path / "net.onnx", [picture])
