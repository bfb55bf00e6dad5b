"""Published nets against plain definitions and against what the authors' own code outputs."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden import formula_state, golden_input
from torch import Tensor

from depthcue.errors import DepthcueError
from depthcue.nets import DepthNet, build_depth_net, load_depth_net, load_mask_net
from depthcue.nets.published import Monodepth2ResNet18, UpProjectionUnpooled
from depthcue.nets.upsampling import unpooled_conv, unpooled_kernels


@pytest.fixture(scope="module")
def net() -> DepthNet:
    return build_depth_net("monodepth2-resnet18", seed=3).eval()


def slow_inverse_depth(state: dict[str, Tensor], maps: list[Tensor]) -> Tensor:
    """The decoder on five encoder maps, layer by layer as the release numbers them, in float64; stereo's unit."""
    def conv(x: Tensor, key: str) -> Tensor:
        padded = torch.cat([x[..., 1:2], x, x[..., -2:-1]], -1)
        padded = torch.cat([padded[:, :, 1:2], padded, padded[:, :, -2:-1]], 2)
        return F.conv2d(padded, state[f"{key}.weight"].double(), state[f"{key}.bias"].double())

    def elu(x: Tensor) -> Tensor:
        return torch.where(x > 0, x, x.exp() - 1)

    x = maps[4]
    for level in (4, 3, 2, 1, 0):
        x = elu(conv(x, f"decoder.{2 * (4 - level)}.conv.conv"))
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        if level > 0:
            x = torch.cat([x, maps[level - 1]], 1)
        x = elu(conv(x, f"decoder.{2 * (4 - level) + 1}.conv.conv"))
    disparity = 1 / (1 + (-conv(x, "decoder.10.conv")).exp())
    return (0.01 + (10 - 0.01) * disparity) / 5.4


def test_decoder_is_as_defined(net: DepthNet, generator: torch.Generator) -> None:
    assert isinstance(net, Monodepth2ResNet18)
    x = torch.randn(1, 3, 64, 96, generator=generator)
    with torch.inference_mode():
        stem = net.encoder.stem(x)
        maps = [each.double() for each in (stem, *net.encoder.stages(stem))]
        inverse_depth = net(x)
    assert inverse_depth.shape == (1, 1, 64, 96)
    torch.testing.assert_close(inverse_depth.double(), slow_inverse_depth(net.state_dict(), maps), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(net.to_depth_m(inverse_depth), 1 / inverse_depth)


def test_half_a_sigmoid_is_a_known_depth() -> None:
    again = build_depth_net("monodepth2-resnet18").eval()
    torch.nn.init.zeros_(again.decoder[10].conv.weight)
    torch.nn.init.zeros_(again.decoder[10].conv.bias)
    with torch.inference_mode():
        depth_m = again.to_depth_m(again(torch.zeros(1, 3, 64, 64)))
    torch.testing.assert_close(depth_m, torch.full((1, 1, 64, 64), 5.4 / 5.005))


def write_folder(net: DepthNet, folder: Path, **message: object) -> Path:
    """The two files as the release has them: the encoder's with the classifier's head and some plain values."""
    folder.mkdir()
    parts: dict[str, dict[str, object]] = {"encoder": {"encoder.fc.weight": torch.zeros(1000, 512), **message},
                                           "decoder": {}}
    for key, value in net.state_dict().items():
        parts[key.split(".")[0]][key] = value
    torch.save(parts["encoder"], folder / "encoder.pth")
    torch.save(parts["decoder"], folder / "depth.pth")
    return folder


@pytest.mark.parametrize("stereo", [True, False])
def test_a_folder_loads_and_stereo_alone_is_metric(net: DepthNet, tmp_path: Path, stereo: bool) -> None:
    folder = write_folder(net, tmp_path / "some_320x1024", height=320, width=1024, use_stereo=stereo)
    loaded = load_depth_net(str(folder))
    description = loaded.description
    assert (description.name, description.height, description.width) == ("monodepth2-resnet18", 320, 1024)
    assert description.predicts == "inverse depth" and description.relative is not stereo
    assert not description.shift_unknown
    x = torch.zeros(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(x), net(x) * (1 if stereo else 5.4))
    with pytest.raises(DepthcueError, match="does not fit monodepth2-resnet50") as caught:
        load_depth_net(f"monodepth2-resnet50:{folder}")
    assert "It looks like monodepth2-resnet18, a depth net" in str(caught.value)


def test_half_a_folder_says_which_half(net: DepthNet, tmp_path: Path) -> None:
    folder = write_folder(net, tmp_path / "mono", height=192, width=640, use_stereo=False)
    for part, words in (("encoder", "the encoder of a monodepth2 net"), ("depth", "the decoder of a monodepth2 net")):
        with pytest.raises(DepthcueError, match=words) as caught:
            load_depth_net(str(folder / f"{part}.pth"))
        assert "Give the folder" in str(caught.value)
    (folder / "depth.pth").unlink()
    with pytest.raises(DepthcueError, match=r"without depth\.pth"):
        load_depth_net(str(folder))


def unpooled(x: Tensor) -> Tensor:
    """Every value in the upper left of a 2×2 cell, zeros elsewhere, one by one."""
    big = torch.zeros(x.shape[0], x.shape[1], 2 * x.shape[2], 2 * x.shape[3], dtype=x.dtype)
    for row in range(x.shape[2]):
        for column in range(x.shape[3]):
            big[:, :, 2 * row, 2 * column] = x[:, :, row, column]
    return big


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (4, 2)])
def test_four_small_convolutions_are_one_of_the_unpooled_map(generator: torch.Generator, size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, generator=generator, dtype=torch.float64)
    weight = torch.randn(4, 3, 5, 5, generator=generator, dtype=torch.float64)
    got = unpooled_conv(F.pad(x, (1, 1, 1, 1)), unpooled_kernels(weight))
    torch.testing.assert_close(got, F.conv2d(unpooled(x), weight, padding=2))


def test_up_projection_is_as_defined(generator: torch.Generator) -> None:
    block = UpProjectionUnpooled(4, 2).double().eval()
    for norm in (block.bn1, block.bn1_2, block.bn2):
        norm.running_mean.normal_(generator=generator)
        norm.running_var.uniform_(0.5, 2, generator=generator)
    x = torch.randn(1, 4, 3, 4, generator=generator, dtype=torch.float64)
    # the cut comes after the convolution: what lies beyond it is still seen
    first, shortcut = block.conv1(unpooled(x))[:, :, :5, :8], block.conv2(unpooled(x))[:, :, :5, :8]
    wanted = F.relu(block.bn1_2(block.conv1_2(F.relu(block.bn1(first)))) + block.bn2(shortcut))
    torch.testing.assert_close(block(x, 5, 8), wanted)


def test_depth_is_half_the_size_whatever_is_odd_on_the_way() -> None:
    with torch.device("meta"):
        net = build_depth_net("laina-resnet50")
        assert net(torch.zeros(1, 3, 228, 304)).shape == (1, 1, 114, 152)
    assert sum(parameter.numel() for parameter in net.parameters()) == 63_563_009


@pytest.mark.parametrize(("kind", "spec", "load"), [("mask", "drn22", load_mask_net),
                                                    ("resnet", "hu-resnet50", load_depth_net),
                                                    ("densenet", "hu-densenet161", load_depth_net)])
def test_released_layout_gives_the_authors_output(shared_data: Path, tmp_path: Path, kind: str, spec: str,
                                                  load: Callable[[str], torch.nn.Module]) -> None:
    layout = json.loads((shared_data / "official" / f"{kind}_keys.json").read_text())
    state = formula_state(layout["tensors"])
    # as released: pickled, no extension, behind DataParallel, no num_batches_tracked
    checkpoint = tmp_path / f"model_{kind}"
    torch.save({f"module.{key}": value for key, value in state.items()}, checkpoint)

    net = load(f"{spec}:{checkpoint}")

    assert sum(parameter.numel() for parameter in net.parameters()) == layout["parameters"]
    with torch.inference_mode():
        output = net(golden_input()).numpy()
    expected = np.load(shared_data / "official" / f"{kind}_out.npy")
    assert output.shape == expected.shape
    # float32 sums in another order, through some sixty layers
    np.testing.assert_allclose(output, expected, atol=2e-4 * np.abs(expected).max())
