"""Nets to measure: trained ones by their specs, and untrained ones whose answers depend on the picture."""

import pytest
import torch

from depthcue.bench.candidates import depth_net_of, mask_net_of
from depthcue.errors import DepthcueError


def test_an_untrained_mask_depends_on_the_picture(generator):
    pictures = torch.rand(2, 3, 64, 96, generator=generator)
    net, trained = mask_net_of("compact", pictures)
    with torch.inference_mode():
        mask = net(net.normalise(pictures), torch.full((2,), 2.0))
    assert not trained and not net.training
    assert 0.2 < mask.std() and mask.min() < 0.1 and mask.max() > 0.9
    assert all(norm.momentum == 0.1 for norm in net.modules() if isinstance(norm, torch.nn.BatchNorm2d))


@pytest.mark.parametrize("architecture", ["compact", "monodepth2-resnet18"])
def test_untrained_depths_are_depths(generator, architecture):
    pictures = torch.rand(2, 3, 64, 128, generator=generator)
    net, trained = depth_net_of(architecture, pictures)
    with torch.inference_mode():
        depth_m = net.to_depth_m(net(net.normalise(pictures)))
    assert not trained
    assert depth_m.isfinite().all() and depth_m.std() > 0.05 * depth_m.mean()


def test_specs_of_trained_nets_are_loaded(small_pair):
    pictures = torch.zeros(2, 3, 32, 48)
    assert mask_net_of(str(small_pair[0]), pictures)[1] and depth_net_of(str(small_pair[1]), pictures)[1]
    with pytest.raises(DepthcueError, match="names no mask net"):
        mask_net_of("nonsense", pictures)
