"""Exported files are measured as they are, by what runs files; graphs of others and devices that run none are told."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image
from tiny_nets import SIZE, FirstLook, LastWord

from depthcue.bench import job as bench_job
from depthcue.bench.candidates import depth_candidates, mask_candidates
from depthcue.bench.job import Settings, bench_specs
from depthcue.errors import DepthcueError
from depthcue.export import export_onnx
from depthcue.nets import load_depth_net, load_mask_net


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A mask net's graph, a depth net's, and a folder of pictures."""
    folder = tmp_path_factory.mktemp("files")
    pictures = list(np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), dtype=np.uint8))
    export_onnx(LastWord(), folder / "mask.onnx", pictures)
    export_onnx(FirstLook(), folder / "depth.onnx", pictures)
    (folder / "pictures").mkdir()
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / "pictures" / f"{number}.png")
    return folder


@pytest.fixture
def quick(monkeypatch, patient, pictures):
    monkeypatch.setattr(bench_job, "rendered_pictures", lambda: [picture[:SIZE[0], :SIZE[1]] for picture in pictures])
    monkeypatch.setattr(bench_job, "measure_limits", lambda device, precisions: {
        "device": device, "matrix_side": 8, "matmul_tflops": {}, "memory_gb_s": 1.0})
    monkeypatch.setattr(bench_job, "ROUNDS", 1)


def test_files_are_measured_as_they_are(quick, files, tmp_path):
    results = bench_specs(str(files / "mask.onnx"), str(files / "depth.onnx"), tmp_path, Settings(
        seconds=1e-6, batch_sizes=(1, 2), source=str(files / "pictures")), "cpu")
    mask, depth = results["measured"]
    assert (mask["file"], depth["file"]) == ("mask.onnx", "depth.onnx")
    for part in (mask, depth):
        assert part["reference"] == "onnx fp32" and {"onnx fp32"} <= set(part["ranking"]) <= {"onnx fp32",
                                                                                               "openvino fp32"}
        assert part["flops_per_frame"] == {"as_given": None, "rewritten": None} and part["parameters"] is None
        entry = next(each for each in part["contenders"] if each["name"] == "onnx fp32")
        assert entry["agreement"]["max_abs"] < 1e-5
        assert [timing["ratio"] for timing in entry["timings"]] == [1.0, 1.0]
    assert "onnx fp32" in {each["name"] for each in results["end_to_end"]["jobs"]}


def test_on_a_gpu_engines_are_built_of_files_and_elsewhere_nothing_runs_them(files):
    net, depth_net = load_mask_net(str(files / "mask.onnx")), load_depth_net(str(files / "depth.onnx"))
    for ways in (mask_candidates(net, "mask.onnx", None, "cuda", 1), depth_candidates(depth_net, "cuda", 1)):
        assert [way.name for way in ways] == ["onnx fp32", "tensorrt fp32"]
    with pytest.raises(DepthcueError, match="not run on mps"):
        mask_candidates(net, "mask.onnx", None, "mps", 1)


def test_graphs_of_others_are_left_to_other_commands(quick, files, tmp_path):
    shape = ["batch", 3, *SIZE]
    graph = helper.make_graph([helper.make_node("ReduceMean", ["x"], ["y"], axes=[1])], "other",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 1, *SIZE])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8),
              tmp_path / "other.onnx")
    with pytest.raises(DepthcueError, match="a graph that others wrote"):
        bench_specs(str(files / "mask.onnx"), str(tmp_path / "other.onnx"), tmp_path / "out", Settings(), "cpu")
    assert not (tmp_path / "out").exists()
