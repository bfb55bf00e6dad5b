"""Which answers are right, how much arithmetic a net is, and nets that have learned nothing."""

import numpy as np
import pytest
import torch
from tiny_nets import TopShare

from depthcue.backends.session import TOLERANCES
from depthcue.backends.torch_backend import TorchSession
from depthcue.bench.candidates import depth_net_of, mask_net_of
from depthcue.bench.limits import flops_per_frame
from depthcue.bench.measure import Answers
from depthcue.errors import DepthcueError
from depthcue.imaging import resize_rgb

SIZE = (32, 48)


def test_answers_are_those_of_the_net(mask_net, depth_net, pictures):
    frames = np.stack([resize_rgb(picture, *SIZE) for picture in pictures])
    rgb = torch.from_numpy(frames).permute(0, 3, 1, 2).double() / 255
    depths = Answers(depth_net, None, pictures, SIZE)
    np.testing.assert_array_equal(depths.frames, frames)
    wanted = 5 * torch.nn.functional.avg_pool2d(rgb.mean(1, keepdim=True), 2)[:, 0].numpy()
    # float32 means of bytes
    np.testing.assert_allclose(depths.maps, wanted, rtol=1e-5)
    with torch.inference_mode():
        masks = mask_net(mask_net.normalise(rgb.float()))[:, 0].numpy()
    np.testing.assert_allclose(Answers(mask_net, None, pictures, SIZE).maps, masks, atol=1e-6)


def test_an_answer_is_right_within_its_precision_alone(mask_net, pictures):
    answers = Answers(mask_net, None, pictures, SIZE)
    limit = TOLERANCES["fp32"].max_abs
    near, far = answers.maps.copy(), answers.maps.copy()
    near[0, 0, 0] += 0.9 * limit
    far[0, 0, 0] += 1.1 * limit
    assert answers.agreement(near, "fp32").right
    found = answers.agreement(far, "fp32")
    assert not found.right and found.max_abs == pytest.approx(1.1 * limit, rel=1e-3)
    shifted = answers.maps + np.float32(2 * TOLERANCES["fp32"].mean_abs)
    assert not answers.agreement(shifted, "fp32").right


def test_pixels_that_change_side_count(mask_net, pictures):
    answers = Answers(mask_net, None, pictures, SIZE)
    answers.maps[:] = 0.025 + 1e-6  # just above the threshold
    below = answers.maps - np.float32(2e-6)
    found = answers.agreement(below, "fp32")
    assert found.changed_side == 1.0 and not found.right


def test_masks_of_a_share_are_judged_by_the_pixels_they_keep(pictures):
    answers = Answers(TopShare(), 0.3, pictures, SIZE)
    np.testing.assert_allclose(answers.maps.mean(axis=(1, 2)), 0.3, atol=1e-4)
    assert answers.agreement(answers.maps.copy(), "fp32").right
    moved = answers.maps.copy()
    highest = np.unravel_index(moved[0].argmax(), SIZE)
    moved[0][highest] = 0.0  # one pixel less, and in its place the next
    assert answers.agreement(moved, "fp32").changed_side == pytest.approx(2 / moved.size)
    assert flops_per_frame(TopShare(), SIZE, rewrite=True) == 2 * 27 * SIZE[0] * SIZE[1]


def test_depths_are_judged_by_their_share(depth_net, pictures):
    answers = Answers(depth_net, None, pictures, SIZE)
    answers.maps[:] = 8.0
    found = answers.agreement(answers.maps + np.float32(0.008), "fp32")
    assert found.max_abs == pytest.approx(1e-3, rel=1e-2) and found.changed_side is None


@pytest.mark.parametrize("spoil", [lambda maps: np.full_like(maps, np.nan), lambda maps: maps[:, :-1]])
def test_nan_and_other_shapes_are_wrong(mask_net, pictures, spoil):
    answers = Answers(mask_net, None, pictures, SIZE)
    found = answers.agreement(spoil(answers.maps), "fp32")
    assert not found.right and found.max_abs is None


def test_flops_are_counted_as_written_down(mask_net, depth_net):
    assert flops_per_frame(mask_net, SIZE, rewrite=False) == 2 * 27 * SIZE[0] * SIZE[1]
    assert flops_per_frame(depth_net, SIZE, rewrite=False) is None  # no convolution and no product
    assert next(mask_net.parameters()).device.type == "cpu"


def test_the_paper_network_has_the_arithmetic_that_is_stated():
    net, trained = mask_net_of("drn22", torch.rand(2, 3, 32, 32))
    assert not trained
    assert flops_per_frame(net, (228, 304), rewrite=False) == pytest.approx(222.4e9, rel=1e-3)
    assert flops_per_frame(net, (224, 304), rewrite=True) < 0.8 * flops_per_frame(net, (224, 304), rewrite=False)


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


def test_a_net_is_run_in_torch_as_given(mask_net, pictures):
    answers = Answers(mask_net, None, pictures, SIZE)
    for options in ({"as_given": True}, {}, {"precision": "bf16"}, {"precision": "bf16", "as_given": True}):
        with TorchSession(mask_net, **options) as session:
            maps = session.run(answers.frames)
            session.staged(answers.frames)()
        assert maps.dtype == np.float32
        # bfloat16 has 8 bits of mantissa
        np.testing.assert_allclose(maps, answers.maps, atol=3e-2 if "precision" in options else 1e-5)
    with pytest.raises(RuntimeError, match="not entered"):
        session.run(answers.frames)
    with pytest.raises(DepthcueError, match="no precision"):
        TorchSession(mask_net, precision="int4")
