"""Files of weights: what training programs wrap them in, what downloads leave in their place, what does not belong."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_nets import save_small_pair
from torch import Tensor

from depthcue.errors import DepthcueError
from depthcue.nets import load_depth_net, load_mask_net
from depthcue.nets.catalog import build_mask_net
from depthcue.nets.checkpoint import read_state

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
