"""What the losses of a depth net are of, whatever it predicts."""

import torch
from torch import Tensor

from depthcue.nets import DepthNet
from depthcue.nets.base import INVERSE_DEPTH, DepthDescription
from depthcue.training.depth import depth_recipe, predicted_depth_m


class Red(DepthNet):
    """Predicts the picture's red channel."""

    def forward(self, normalised: Tensor) -> Tensor:
        return normalised[:, :1]


def test_inverse_depth_is_turned_round_for_the_loss() -> None:
    net = Red(DepthDescription("toy", 32, 32, 16, predicts=INVERSE_DEPTH))
    torch.testing.assert_close(predicted_depth_m(net, torch.tensor([0.5, 0.02])), torch.tensor([2.0, 50.0]))


def test_metres_below_zero_still_learn() -> None:
    prediction = torch.tensor([-1.0, 2.0], requires_grad=True)
    depth_m = predicted_depth_m(Red(DepthDescription("toy", 32, 32, 16)), prediction)
    depth_m.sum().backward()
    assert prediction.grad is not None and prediction.grad.tolist() == [1.0, 1.0]


def test_each_net_is_trained_with_the_loss_it_was_published_with() -> None:
    nothing_said = dict.fromkeys(("steps", "epochs", "learning_rate", "schedule", "average", "loss"))
    losses = {net: depth_recipe(net, **nothing_said)["loss"] for net in ("hu-senet154", "laina-resnet50", "compact")}
    assert losses == {"hu-senet154": "depth+grad+normal", "laina-resnet50": "l1", "compact": "l1"}
