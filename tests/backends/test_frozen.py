"""Frozen nets: the net's own answers from each form, at any size and batch; a form that does not agree is not used."""

from pathlib import Path

import pytest
import torch
from rewritten_nets import stirred
from toy_nets import RedDepth

from depthcue.backends import frozen
from depthcue.backends.frozen import MOST_SIZES, WORTH, choose_form, frozen_depth, frozen_mask
from depthcue.nets import DepthDescription, MaskDescription
from depthcue.nets.compact import CompactDepthNet, CompactMaskNet

WIDTHS = (8, 8, 8, 8, 8)
SHARES = {"keep_range": (0.05, 0.8), "lambda_at": ((0.1, 8.0), (0.5, 2.0))}


@pytest.fixture(params=["openvino", "torch"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if request.param == "openvino":
        pytest.importorskip("openvino")
    else:
        monkeypatch.setattr(frozen, "has_openvino", lambda: False)
    return str(request.param)


def _depth_net() -> CompactDepthNet:
    torch.manual_seed(0)
    return stirred(CompactDepthNet(DepthDescription("small", 32, 48, 16), WIDTHS))


def _mask_net(**dial: object) -> CompactMaskNet:
    torch.manual_seed(0)
    return stirred(CompactMaskNet(MaskDescription("small-mask", "small", 32, 48, 16, 2.0, **dial), WIDTHS, 8))


def test_depth_is_the_nets_own(form: str, caplog: pytest.LogCaptureFixture) -> None:
    net = _depth_net()
    quick = frozen_depth(net, WORTH)
    caplog.set_level("INFO", frozen.__name__)
    with torch.inference_mode():
        for width in range(16, 16 * (MOST_SIZES + 2), 16):
            picture = torch.randn(3, 3, 32, width)
            wanted = net(picture)
            assert (quick(picture) - wanted).abs().max() < 1e-5 * wanted.max()
            assert torch.equal(quick.to_depth_m(quick(picture)), quick(picture))
    used = [record.getMessage() for record in caplog.records if "runs in" in record.getMessage()]
    assert len(used) == MOST_SIZES and all(form in message for message in used)


@pytest.mark.parametrize("dial", [SHARES, {"lambda_range": (0.5, 6.0)}], ids=["share", "lambda"])
def test_masks_are_the_nets_own_whatever_the_dial(form: str, dial: dict[str, object]) -> None:
    net = _mask_net(**dial)
    quick = frozen_mask(net, WORTH)
    with torch.inference_mode():
        picture = torch.randn(3, 3, 32, 48)
        for dials in (torch.tensor([0.6, 0.7, 0.8]), torch.full((3,), 0.5), None):
            assert (quick(picture, dials) - net(picture, dials)).abs().max() < 1e-4


def test_a_graph_is_read_from_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    net, picture = _depth_net(), torch.randn(2, 3, 32, 48)
    with torch.inference_mode():
        first = frozen_depth(net, WORTH)(picture)
        monkeypatch.setattr(frozen, "_traced", lambda *given: pytest.fail("the graph was made again"))
        assert torch.equal(frozen_depth(net, WORTH)(picture), first)
    assert sorted(path.suffix for path in tmp_path.rglob("*") if path.is_file()) == [".bin", ".xml"]


def test_a_form_that_does_not_agree_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    net = _depth_net()
    monkeypatch.setattr(frozen, "has_openvino", lambda: False)
    monkeypatch.setattr(frozen, "_channels_last", lambda own: lambda *given: 1.001 * own(*given))
    with torch.inference_mode():
        assert choose_form(net, torch.randn(2, 3, 32, 48)) is net


def test_few_pictures_and_nets_of_others_stay_as_they_are() -> None:
    net, other = _depth_net(), RedDepth()
    assert frozen_depth(net, WORTH - 1) is net and frozen_depth(other, 10 * WORTH) is other
    assert frozen_mask(_mask_net(**SHARES), WORTH).keeps_shares
