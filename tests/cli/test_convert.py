"""`depthcue convert` as a user calls it."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from depthcue.cli.main import main
from depthcue.nets import build_depth_net, build_mask_net, load_depth_net, load_mask_net
from depthcue.nets.checkpoint import save_net


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mask net of the paper, a depth net, and a folder of monodepth2, as they are released."""
    folder = tmp_path_factory.mktemp("released")
    torch.save({f"module.{key}": value for key, value in build_mask_net("drn22", seed=1).state_dict().items()},
               folder / "mask_resnet")
    torch.save(build_depth_net("compact", seed=2).state_dict(), folder / "model")
    (folder / "mono").mkdir()
    state = build_depth_net("monodepth2-resnet18", seed=3).state_dict()
    torch.save({"height": 192, "width": 640, "use_stereo": True,
                **{key: value for key, value in state.items() if key.startswith("encoder.")}},
               folder / "mono" / "encoder.pth")
    torch.save({key: value for key, value in state.items() if key.startswith("decoder.")},
               folder / "mono" / "depth.pth")
    return folder


def test_a_mask_net_loads_back_equal_with_its_description(folder: Path, tmp_path: Path, capfd) -> None:
    out = tmp_path / "made" / "mask.safetensors"
    assert main(["convert", str(folder / "mask_resnet"), "--out", str(out), "--name", "hu-mask", "--licence", "none",
                 "--target", "somewhere", "--lambda", "3", "--json"]) == 0
    card = json.loads(capfd.readouterr().out)
    assert card == json.loads(out.with_suffix(".json").read_text())
    assert (card["architecture"], card["kind"], card["parameters"]) == ("drn22", "mask", 25_259_761)
    assert card["converted_from"] == [{
        "file": "mask_resnet", "sha256": hashlib.sha256((folder / "mask_resnet").read_bytes()).hexdigest()}]
    net, before = load_mask_net(str(out)), load_mask_net(str(folder / "mask_resnet"))
    description = net.description
    assert (description.name, description.licence, description.target) == ("hu-mask", "none", "somewhere")
    assert description.default_lambda == 3 and net.config == {"align_corners": True}
    for key, value in before.state_dict().items():
        assert torch.equal(net.state_dict()[key], value), key


def test_a_folder_of_monodepth2_becomes_one_file(folder: Path, tmp_path: Path, capfd) -> None:
    out = tmp_path / "mono.safetensors"
    assert main(["convert", str(folder / "mono"), "--out", str(out)]) == 0
    assert "monodepth2-resnet18, a depth net of 14,329,236 parameters" in capfd.readouterr().out
    net = load_depth_net(str(out))
    assert net.config == {"unit_m": 5.4} and net.description.licence == "unknown"
    assert [entry["file"] for entry in net.card["converted_from"]] == ["encoder.pth", "depth.pth"]
    before = load_depth_net(str(folder / "mono"))
    for key, value in before.state_dict().items():
        assert torch.equal(net.state_dict()[key], value), key
    assert main(["convert", str(out), "--out", str(tmp_path / "again.safetensors")]) == 1
    assert "has its card already" in capfd.readouterr().err


@pytest.mark.parametrize(("checkpoint", "options", "message"), [
    ("nowhere", [], "no weights at"), ("model", ["--lambda", "2"], "holds a depth net (compact)"),
    ("drn22:model", [], "holds compact, a depth net, by its keys; a mask net"),
    ("mono/depth.pth", [], "the decoder of a monodepth2 net"),
    ("", [], "is a folder without encoder.pth and depth.pth")])
def test_mistakes_leave_nothing(folder: Path, tmp_path: Path, capfd, checkpoint: str, options: list[str],
                                message: str) -> None:
    name, colon, path = checkpoint.rpartition(":")
    out = tmp_path / "out.safetensors"
    assert main(["convert", f"{name}{colon}{folder / path}", "--out", str(out), *options]) == 1
    assert message in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_suffix_says_what_is_written(folder: Path, tmp_path: Path, capfd) -> None:
    assert main(["convert", str(folder / "model"), "--out", str(tmp_path / "model.pth")]) == 1
    assert "does not end in .safetensors" in capfd.readouterr().err


def test_a_card_that_was_lost_is_made_again(tmp_path: Path) -> None:
    lost, out = tmp_path / "lost.safetensors", tmp_path / "found.safetensors"
    save_net(build_depth_net("compact", seed=2), lost, architecture="compact")
    lost.with_suffix(".json").unlink()
    assert main(["convert", f"compact:{lost}", "--out", str(out), "-q"]) == 0
    assert load_depth_net(str(out)).card["architecture"] == "compact"
