"""An exported file runs anywhere: any size and batch, raw frames in, and never half there."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tiny_nets import SHARES_OF_LAMBDAS, LastWord, TopShare

from depthcue.backends.onnx_backend import OnnxSession
from depthcue.backends.session import Tolerance
from depthcue.errors import DepthcueError
from depthcue.export import described_mask_net, export_onnx, read_graph_card
from depthcue.nets import build_depth_net, build_mask_net

NARROW = (8, 8, 8, 8, 8)


@pytest.fixture(scope="module")
def pictures():
    generator = np.random.default_rng(5)
    return [generator.integers(0, 256, (40, 64, 3), dtype=np.uint8) for _ in range(3)]


@pytest.fixture(scope="module")
def mask_net():
    net = build_mask_net("compact", seed=1, config={"widths": NARROW, "detail": 8}, height=32, width=48,
                         target="compact-indoor", lambda_range=(0.5, 6.0))
    torch.nn.init.normal_(net.head.weight, std=0.5, generator=torch.Generator().manual_seed(1))
    for layer in net.modules():
        if hasattr(layer, "modulation"):
            torch.nn.init.normal_(layer.modulation.weight, generator=torch.Generator().manual_seed(2))
    return net.eval()


@pytest.fixture(scope="module")
def depth_net():
    return build_depth_net("compact", seed=2, config={"widths": NARROW}, height=32, width=48).eval()


@pytest.fixture(scope="module")
def exported(mask_net, depth_net, pictures, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "mask.onnx"
    return path, export_onnx(mask_net, path, pictures, depth_net)


def test_the_graph_takes_raw_frames_of_any_size_and_batch(exported, mask_net, generator):
    path, card = exported
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for batch, height, width in ((1, 32, 32), (5, 64, 48), (2, 32, 160)):
        frames = torch.randint(0, 256, (batch, height, width, 3), dtype=torch.uint8, generator=generator)
        lam = torch.rand(batch, generator=generator) * 5 + 0.5
        mask = session.run(["mask"], {"frames": frames.numpy(), "lambda": lam.numpy()})[0]
        with torch.inference_mode():
            wanted = mask_net(mask_net.normalise(frames.permute(0, 3, 1, 2) / 255), lam)[:, 0]
        # float32 sums in another order
        np.testing.assert_allclose(mask, wanted.numpy(), atol=1e-4)


def test_lambda_changes_the_exported_mask(exported):
    session = onnxruntime.InferenceSession(exported[0], providers=["CPUExecutionProvider"])
    frames = np.full((1, 32, 32, 3), 90, np.uint8)
    low, high = (session.run(None, {"frames": frames, "lambda": np.float32([lam])})[0] for lam in (0.5, 6))
    assert np.abs(low - high).max() > 1e-3


@pytest.fixture(scope="module")
def share_net():
    net = build_mask_net("compact", seed=1, config={"widths": NARROW, "detail": 8}, height=32, width=48,
                         target="compact-indoor", keep_range=(0.04, 0.8), lambda_at=SHARES_OF_LAMBDAS)
    torch.nn.init.normal_(net.head.weight, std=4.0, generator=torch.Generator().manual_seed(1))
    for layer in net.modules():
        if hasattr(layer, "modulation"):
            torch.nn.init.normal_(layer.modulation.weight, generator=torch.Generator().manual_seed(2))
    return net.eval()


def test_a_graph_of_shares_takes_one_for_each_picture_and_keeps_it(share_net, depth_net, pictures, tmp_path, generator):
    path = tmp_path / "mask.onnx"
    card = export_onnx(share_net, path, pictures, depth_net)
    assert [each["name"] for each in card["inputs"]] == ["frames", "keep"]
    assert (card["keep_range"], card["default_keep"], card["lambda_range"]) == ([0.04, 0.8], 0.2, None)
    assert "0.04 to 0.8" in card["inputs"][1]["meaning"] and "its mean is keep" in card["outputs"][0]["meaning"]
    assert described_mask_net(read_graph_card(path, "mask")).keep_range == (0.04, 0.8)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for batch, height, width in ((1, 32, 32), (5, 64, 48), (2, 32, 160)):
        frames = torch.randint(0, 256, (batch, height, width, 3), dtype=torch.uint8, generator=generator)
        keep = 0.05 + 0.9 * torch.rand(batch, generator=generator)
        mask = session.run(["mask"], {"frames": frames.numpy(), "keep": keep.numpy()})[0]
        np.testing.assert_allclose(mask.mean(axis=(1, 2)), keep.numpy(), atol=1e-4)
        with torch.inference_mode():
            wanted = share_net(share_net.normalise(frames.permute(0, 3, 1, 2) / 255), keep)[:, 0].numpy()
        # float32 sums in another order, and a temperature of 0.3 makes four times as much of it
        np.testing.assert_allclose(mask, wanted, atol=5e-4)


def test_a_card_of_the_first_schema_is_still_read(exported, tmp_path):
    """Written before there were shares: it knows nothing of them."""
    path, _ = exported
    card = json.loads(path.with_suffix(".json").read_text())
    for name in ("keep_range", "default_keep", "lambda_at"):
        del card["description"][name]
    del card["keep_range"], card["default_keep"]
    (tmp_path / "mask.onnx").write_bytes(path.read_bytes())
    (tmp_path / "mask.json").write_text(json.dumps(card | {"graph_schema": 1}))
    with OnnxSession(tmp_path / "mask.onnx", 3.0) as runner, OnnxSession(path, 3.0) as today:
        frames = np.full((1, 32, 48, 3), 90, np.uint8)
        np.testing.assert_array_equal(runner.run(frames), today.run(frames))
    (tmp_path / "mask.json").write_text(json.dumps(card | {"graph_schema": 3}))
    with pytest.raises(DepthcueError, match="schema 1 to 2"):
        read_graph_card(tmp_path / "mask.onnx", "mask")


def test_a_graph_of_shares_cannot_pass_for_another(pictures, tmp_path):
    card = export_onnx(TopShare(), tmp_path / "mask.onnx", pictures)
    assert card["parity"]["tolerance"]["changed_side"] == Tolerance().kept_side


def test_the_file_is_one_and_says_nothing_about_this_machine(exported):
    path, _ = exported
    model = onnx.load(path)
    # TensorRT takes bytes into a cast and nothing else
    assert [node.op_type for node in model.graph.node if "frames" in node.input] == ["Cast"]
    assert model.graph.node[0].op_type == "Cast"
    assert model.opset_import[0].version == 18
    assert sorted(file.name for file in path.parent.iterdir()) == ["mask.json", "mask.onnx"]
    assert b"/site-packages/" not in path.read_bytes() and b".py" not in path.read_bytes()


def test_the_card_says_what_goes_in_and_out(exported, mask_net):
    path, card = exported
    assert read_graph_card(path, "mask") == json.loads(json.dumps(card))
    assert [each["name"] for each in card["inputs"]] == ["frames", "lambda"]
    assert card["lambda_range"] == [0.5, 6.0] and card["target"] == "compact-indoor"
    assert card["parity"]["max_abs"] < 1e-4 and card["parity"]["task_rmse_m"] < 1e-3
    assert described_mask_net(read_graph_card(path, "mask")) == mask_net.description


def test_a_depth_net_gives_metres(depth_net, pictures, tmp_path, generator):
    card = export_onnx(depth_net, tmp_path / "depth.onnx", pictures)
    assert card["kind"] == "depth" and card["outputs"][0]["meaning"] == "metres"
    session = onnxruntime.InferenceSession(tmp_path / "depth.onnx", providers=["CPUExecutionProvider"])
    frames = torch.randint(0, 256, (1, 48, 32, 3), dtype=torch.uint8, generator=generator)
    with torch.inference_mode():
        wanted = depth_net(depth_net.normalise(frames.permute(0, 3, 1, 2) / 255))[:, 0]
    np.testing.assert_allclose(session.run(None, {"frames": frames.numpy()})[0], wanted.numpy(), rtol=1e-4)


def test_a_failed_gate_leaves_no_file(pictures, tmp_path):
    with pytest.raises(DepthcueError, match="does not agree with torch"):
        export_onnx(LastWord(), tmp_path / "mask.onnx", pictures, tolerance=Tolerance(max_abs=-1))
    assert not list(tmp_path.iterdir())


def test_a_changed_or_foreign_file_is_refused(exported, tmp_path):
    path, _ = exported
    copied = tmp_path / "mask.onnx"
    copied.write_bytes(path.read_bytes())
    with pytest.raises(DepthcueError, match="has no card"):
        read_graph_card(copied, "mask")
    card = path.with_suffix(".json").read_text()
    copied.with_suffix(".json").write_text(card)
    with pytest.raises(DepthcueError, match="depth net is wanted"):
        read_graph_card(copied, "depth")
    copied.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(DepthcueError, match="sha256 differs"):
        read_graph_card(copied, "mask")
    copied.with_suffix(".json").write_text("{}")
    with pytest.raises(DepthcueError, match="not the card"):
        read_graph_card(copied, "mask")
    with pytest.raises(DepthcueError, match="no exported graph"):
        read_graph_card(tmp_path / "absent.onnx", "mask")


def test_another_suffix_is_refused(mask_net, pictures, tmp_path):
    with pytest.raises(DepthcueError, match=r"does not end in \.onnx"):
        export_onnx(mask_net, tmp_path / "mask.bin", pictures)
