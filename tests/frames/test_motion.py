"""Optical flow and maps that follow it: a picture that is moved by a known way."""

import sys

import numpy as np
import pytest

from depthcue.errors import DepthcueError
from depthcue.frames.motion import OpticalFlow, SteadyMaps, carry
from depthcue.imaging import resize_rgb

pytest.importorskip("cv2")


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """Blobs of colour, larger than what is cut from them: uint8 (120, 180, 3)."""
    rng = np.random.default_rng(5)
    return resize_rgb(rng.integers(0, 255, (24, 36, 3), dtype=np.uint8), 120, 180)


def view(scene: np.ndarray, x: int, y: int = 10) -> np.ndarray:
    return np.ascontiguousarray(scene[y:y + 96, x:x + 128])


def test_flow_leads_back_to_where_a_pixel_was(scene: np.ndarray) -> None:
    flow, trusted = OpticalFlow().back(view(scene, 10), view(scene, 14, 12))  # the camera went right and down
    inner = np.zeros_like(trusted)
    inner[8:-8, 8:-8] = True
    assert trusted[inner].mean() > 0.95
    np.testing.assert_allclose(np.median(flow[trusted], axis=0), (4, 2), atol=0.1)
    assert not trusted[:, -3:].any()  # they were not in the earlier frame


def test_a_map_is_carried_along(scene: np.ndarray) -> None:
    values = np.random.default_rng(0).uniform(size=(96, 128)).astype(np.float32)
    flow = np.zeros((96, 128, 2), np.float32)
    flow[..., 0] = 4
    carried = carry(values, flow, outside=-1)
    np.testing.assert_array_equal(carried[:, :124], values[:, 4:])
    assert (carried[:, 124:] == -1).all()


def test_noise_is_averaged_away_while_the_camera_moves(scene: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    truth = resize_rgb(rng.integers(0, 255, (12, 18, 3), dtype=np.uint8), 120, 180)[..., 0].astype(np.float32) / 255
    steady, errors = SteadyMaps(), []
    for x in range(4, 24, 2):
        clean = truth[10:106, x:x + 128]
        noisy = (clean + rng.normal(0, 0.2, clean.shape)).astype(np.float32)
        found = steady(view(scene, x), noisy)
        errors.append((np.sqrt(np.mean((noisy - clean) ** 2)), np.sqrt(np.mean((found - clean) ** 2))))
    assert errors[0][0] == errors[0][1]  # the first frame has nothing to follow
    assert errors[-1][1] < 0.5 * errors[-1][0]


def test_a_cut_begins_anew(scene: np.ndarray) -> None:
    steady = SteadyMaps()
    steady(view(scene, 10), np.zeros((96, 128), np.float32))
    other = np.random.default_rng(9).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    found = steady(other, np.ones((96, 128), np.float32))
    assert found.mean() > 0.9  # noise is like noise here and there
    assert (steady(np.zeros((48, 64, 3), np.uint8), np.full((48, 64), 0.5, np.float32)) == 0.5).all()


@pytest.mark.parametrize("strength", [-0.1, 1.0, float("nan")])
def test_a_strength_out_of_range_is_refused(strength: float) -> None:
    with pytest.raises(DepthcueError, match="from 0 to below 1"):
        SteadyMaps(strength)


def test_without_opencv_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(DepthcueError) as raised:
        SteadyMaps()
    assert "depthcue[steady]" in (raised.value.hint or "")
