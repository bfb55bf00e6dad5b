"""Compact nets, weights on disk, and specs: what loads loads strictly, what does not says why."""

import hashlib
import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from tiny_nets import FirstLook
from torch import Tensor

from depthcue.errors import DepthcueError
from depthcue.nets import (
    DepthNet,
    MaskNet,
    build_depth_net,
    build_mask_net,
    catalog,
    depth_from,
    fit,
    load_depth_net,
    load_mask_net,
    restore_mode,
)
from depthcue.nets.base import DepthDescription
from depthcue.nets.catalog import SHIPPED, weights_folder
from depthcue.nets.checkpoint import load_strict, save_net
from depthcue.nets.foreign.adapter import split_spec

TINY = {"widths": [8, 8, 8, 8, 8]}


def tiny_mask_net(**description: object) -> MaskNet:
    return build_mask_net("compact", config=TINY, **{"target": "t", "lambda_range": (0.5, 8.0), **description})


def test_compact_depth_net_is_small_positive_and_half_size() -> None:
    net = build_depth_net("compact").eval()
    assert 2e6 <= sum(parameter.numel() for parameter in net.parameters()) <= 6e6
    with torch.inference_mode():
        depth = net(torch.randn(2, 3, 96, 320, generator=torch.Generator().manual_seed(0)))
    assert depth.shape == (2, 1, 48, 160)
    assert (depth > 0).all()


def test_mask_depends_on_lambda_and_each_picture_has_its_own(generator: torch.Generator) -> None:
    net = tiny_mask_net().eval()
    torch.nn.init.normal_(net.up1.modulation.weight, generator=generator)  # type: ignore[union-attr, arg-type]
    torch.nn.init.normal_(net.head.weight, generator=generator)  # type: ignore[union-attr, arg-type]
    rgb = net.normalise(torch.rand(1, 3, 32, 48, generator=generator)).expand(2, -1, -1, -1)
    with torch.inference_mode():
        low, high = net(rgb, torch.tensor([0.5, 8.0]))
        alone = net(rgb[:1], torch.tensor([8.0]))[0]
    assert not torch.allclose(low, high, atol=1e-3)
    torch.testing.assert_close(high, alone, atol=1e-5, rtol=1e-4)


def test_lambda_outside_the_range_is_refused() -> None:
    net = tiny_mask_net(default_lambda=2.0)
    assert net.description.check_lambda(None) == 2.0
    with pytest.raises(DepthcueError, match="--lambda must be between 0.5 and 8 for .*, got 9"):
        net.description.check_lambda(9.0)
    of_one_lambda = build_mask_net("drn22")
    with pytest.raises(DepthcueError, match="--lambda must be 5 for .*, got 1"):
        of_one_lambda.description.check_lambda(1.0)
    for any_kind in (net, of_one_lambda):
        with pytest.raises(DepthcueError, match="--lambda must be .*, got nan"):
            any_kind.description.check_lambda(float("nan"))


@pytest.mark.parametrize("half", [False, True])
def test_saved_net_gives_the_same_answer(tmp_path: Path, half: bool, generator: torch.Generator) -> None:
    net = tiny_mask_net().eval()
    card = save_net(net, tmp_path / "mask.safetensors", architecture="compact", half=half, licence="MIT")
    again = load_mask_net(str(tmp_path / "mask.safetensors"))
    x = torch.randn(1, 3, 32, 32, generator=generator)
    with torch.inference_mode():
        torch.testing.assert_close(again(x), net(x), atol=2e-3 if half else 0, rtol=0)
    assert again.description == net.description
    assert again.card == json.loads((tmp_path / "mask.json").read_text()) == json.loads(json.dumps(card))
    assert next(again.parameters()).dtype == torch.float32


def test_damaged_weights_are_named_key_by_key() -> None:
    net = tiny_mask_net()
    state = net.state_dict()
    state["extra.weight"] = torch.zeros(1)
    del state["up2.conv.weight"]
    state["detail.0.weight"] = torch.zeros(1, 4, 3, 3)
    with pytest.raises(DepthcueError) as caught:
        load_strict(net, state, "mask.pth")
    assert str(caught.value).splitlines()[:4] == [
        "mask.pth does not fit compact:", "  missing (1): up2.conv.weight", "  unexpected (1): extra.weight",
        f"  other shape (1): detail.0.weight (1, 4, 3, 3) for {tuple(net.detail[0].weight.shape)}"]  # type: ignore


def test_weights_that_diverged_are_refused() -> None:
    net = tiny_mask_net()
    state = {key: value.clone() for key, value in net.state_dict().items()}
    state["up2.conv.weight"][0, 0] = torch.nan
    with pytest.raises(DepthcueError, match="diverged.pth holds NaN or infinity in up2.conv.weight"):
        load_strict(net, state, "diverged.pth")


def test_batch_counts_may_be_missing() -> None:
    net, other = tiny_mask_net(), tiny_mask_net()
    # new nets are alike: every tensor is made another
    state = {key: value + 1 for key, value in net.state_dict().items() if not key.endswith("num_batches_tracked")}
    assert "up2.bn.running_mean" in state and "up2.bn.num_batches_tracked" in net.state_dict()
    assert not any(torch.equal(other.state_dict()[key], value) for key, value in state.items())
    load_strict(other, state, "mask.pth")
    assert all(torch.equal(other.state_dict()[key], value) for key, value in state.items())
    del state["up2.bn.running_mean"]
    with pytest.raises(DepthcueError, match=r"missing \(1\): up2.bn.running_mean"):
        load_strict(tiny_mask_net(), state, "mask.pth")


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('a pickle was run')",)


def test_pickles_are_never_run(tmp_path: Path) -> None:
    (tmp_path / "mask.pth").write_bytes(pickle.dumps({"D.conv.weight": Bomb()}))
    torch.save({"D.conv.weight": Bomb()}, tmp_path / "zip.pth")
    for name in ("mask.pth", "zip.pth"):
        with pytest.raises(DepthcueError, match="not run"):
            load_mask_net(f"drn22:{tmp_path / name}")


@pytest.mark.parametrize(("spec", "message"), [
    ("compact-garden", "names no depth net"), ("hu-resnet50", "comes without weights"),
    ("compact:/nowhere.safetensors", "no weights at"), ("net.onnx", "no graph at net.onnx")])
def test_specs_that_name_nothing(spec: str, message: str) -> None:
    with pytest.raises(DepthcueError, match=message):
        load_depth_net(spec)


def test_kinds_and_files_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "mask.safetensors"
    save_net(tiny_mask_net(), path, architecture="compact")
    with pytest.raises(DepthcueError, match="is a mask net; a depth net is wanted"):
        load_depth_net(str(path))
    with pytest.raises(DepthcueError, match="is a compact, not a drn22"):
        load_mask_net(f"drn22:{path}")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DepthcueError, match="not a whole safetensors"):
        load_mask_net(str(path))
    path.with_suffix(".json").unlink()
    with pytest.raises(DepthcueError):
        load_mask_net(str(path))


class Constant(DepthNet):
    """Predicts the picture's red channel in the given units."""

    def forward(self, normalised: Tensor) -> Tensor:
        return normalised[:, :1]


def test_depth_through_a_mask_sees_the_mean_colour_where_hidden() -> None:
    net = Constant(DepthDescription("toy", 32, 32, 4))
    normalised = torch.full((1, 3, 4, 4), 2.0)
    mask = torch.ones(1, 1, 4, 4)
    mask[..., 0, 0] = 0
    depth = depth_from(net, normalised, mask)
    assert float(depth[0, 0, 1, 1]) == 2.0
    assert float(depth[0, 0, 0, 0]) == pytest.approx(1e-3)
    inverse = Constant(DepthDescription("toy", 32, 32, 4, predicts="inverse depth"))
    assert float(depth_from(inverse, normalised)[0, 0, 1, 1]) == 0.5


def test_pictures_are_brought_to_the_working_size() -> None:
    description = DepthDescription("toy", 144, 192, 16)
    assert fit(torch.zeros(1, 3, 480, 640), description).shape == (1, 3, 144, 192)
    tall = fit(torch.zeros(1, 3, 640, 480), description).shape
    assert tall[2] > tall[3] and tall[2] % 16 == 0 == tall[3] % 16


def test_borrowed_net_gets_its_modes_back() -> None:
    net = build_depth_net("compact", config=TINY).train()
    net.head.requires_grad_(False)  # type: ignore[union-attr]
    net.encoder.stem.eval()  # type: ignore[union-attr, operator]
    with pytest.raises(RuntimeError), restore_mode(net):
        assert not net.training and not any(parameter.requires_grad for parameter in net.parameters())
        raise RuntimeError
    assert net.training and not net.encoder.stem.training  # type: ignore[union-attr]
    assert not net.head.weight.requires_grad  # type: ignore[union-attr]
    assert net.up8[0].weight.requires_grad  # type: ignore[index, union-attr]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_load_and_are_what_their_cards_say(name: str) -> None:
    import hashlib

    for kind, load in (("depth", load_depth_net), ("mask", load_mask_net)):
        path = weights_folder() / f"{name}-{kind}.safetensors"
        card = load(name).card
        assert hashlib.sha256(path.read_bytes()).hexdigest() == card["sha256"]
        assert path.stat().st_size < 10_000_000
        assert card["licence"] and card["results"] and card["training"]["command"]
    assert load_mask_net(name).card["target_sha256"] == load_depth_net(name).card["sha256"]


def test_a_picture_given_by_hand_is_normalised_and_sized_or_refused(generator: torch.Generator) -> None:
    rgb = torch.rand(1, 3, 32, 48, generator=generator)
    dial = torch.tensor([1.0])
    net = tiny_mask_net().eval()
    for raw, says in ((rgb, "normalised"), (rgb * 255, "normalised"), ((rgb * 255).byte(), "real numbers"),
                      (rgb[0], "real numbers"), (rgb[:, :1], "real numbers"),
                      (net.normalise(rgb)[..., :40], "multiples")):
        fresh = tiny_mask_net().eval()
        with torch.inference_mode(), pytest.raises(DepthcueError, match=says) as refused:
            fresh(raw, dial)
        assert "net.normalise(rgb)" in str(refused.value.hint)
    with pytest.raises(DepthcueError, match="255|real numbers"):
        net.normalise((rgb * 255).byte())
    with torch.inference_mode():
        wanted = net(net.normalise(rgb), dial)
        torch.testing.assert_close(tiny_mask_net().eval()(net.normalise(rgb), dial), wanted)  # another's `normalise`
        with pytest.warns(UserWarning, match="looks unnormalised"):  # after `normalise` it may be a picture in part
            net(rgb, dial)
        net(rgb, dial)  # told once
        net(net.normalise(rgb) * (rgb[:, :1] > 0.8), dial)  # hidden pixels are no sign
        with pytest.raises(DepthcueError, match="unnormalised"):
            net(rgb * 255, dial)
        trained = tiny_mask_net().train()
        trained(rgb.expand(2, -1, -1, -1), dial.expand(2))  # values are not looked at in training
        with pytest.raises(DepthcueError, match="unnormalised"):
            trained.eval()(rgb, dial)
        for dim in (0.4 * rgb, 0.3 + 0.7 * rgb):
            with pytest.raises(DepthcueError, match="unnormalised"):
                tiny_mask_net().eval()(dim, dial)
        tiny_mask_net().eval()(torch.full((1, 3, 32, 48), 0.5), dial)  # a plain picture, normalised, is no raw one


def test_a_published_graph_gets_the_mask_net_that_was_trained_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                                   caplog: pytest.LogCaptureFixture) -> None:
    graph = tmp_path / "their net.onnx"
    graph.write_bytes(b"a graph")
    folder = tmp_path / "weights"
    folder.mkdir()
    for name in catalog.EXPLAINED:
        shutil.copy(catalog.weights_folder() / f"{name}-mask.safetensors", folder)
        card = json.loads((catalog.weights_folder() / f"{name}-mask.json").read_text())
        if name == "pydnet-kitti":
            card["target_sha256"] = hashlib.sha256(b"a graph").hexdigest()
        (folder / f"{name}-mask.json").write_text(json.dumps(card))
    monkeypatch.setattr(catalog, "weights_folder", lambda: folder)
    spec = f"onnx:{graph},takes=rgb,predicts=inverse"
    assert catalog.mask_net_for(spec) == catalog.mask_net_for(str(graph)) == "pydnet-kitti"
    opened: list[str] = []
    monkeypatch.setattr(catalog, "open_foreign", lambda spec: opened.append(spec) or FirstLook())
    monkeypatch.setattr(catalog, "check_depth_net", lambda net, spec: None)
    for unsaid in (str(graph), f"onnx:{graph},predicts=disparity"):
        load_depth_net(unsaid)
    known = {"takes": "rgb", "predicts": "inverse", "relative": "yes", "shift_unknown": "no"}
    assert [split_spec(spec)[1] for spec in opened] == [known, known | {"predicts": "disparity"}]
    net = load_mask_net("pydnet-kitti")
    catalog.warn_of_other_target(net.description, "pydnet-kitti", spec)
    assert not caplog.text
    graph.write_bytes(b"another graph")
    assert catalog.mask_net_for(spec) == catalog.GENERAL
    catalog.warn_of_other_target(net.description, "pydnet-kitti", spec)
    assert "was trained for" in caplog.text
