"""Checkpoints without a card: told by their keys, in every spelling they were released in."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from depthcue.errors import DepthcueError
from depthcue.nets import build_depth_net, build_mask_net, load_depth_net, load_mask_net
from depthcue.nets.catalog import DEPTH_NETS, MASK_NETS
from depthcue.nets.checkpoint import modern_keys, save_net
from depthcue.nets.recognise import LAYOUTS, recognise
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
    told = recognise(released)
    assert told is not None and (told.name, told.kind) == (name, kind)
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
