"""The gate lets a faithful graph through and stops each kind of unfaithful one."""

import numpy as np
import pytest
import torch
from tiny_nets import TopShare

from depthcue.backends.session import INT8, TOLERANCES, Tolerance
from depthcue.errors import DepthcueError
from depthcue.export.parity import measure_parity
from depthcue.nets import DepthDescription, DepthNet, MaskDescription, MaskNet, NetOnFrames


class BrightMask(MaskNet):
    """Keeps what is bright, less of it the larger λ."""

    def __init__(self):
        super().__init__(MaskDescription("bright", "far", 32, 48, 8, 2.0, (1.0, 4.0)))

    def forward(self, normalised, lam=None):
        return torch.sigmoid(4 * normalised.mean(1, keepdim=True) - lam[:, None, None, None])


class MeanDepth(DepthNet):
    def __init__(self, multiple=8, height=32, width=48):
        super().__init__(DepthDescription("far", height, width, multiple))

    def forward(self, normalised):
        assert all(side % self.description.multiple == 0 for side in normalised.shape[2:])
        return 2 + torch.nn.functional.avg_pool2d(normalised.mean(1, keepdim=True), 2).abs()


@pytest.fixture
def pictures():
    generator = np.random.default_rng(3)
    return [generator.integers(0, 256, size, dtype=np.uint8) for size in [(32, 48, 3)] * 4 + [(60, 30, 3)]]


def in_torch(module, change=lambda maps: maps):
    def run(frames, lam):
        lams = () if lam is None else (torch.full((len(frames),), lam),)
        with torch.inference_mode():
            return change(module(torch.from_numpy(frames), *lams).numpy())
    return run


def check_parity(*given):
    """The gate: numbers within the tolerance, or an error with the numbers."""
    parity = measure_parity(*given)
    if not parity.holds():
        raise DepthcueError("\n".join(parity.lines()))
    return parity


def test_a_depth_net_of_other_multiples_gets_frames_of_its_own(pictures):
    """Blocks of 8 for the mask, patches of 14 for the depth: a transformer explained by a convolutional mask net."""
    module = NetOnFrames(BrightMask()).eval()
    patches = MeanDepth(multiple=14, height=28, width=42)
    assert measure_parity(module, in_torch(module), pictures, patches).task_rmse_m == 0
    assert measure_parity(module, in_torch(module, lambda maps: 0 * maps), pictures, patches).task_rmse_m > 0.1


def test_the_same_graph_passes_and_reports_zeros(pictures):
    module = NetOnFrames(BrightMask()).eval()
    parity = check_parity(module, in_torch(module), pictures, MeanDepth())
    assert parity.max_abs == parity.mean_abs == parity.changed_side == parity.task_rmse_m == parity.task_change_m == 0
    assert parity.frames == 5 + 1 + 2 + 3 and parity.cases > 5
    depth = NetOnFrames(MeanDepth()).eval()
    assert check_parity(depth, in_torch(depth), pictures).task_rmse_m == 0


@pytest.mark.parametrize(("change", "complaint"), [
    (lambda maps: maps + np.float32(0.01), "largest difference 0.01"),
    (lambda maps: np.where(maps == maps.max(), np.float32("nan"), maps), "NaN"),
    (lambda maps: maps[:, ::2], "gives"),
    (lambda maps: np.zeros_like(maps), "side"),
])
def test_a_wrong_graph_is_refused_with_numbers(pictures, change, complaint):
    module = NetOnFrames(BrightMask()).eval()
    with pytest.raises(DepthcueError, match=complaint):
        check_parity(module, in_torch(module, change), pictures, MeanDepth())


def test_a_graph_that_ignores_lambda_is_refused(pictures):
    module = NetOnFrames(BrightMask()).eval()
    always_two = in_torch(module)
    with pytest.raises(DepthcueError, match="largest difference"):
        check_parity(module, lambda frames, lam: always_two(frames, 2.0), pictures)


def test_masks_of_a_share_count_as_the_pixels_they_keep(pictures):
    module = NetOnFrames(TopShare()).eval()
    own = in_torch(module)
    parity = check_parity(module, own, pictures, MeanDepth())
    assert parity.changed_side == parity.task_rmse_m == 0 and parity.tolerance == Tolerance().for_shares()
    # the order stays, so the same pixels are kept, though none is above the paper's threshold
    assert measure_parity(module, lambda frames, keep: own(frames, keep) / 100, pictures, MeanDepth()).changed_side == 0

    def other_pixels(frames, keep):
        return own(frames, keep)[:, ::-1].copy()

    parity = measure_parity(module, other_pixels, pictures, MeanDepth())
    assert parity.changed_side > 0.1 and parity.task_rmse_m > 0.01 and not parity.holds()
    with pytest.raises(DepthcueError, match="largest difference"):
        check_parity(module, lambda frames, keep: own(frames, 0.2), pictures)


def test_pixels_that_cross_the_threshold_count_though_they_move_little(pictures):
    """Masks all just above the threshold, moved by less than the numeric tolerance to just below it."""
    class Near(BrightMask):
        def forward(self, normalised, lam=None):
            return torch.full_like(normalised[:, :1], 0.0251)

    module = NetOnFrames(Near()).eval()
    with pytest.raises(DepthcueError, match="change side 1,"):
        check_parity(module, in_torch(module, lambda maps: maps - np.float32(0.0002)), pictures)


def test_a_depth_is_judged_relative_to_itself(pictures):
    module = NetOnFrames(MeanDepth()).eval()
    with pytest.raises(DepthcueError, match="task RMSE"):
        check_parity(module, in_torch(module, lambda maps: maps * np.float32(1.01)), pictures)


def test_rounding_of_depths_that_only_noise_has_is_forgiven(pictures):
    class Far(MeanDepth):
        """Half a metre, but of what is brighter than grey two hundred."""

        def forward(self, normalised):
            return 0.5 + 200 * super().forward(normalised).sub(2.8).clamp_min(0)

    def off_where_far(least):
        def change(maps):
            if maps.max() > least:
                maps[np.unravel_index(maps.argmin(), maps.shape)] += 0.004
            return maps
        return in_torch(module, change)

    module = NetOnFrames(Far()).eval()
    grey = [np.full((32, 48, 3), 128, np.uint8)]
    parity = measure_parity(module, off_where_far(40), grey)
    assert 0 < parity.max_abs < 1e-3 and parity.holds()
    # what pictures show counts as it is
    assert measure_parity(module, off_where_far(0), grey).max_abs == pytest.approx(0.004, rel=1e-3)


def test_it_wants_pictures():
    module = NetOnFrames(MeanDepth()).eval()
    with pytest.raises(DepthcueError, match="no pictures"):
        check_parity(module, in_torch(module), [])


@pytest.mark.parametrize(("share", "passes"), [(0.001, True), (0.02, False)])
def test_in_int8_pixels_that_change_side_decide_about_masks_of_a_share(pictures, share, passes):
    """One pixel may go from hidden to kept; more than 0.5% of them may not."""
    module = NetOnFrames(TopShare()).eval()
    own = in_torch(module)

    def a_little_off(frames, keep):
        maps = own(frames, keep).copy()
        for each in maps:  # the last of the order become its first
            flat = each.reshape(-1)
            flat[np.argsort(flat)[: max(1, round(share * flat.size))]] = 1.0
        return maps

    parity = measure_parity(module, a_little_off, pictures, tolerance=TOLERANCES[INT8])
    assert parity.max_abs > TOLERANCES[INT8].max_abs and (parity.changed_side <= 5e-3) is passes
    assert parity.max_abs <= parity.tolerance.max_abs
    assert (parity.changed_side <= parity.tolerance.changed_side) is passes
