"""An exported mask graph answers as the net it was written from, and says what it is where more is wanted of it."""

import copy
import json

import numpy as np
import pytest
import torch
from tiny_nets import SIZE, FirstLook, LastWord, TopShare

from depthcue.errors import DepthcueError
from depthcue.export import export_onnx
from depthcue.nets import load_depth_net, load_mask_net


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A mask net's graph and a depth net's."""
    folder = tmp_path_factory.mktemp("exported")
    pictures = [np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)]
    export_onnx(LastWord("first-look"), folder / "mask.onnx", pictures)
    export_onnx(FirstLook(), folder / "depth.onnx", pictures)
    return folder / "mask.onnx", folder / "depth.onnx"


@pytest.fixture
def rgb():
    """Pictures of bytes, as [0, 1]; of a size that is not the working size."""
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, (2, 3, 40, 24), dtype=np.uint8)) / 255.0


def card_in_bf16(graph, folder):
    """A copy whose card says what that of a bfloat16 graph says."""
    copied = folder / graph.name
    copied.write_bytes(graph.read_bytes())
    card = json.loads(graph.with_suffix(".json").read_text())
    copied.with_suffix(".json").write_text(json.dumps(card | {"precision": "bf16",
                                                              "runs_in_onnxruntime_on_cpu": False}))
    return str(copied)


def test_it_answers_as_the_net_did(pair, rgb):
    net, again = LastWord("first-look"), load_mask_net(str(pair[0]))
    assert again.description == net.description and again.graph_file == pair[0]
    assert again.card["sha256"] == json.loads(pair[0].with_suffix(".json").read_text())["sha256"]
    lam = torch.tensor([0.5, 6.0])
    for mine in (again, copy.deepcopy(again)):
        torch.testing.assert_close(mine(mine.normalise(rgb), lam), net(net.normalise(rgb), lam), atol=1e-5, rtol=0)
    torch.testing.assert_close(again(again.normalise(rgb)), net(net.normalise(rgb), torch.full((2,), 2.0)), atol=1e-5,
                               rtol=0)
    with pytest.raises(DepthcueError, match="--lambda must be between"):
        again.description.check_lambda(7.0)


def test_a_graph_of_shares_is_a_net_of_shares(tmp_path, rgb):
    net = TopShare("first-look")
    export_onnx(net, tmp_path / "mask.onnx", [np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)])
    again = load_mask_net(str(tmp_path / "mask.onnx"))
    assert again.keeps_shares and again.description == net.description
    assert again.description.keep_of(1.0) == pytest.approx(0.4)
    keep = torch.tensor([0.1, 0.6])
    torch.testing.assert_close(again(again.normalise(rgb), keep), net(net.normalise(rgb), keep), atol=1e-4, rtol=0)
    assert again(again.normalise(rgb)).mean() == pytest.approx(0.2, abs=1e-4)


def test_it_has_no_weights_to_train_or_to_export(pair, tmp_path):
    net = load_mask_net(str(pair[0]))
    assert not net.trainable and list(net.parameters()) == []
    with pytest.raises(DepthcueError, match="is an ONNX graph already"):
        export_onnx(net, tmp_path / "again.onnx", [np.zeros((*SIZE, 3), np.uint8)])
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_mask_graph_is_told(pair, tmp_path):
    with pytest.raises(DepthcueError, match="is a depth net; a mask net is wanted"):
        load_mask_net(str(pair[1]))
    with pytest.raises(DepthcueError, match="no exported graph"):
        load_mask_net(str(tmp_path / "none.onnx"))
    with pytest.raises(DepthcueError, match="masks pictures and nothing else"):
        load_mask_net(str(tmp_path / "mask.engine"))
    with pytest.raises(DepthcueError, match="is the spec of a depth net; a mask net is wanted"):
        load_mask_net("hf:some/depth-net")


@pytest.mark.parametrize(("number", "load"), [(0, load_mask_net), (1, load_depth_net)])
def test_a_graph_that_no_cpu_computes_is_told(pair, number, load, tmp_path):
    with pytest.raises(DepthcueError, match="computes in bf16, for which ONNX Runtime has no kernels on a CPU"):
        load(card_in_bf16(pair[number], tmp_path))
