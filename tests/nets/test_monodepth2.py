"""monodepth2's decoder against its plain definition, and what its two files say."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from depthcue.errors import DepthcueError
from depthcue.nets import DepthNet, build_depth_net, load_depth_net
from depthcue.nets.published import Monodepth2ResNet18


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
