"""`depthcue export` as a user calls it."""

import json

import numpy as np
import onnxruntime
import pytest
from noise_pictures import save_noise
from tiny_nets import LastWord

from depthcue.backends.session import FP16, TOLERANCES, Tolerance
from depthcue.cli.main import main


@pytest.fixture
def pictures(tmp_path):
    return save_noise(tmp_path / "pictures", "01", (40, 60))


@pytest.fixture
def last_word(monkeypatch):
    """A spec of a net that is exported in a second."""
    monkeypatch.setattr("depthcue.export.onnx.load_mask_net", lambda spec: LastWord())
    return "last-word"


def test_a_mask_net_becomes_a_file_with_a_card(last_word, pictures, tmp_path, capfd):
    out = tmp_path / "made" / "mask.onnx"
    assert main(["export", "--weights", last_word, "--data", f"folder:{pictures}", "--out", str(out), "--json"]) == 0
    card = json.loads(capfd.readouterr().out)
    assert card["kind"] == "mask" and card["parity"]["task_rmse_m"] is None  # its depth net is nowhere
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    mask = session.run(None, {"frames": np.zeros((1, 32, 32, 3), np.uint8), "lambda": np.float32([2])})[0]
    assert mask.shape == (1, 32, 32)


def test_over_the_limit_there_is_no_file_and_the_status_is_1(last_word, pictures, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(TOLERANCES, FP16, Tolerance(mean_abs=-1))
    out = tmp_path / "made" / "mask.onnx"
    assert main(["export", "--weights", last_word, "--data", f"folder:{pictures}", "--precision", "fp16",
                 "--out", str(out)]) == 1
    printed = capsys.readouterr()
    assert "the graph in fp16 does not agree with torch" in printed.err and "mean difference" in printed.err
    assert "--precision bf16" in printed.err and printed.out == ""
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize("nets", [[], ["--weights", "a.safetensors", "--target", "b.safetensors"]])
def test_exactly_one_net_is_wanted(nets, tmp_path, capsys):
    assert main(["export", *nets, "--out", str(tmp_path / "x.onnx")]) == 1
    assert "--weights W for a mask net or --target NET" in capsys.readouterr().err


def test_a_mask_net_is_no_target(weights, tmp_path, capsys):
    assert main(["export", "--target", str(weights), "--out", str(tmp_path / "x.onnx")]) == 1
    assert "is a mask net; a depth net is wanted" in capsys.readouterr().err


def test_an_unknown_format_is_a_wrong_option(weights, tmp_path, capsys):
    assert main(["export", "--weights", str(weights), "--format", "tflite", "--out", str(tmp_path / "x")]) == 2


def test_a_folder_that_cannot_be_made_is_an_error(weights, pictures, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["export", "--weights", str(weights), "--data", f"folder:{pictures}",
                 "--out", str(tmp_path / "file" / "x.onnx")]) == 1
    assert "is not a folder" in capsys.readouterr().err
