"""Files of weights: layouts known by their keys, wrappers of training programs, downloads that are no weights."""

import argparse
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_nets import save_small_pair
from torch import Tensor

from depthcue.errors import DepthcueError
from depthcue.nets import build_depth_net, build_mask_net, load_depth_net, load_mask_net
from depthcue.nets.catalog import DEPTH_NETS, MASK_NETS
from depthcue.nets.checkpoint import LAYOUTS, modern_keys, read_state, recognise, save_net
from depthcue.nets.released import read_released


def layout_of(name: str, kind: str) -> dict[str, Tensor]:
    """The state dict of a net that takes no memory."""
    if name == "hu-senet154":
        pytest.importorskip("timm")
    with torch.device("meta"):
        return (build_depth_net if kind == "depth" else build_mask_net)(name).state_dict()


@pytest.mark.parametrize(("name", "kind"), [*((name, "depth") for name in DEPTH_NETS),
                                            *((name, "mask") for name in MASK_NETS)])
def test_every_net_looks_like_itself_and_like_nothing_else(name: str, kind: str) -> None:
    state = layout_of(name, kind)
    assert [(layout.name, layout.kind) for layout in LAYOUTS if layout.fits(state)] == [(name, kind)]


@pytest.mark.parametrize(("file", "name", "kind"), [
    ("mask", "drn22", "mask"), ("resnet", "hu-resnet50", "depth"), ("densenet", "hu-densenet161", "depth"),
    ("senet", "hu-senet154", "depth")])
def test_released_layouts_are_ours_tensor_by_tensor(shared_data: Path, file: str, name: str, kind: str) -> None:
    layout = json.loads((shared_data / "official" / f"{file}_keys.json").read_text())
    released = modern_keys({key: torch.empty(shape, device="meta") for key, shape in layout["tensors"].items()})
    found = recognise(released)
    assert found is not None and (found.name, found.kind) == (name, kind)
    ours = {key: value.shape for key, value in layout_of(name, kind).items() if not key.endswith("num_batches_tracked")}
    assert {key: value.shape for key, value in released.items()} == ours
    counted = sum(shape.numel() for key, shape in ours.items() if "running_" not in key)
    assert counted == layout["parameters"]


@pytest.fixture(scope="module")
def mask_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drn22 as the authors released theirs: no extension, behind DataParallel, without counts of batches."""
    path = tmp_path_factory.mktemp("net_mask") / "mask_resnet"
    torch.save({f"module.{key}": value for key, value in build_mask_net("drn22").state_dict().items()
                if not key.endswith("num_batches_tracked")}, path)
    return path


def test_a_bare_path_is_enough(mask_file: Path) -> None:
    net = load_mask_net(str(mask_file))
    assert net.description.name == "drn22" and net.config == {"align_corners": True}
    assert len(net.card["sha256"]) == 64


def test_a_mask_net_is_no_depth_net_whatever_it_is_called(mask_file: Path) -> None:
    for spec in (str(mask_file), f"hu-resnet50:{mask_file}"):
        with pytest.raises(DepthcueError, match="holds drn22, a mask net, by its keys; a depth net is wanted"):
            load_depth_net(spec)
    with pytest.raises(DepthcueError, match="drn22 is a mask net"):
        load_depth_net(f"drn22:{mask_file}")


def test_depth_nets_under_the_mask_nets_name(tmp_path: Path) -> None:
    path = tmp_path / "mask_compact"
    torch.save({"state_dict": build_depth_net("compact").state_dict(), "epoch": 3}, path)
    with pytest.raises(DepthcueError, match="holds compact, a depth net, by its keys; a mask net is wanted"):
        load_mask_net(str(path))
    assert load_depth_net(str(path)).description.name == "compact"


def test_another_architecture_is_named_with_a_few_keys(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save(build_depth_net("compact").state_dict(), path)
    with pytest.raises(DepthcueError) as caught:
        load_depth_net(f"monodepth2-resnet18:{path}")
    message = str(caught.value)
    assert "does not fit monodepth2-resnet18" in message and "It looks like compact, a depth net" in message
    assert "encoder.conv1.weight" in message and "encoder.stem.0.weight" in message
    assert len(message) < 1500


def test_what_nobody_knows_and_what_is_no_state_dict(tmp_path: Path) -> None:
    path = tmp_path / "model"
    torch.save({"a.weight": torch.zeros(1), "b.weight": torch.zeros(1)}, path)
    with pytest.raises(DepthcueError, match=r"no architecture known here \(2 tensors: a.weight, b.weight"):
        load_depth_net(str(path))
    torch.save({"a.weight": torch.zeros(1), "epoch": 3, "lr": 0.1}, path)
    with pytest.raises(DepthcueError, match="not tensors: epoch, lr"):
        read_released(path, "depth")
    torch.save({}, path)
    with pytest.raises(DepthcueError, match="it is empty"):
        read_released(path, "depth")


def test_safetensors_that_lost_their_card_load_under_a_name(tmp_path: Path) -> None:
    path = tmp_path / "depth.safetensors"
    save_net(build_depth_net("compact"), path, architecture="compact")
    path.with_suffix(".json").unlink()
    with pytest.raises(DepthcueError, match="has no card"):
        load_depth_net(str(path))
    assert load_depth_net(f"compact:{path}").description.name == "compact"


def _compact() -> dict[str, Tensor]:
    return build_depth_net("compact", seed=5).state_dict()


def _prefixed(prefix: str, state: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
    return {f"{prefix}{key}": value for key, value in (state or _compact()).items()}


def _with_optimiser() -> dict[str, object]:
    net = torch.nn.Linear(2, 2)
    adam = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 2)).sum().backward()
    adam.step()
    return {"net": _compact(), "optimizer": adam.state_dict(), "epoch": 3, "best": np.float64(0.25),
            "args": argparse.Namespace(lr=1e-4)}


def _beside(averaged: str, plain: str) -> dict[str, object]:
    """Averaged weights and others: those that load must be the averaged ones."""
    return {plain: {key: torch.zeros_like(value) for key, value in _compact().items()}, averaged: _compact()}


WRAPPED: dict[str, Callable[[], dict[str, object]]] = {
    "compiled": lambda: _prefixed("_orig_mod."),
    "compiled and parallel": lambda: _prefixed("module._orig_mod."),
    "parallel and compiled": lambda: _prefixed("_orig_mod.module."),
    "a part compiled": lambda: {key.replace("encoder.", "encoder._orig_mod.", 1): value
                                for key, value in _compact().items()},
    "model_state_dict": lambda: {"model_state_dict": _compact(), "loss": torch.tensor(0.5)},
    "model within state_dict": lambda: {"state_dict": {"model": _prefixed("module.")}},
    "with an optimiser": _with_optimiser,
    "params": lambda: {"params": _compact()},
    "a name of its own": lambda: {"depth_net": _compact(), "step": 7},
    "averaged beside": lambda: _beside("ema", "model"),
    "averaged first": lambda: dict(reversed(_beside("params_ema", "params").items())),
    "AveragedModel": lambda: torch.optim.swa_utils.AveragedModel(build_depth_net("compact", seed=5)).state_dict(),
    "a trainer's module": lambda: {"state_dict": {**_prefixed("depth_model."), "loss.weight": torch.ones(3)}},
    "a trainer's averaged module": lambda: {**_prefixed("online_model.", build_depth_net("compact").state_dict()),
                                            **_prefixed("ema_model.module."), "initted": torch.tensor(True)},
}


@pytest.mark.parametrize("name", WRAPPED)
def test_what_training_scripts_wrap_around_a_net_comes_off(name: str, tmp_path: Path) -> None:
    torch.save(WRAPPED[name](), tmp_path / "net.pth")
    loaded = load_depth_net(str(tmp_path / "net.pth")).state_dict()
    for key, value in _compact().items():
        torch.testing.assert_close(loaded[key], value, rtol=0, atol=0)


def test_no_net_has_a_part_whose_name_comes_off() -> None:
    for name, kind in [*((name, "depth") for name in DEPTH_NETS), *((name, "mask") for name in MASK_NETS)]:
        state = layout_of(name, kind)
        assert list(modern_keys(state)) == list(state)


def test_dictionaries_that_hold_each_other_are_looked_into_once(tmp_path: Path) -> None:
    within: dict[str, object] = {}
    for _ in range(9):
        within = {str(number): within for number in range(99)}
    within["self"] = within
    torch.save({"options": within, "model": _compact(), "ema": _compact()}, tmp_path / "net.pth")
    load_depth_net(str(tmp_path / "net.pth"))


def test_two_nets_in_one_file_are_not_chosen_between(tmp_path: Path) -> None:
    torch.save({"depth": _compact(), "pose": {"weight": torch.ones(3)}}, tmp_path / "net.pth")
    with pytest.raises(DepthcueError, match="several state dicts: depth, pose"):
        load_depth_net(str(tmp_path / "net.pth"))


@pytest.mark.parametrize("name", ["net.pth", "net.safetensors", "net.onnx", "net"])
@pytest.mark.parametrize(("content", "fragment"), [
    ("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 105\n",
     "pointer of Git LFS(.|\n)*git lfs pull"),
    ("\n <!doctype html><html lang='en'>", r"a web page \(HTML\)(.|\n)*Download it again"),
    ('{"error": "Repository not found"}', "JSON where weights are wanted; it begins(.|\n)*Repository not found"),
    ("Entry not found", "plain text where weights are wanted(.|\n)*Download it again"),
    ("", "is empty(.|\n)*Download it again")])
def test_downloads_that_went_wrong_are_told_as_such(name: str, content: str, fragment: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    for spec in (f"{tmp_path / name}", *([] if name.endswith("onnx") else [f"compact:{tmp_path / name}"])):
        with pytest.raises(DepthcueError, match=fragment):
            load_depth_net(spec)


def test_an_archive_is_to_be_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "mono_640x192.zip", "w") as archive:
        archive.writestr("mono_640x192/encoder.pth", b"\x80\x02")
    with pytest.raises(DepthcueError, match="is a zip archive\nUnpack it"):
        load_depth_net(str(tmp_path / "mono_640x192.zip"))
    whole = tmp_path / "cut.pth"
    torch.save(_compact(), whole)
    whole.write_bytes(whole.read_bytes()[:-200])
    with pytest.raises(DepthcueError, match="cannot be read as weights(.|\n)*Copy or download it again"):
        load_depth_net(str(whole))


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
PAGE = b"\n<!DOCTYPE html><html><body>Sign in</body></html>"
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    return build_mask_net("drn22", seed=3).state_dict()


@pytest.mark.parametrize("wrap", [
    lambda state: {f"_orig_mod.{key}": value for key, value in state.items()},
    lambda state: {f"module._orig_mod.{key}": value for key, value in state.items()},
    lambda state: {key.replace("E.", "E._orig_mod."): value for key, value in state.items()},
    lambda state: {"state_dict": {f"model.{key}": value for key, value in state.items()}, "epoch": 3},
    lambda state: {"model_state_dict": state, "optimizer_state_dict": {"lr": 0.1}, "loss": 0.5},
    lambda state: {"model": {f"net.module.{key}": value for key, value in state.items()}},
    lambda state: {"model": {"state_dict": state, "args": ["x"]}},
], ids=["compiled", "compiled-parallel", "part-compiled", "lightning", "usual", "prefixes", "twice"])
def test_weights_are_found_in_what_they_are_wrapped_in(wrap: Callable[[State], Any], state: State,
                                                       tmp_path: Path) -> None:
    torch.save(wrap(state), tmp_path / "net.pth")
    loaded = load_mask_net(str(tmp_path / "net.pth"))
    assert loaded.card["architecture"] == "drn22"
    assert all(torch.equal(value, state[key]) for key, value in loaded.state_dict().items())


@pytest.mark.parametrize(("content", "message"), [(PAGE, "web page"),
                                                  (b"\xef\xbb\xbf<?xml version='1.0'?>", "web page"),
                                                  (POINTER, "Git LFS")])
@pytest.mark.parametrize("name", ["net.pth", "net.safetensors", "drn22:net.pth", "net.onnx"])
def test_what_a_download_left_is_named(content: bytes, message: str, name: str, tmp_path: Path,
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name.rpartition(":")[2]).write_bytes(content)
    for load in (load_mask_net, load_depth_net)[:1 + name.endswith(".onnx")]:
        with pytest.raises(DepthcueError, match=message):
            load(name)


@pytest.mark.parametrize("content", [b"", b"\x80\x02.", b"PK\x03\x04", b"\x80\x02]q\x00.",
                                     b"\x80\x04\x95\xff\xff\xff\xff", pickle.dumps({"a": {1, 2}})])
def test_a_damaged_pickle_is_no_traceback(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(content)
    with pytest.raises(DepthcueError, match=r"net\.pth"):
        read_state(tmp_path / "net.pth")


def test_weights_belong_to_their_card(tmp_path: Path) -> None:
    weights, _ = save_small_pair(tmp_path)
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1  # a bit of a number, which no format could notice
    weights.write_bytes(data)
    with pytest.raises(DepthcueError, match="not the file its card was written for"):
        load_mask_net(str(weights))
    card = json.loads(weights.with_suffix(".json").read_text())
    del card["sha256"]  # as cards of old
    weights.with_suffix(".json").write_text(json.dumps(card))
    load_mask_net(str(weights))


def test_a_card_may_say_more_than_is_known(tmp_path: Path) -> None:
    weights, _ = save_small_pair(tmp_path)
    card = json.loads(weights.with_suffix(".json").read_text())
    card["description"] |= {"of_a_newer_version": [[0.1, 2.0], [0.2, 3.0]]}
    weights.with_suffix(".json").write_text(json.dumps(card | {"more": {"deep": [1]}}))
    assert load_mask_net(str(weights)).card["more"] == {"deep": [1]}
