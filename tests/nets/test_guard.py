"""A depth net that is not what it says is told apart when it is opened, and told what is wrong."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depthcue.errors import DepthcueError
from depthcue.nets.base import INVERSE_DEPTH, DepthDescription, DepthNet
from depthcue.nets.foreign.adapter import ForeignDepthNet, Statement
from depthcue.nets.guard import check_depth_net

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def opened(body: Callable[[Tensor], object], fixed: bool = False, **description: object) -> ForeignDepthNet:
    """The net as loading leaves it, before the guard."""
    words = {"name": "mine", "height": 48, "width": 64, "multiple": 8, **PLAIN, **description}
    return ForeignDepthNet(body, Statement(DepthDescription(**words), fixed=fixed)).eval()  # type: ignore[arg-type]


def depth(rgb: Tensor) -> Tensor:
    return 1 + rgb.mean(dim=1, keepdim=True)


def test_a_sound_net_passes_and_is_differentiable() -> None:
    net = opened(lambda rgb: F.avg_pool2d(depth(rgb), 2))
    check_depth_net(net, "mine")
    assert net.differentiable


@torch.no_grad()
def without_gradients(rgb: Tensor) -> Tensor:
    return depth(rgb)


def test_a_net_that_passes_no_gradients_is_a_black_box() -> None:
    net = opened(without_gradients)
    check_depth_net(net, "mine")
    assert not net.differentiable


class InTrainMode(nn.Module):
    """Normalises with batch statistics and cannot be put into eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)

    def train(self, mode: bool = True) -> "InTrainMode":
        return super().train(True)

    def forward(self, rgb: Tensor) -> Tensor:
        return 5 + self.norm(rgb).mean(dim=1)


def broken(at: Tensor) -> Tensor:
    return torch.where(depth(at) > depth(at).mean(), torch.nan, depth(at))


@pytest.mark.parametrize(("body", "message"), [
    (lambda rgb: depth(rgb).flatten(1), r"answers with a tensor of shape \(2, 3072\)"),
    (lambda rgb: rgb + 1, r"answers with a tensor of shape \(2, 3, 48, 64\)"),
    (lambda rgb: depth(rgb).numpy(), "answers with a ndarray"),
    (lambda rgb: (depth(rgb), depth(rgb)), r"2 outputs \(a tensor \(2, 1, 48, 64\)"),
    (lambda rgb: depth(rgb)[:1], r"pictures of shape \(2, 3, 48, 64\) with \(1, 1, 48, 64\)"),
    (lambda rgb: depth(rgb).transpose(2, 3), "picture of 64x48 with a map of 48x64(.|\n)*look exchanged"),
    (lambda rgb: depth(rgb)[..., :1, :1], "picture of 64x48 with a map of 1x1"),
    (broken, "NaN or infinity"),
    (lambda rgb: torch.full_like(depth(rgb), 2.5), "sees the same everywhere in a rendered room: 2.5"),
    (lambda rgb: -depth(rgb), "said to predict metric depth, which is positive, but 100%"),
    (lambda rgb: depth(rgb).log() - 5, "said to predict metric depth"),
    (lambda rgb: F.dropout(depth(rgb)), "differently each time(.|\n)*dropout"),
    (InTrainMode(), r"when another is in its batch(.|\n)*still in train mode(.|\n)*norm \(BatchNorm2d\)"),
    (lambda rgb: rgb @ rgb, "fails on a picture of shape(.|\n)*RuntimeError(.|\n)*size=WxH"),
])
def test_what_is_wrong_is_said(body: Callable[[Tensor], object], message: str) -> None:
    with pytest.raises(DepthcueError, match=message):
        check_depth_net(opened(body), "mine")


def test_relative_nets_may_be_negative() -> None:
    check_depth_net(opened(lambda rgb: -depth(rgb), relative=True, predicts=INVERSE_DEPTH), "mine")


def test_a_net_of_one_size_gets_it_and_may_answer_in_any_shape() -> None:
    def body(rgb: Tensor) -> Tensor:
        assert rgb.shape[2:] == (32, 32)
        return depth(rgb)

    with pytest.raises(DepthcueError, match="fails on a picture(.|\n)*fixed=yes"):
        check_depth_net(opened(body, height=48), "mine")
    check_depth_net(opened(body, fixed=True, height=32, width=32, multiple=1), "mine")


def test_units_far_from_what_is_said_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    check_depth_net(opened(lambda rgb: 1000 * depth(rgb)), "mine")
    assert "typical depth of" in caplog.text and "up to 10 m" in caplog.text


def test_a_net_of_our_own_contract_is_tried_out_too() -> None:
    class Flat(DepthNet):
        def forward(self, normalised: Tensor) -> Tensor:
            return normalised.mean(dim=1)

    with pytest.raises(DepthcueError, match=r"with \(2, 48, 64\)(.|\n)*\(2, 1, h, w\)"):
        check_depth_net(Flat(DepthDescription("flat", 48, 64, 8, **PLAIN)), "flat")  # type: ignore[arg-type]
