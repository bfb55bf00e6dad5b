"""Encoders take classifiers' weights key for key, and refuse what is not theirs."""

import sys
from collections.abc import Callable
from urllib.error import URLError

import pytest
import torch
import torchvision
from torch import nn

from depthcue.errors import DepthcueError
from depthcue.nets import build_depth_net, build_mask_net
from depthcue.nets.catalog import DEPTH_NETS, MASK_NETS
from depthcue.nets.checkpoint import modern_keys, save_net
from depthcue.nets.encoders import IMAGENET, DenseNetEncoder, Encoder, ResNetEncoder, SENetEncoder, senet154


@pytest.mark.parametrize(("encoder", "classifier"), [
    (ResNetEncoder, torchvision.models.resnet50), (DenseNetEncoder, torchvision.models.densenet161),
    (SENetEncoder, senet154)])
def test_every_tensor_of_a_classifier_but_its_head_has_a_place(encoder: type[Encoder],
                                                               classifier: Callable[[], nn.Module]) -> None:
    pytest.importorskip("timm")
    with torch.device("meta"):
        encoder().load_classifier(classifier().state_dict(), "classifier")


@pytest.mark.parametrize(("encoder", "sizes"), [
    (ResNetEncoder, [(23, 29), (12, 15), (6, 8), (3, 4)]), (DenseNetEncoder, [(23, 29), (11, 14), (5, 7), (2, 3)]),
    (SENetEncoder, [(23, 29), (12, 15), (6, 8), (3, 4)])])
def test_maps_have_the_channels_that_are_said(encoder: type[Encoder], sizes: list[tuple[int, int]]) -> None:
    pytest.importorskip("timm")
    with torch.device("meta"):
        net = encoder().eval()
        maps = net(torch.zeros(1, 3, 91, 115))
    assert [tuple(each.shape[1:]) for each in maps] == [
        (channels, *size) for channels, size in zip(net.channels, sizes, strict=True)]


def test_the_stages_of_senet_are_timms(monkeypatch: pytest.MonkeyPatch, generator: torch.Generator) -> None:
    senet = pytest.importorskip("timm.models.senet")
    small = senet.SENet(senet.SEBottleneck, (1, 1, 1, 1), groups=64, reduction=16, inplanes=128, input_3x3=True,
                        downsample_kernel_size=3, downsample_padding=1).eval()
    monkeypatch.setattr("depthcue.nets.encoders.senet154", lambda: small)
    x = torch.randn(1, 3, 37, 50, generator=generator)
    with torch.inference_mode():
        wanted = small.forward_intermediates(x, indices=[1, 2, 3, 4], intermediates_only=True)
        maps = SENetEncoder().eval()(x)
    for ours, theirs in zip(maps, wanted, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_backbone_by_file_is_the_encoder_then(tmp_path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        classifier = torchvision.models.resnet18()
    torch.save({"state_dict": {f"module.{key}": value for key, value in classifier.state_dict().items()}},
               tmp_path / "resnet18.pth")
    net = build_depth_net("monodepth2-resnet18", backbone=str(tmp_path / "resnet18.pth"))
    torch.testing.assert_close(net.encoder.layer4[1].conv2.weight, classifier.layer4[1].conv2.weight)
    with pytest.raises(DepthcueError, match="monodepth2-resnet50|a ResNet-50") as caught:
        build_depth_net("monodepth2-resnet50", backbone=str(tmp_path / "resnet18.pth"))
    assert "It looks like a ResNet-18 classifier" in str(caught.value)


def test_an_encoder_moves_from_one_net_to_another(tmp_path) -> None:
    cheap = build_depth_net("monodepth2-resnet50", seed=7)
    save_net(cheap, tmp_path / "depth.safetensors", architecture="monodepth2-resnet50")
    net = build_depth_net("hu-resnet50", backbone=str(tmp_path / "depth.safetensors"))
    assert net.E.state_dict().keys() == cheap.encoder.state_dict().keys()
    for ours, theirs in zip(net.E.parameters(), cheap.encoder.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    mask_net = build_mask_net("drn22", seed=7)
    save_net(mask_net, tmp_path / "mask.safetensors", architecture="drn22")
    assert torch.equal(build_mask_net("drn22", backbone=str(tmp_path / "mask.safetensors")).E.base[8][0].weight,
                       mask_net.E.base[8][0].weight)
    with pytest.raises(DepthcueError, match="does not fit"):
        build_depth_net("hu-resnet50", backbone=str(tmp_path / "mask.safetensors"))


def test_the_first_densenets_had_dots_in_their_names() -> None:
    old = {"features.denseblock4.denselayer24.norm.1.weight": 1, "features.denseblock4.denselayer24.conv.2.weight": 2,
           "module.features.transition1.norm.weight": 3}
    assert modern_keys(old) == {
        "features.denseblock4.denselayer24.norm1.weight": 1, "features.denseblock4.denselayer24.conv2.weight": 2,
        "features.transition1.norm.weight": 3}


def test_imagenet_weights_are_known_for_every_net_with_an_encoder_of_its_own() -> None:
    nets = {name: build for registry in (DEPTH_NETS, MASK_NETS) for name, build in registry.items()}
    assert set(IMAGENET) == {name for name, build in nets.items()
                             if hasattr(getattr(build, "func", build), "load_backbone")}


def test_a_download_that_fails_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline() -> dict[str, torch.Tensor]:
        raise URLError("no route to host")

    monkeypatch.setitem(IMAGENET, "monodepth2-resnet18", offline)
    with pytest.raises(DepthcueError, match="no route to host") as caught:
        build_depth_net("monodepth2-resnet18", backbone="imagenet")
    assert "--backbone FILE" in str(caught.value)


def test_senet_without_timm_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(DepthcueError, match="timm") as caught:
        build_depth_net("hu-senet154")
    assert "depthcue[backbones]" in str(caught.value)
