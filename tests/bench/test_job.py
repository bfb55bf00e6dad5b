"""Specs to a results document, with small nets on small pictures; and the sources that whole jobs are timed on."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image
from tiny_nets import SIZE, FirstLook, LastWord

from depthcue.bench import job as bench_job
from depthcue.bench.candidates import REFERENCE, Candidate, depth_candidates, mask_candidates
from depthcue.bench.job import Settings, bench_specs
from depthcue.errors import DepthcueError
from depthcue.export import export_onnx
from depthcue.frames import find_inputs, open_input
from depthcue.nets import load_depth_net, load_mask_net
from depthcue.progress import Silent

QUICK = Settings(seconds=1e-6, batch_sizes=(1, 2))


@pytest.fixture
def quick(monkeypatch, patient, pictures, tmp_path):
    """Few and small pictures, in place of rendered ones, and few candidates; the folder of the pictures."""
    monkeypatch.setattr(bench_job, "rendered_pictures", lambda: [picture[:32, :48] for picture in pictures])
    monkeypatch.setattr(bench_job, "measure_limits", lambda device, precisions: {
        "device": device, "matrix_side": 8, "matmul_tflops": {"fp32": 0.001}, "memory_gb_s": 1.0})
    monkeypatch.setattr(bench_job, "ROUNDS", 1)
    # without an export, which would take longer than all the rest
    monkeypatch.setattr("depthcue.bench.candidates._OTHERS", {"cpu": (("openvino", "int4"),)})
    monkeypatch.setattr("depthcue.bench.candidates._TORCH", {"cpu": ("fp32",)})
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{number}.png")
    return folder


def test_a_pair_from_specs_to_results(quick, small_pair, tmp_path):
    out = tmp_path / "out"
    results = bench_specs(str(small_pair[0]), None, out, Settings(seconds=1e-6, batch_sizes=(1, 2), source=str(quick)),
                          "cpu")
    assert json.loads((out / "results.json").read_text()) == results.to_dict()
    assert results["command"] == "bench" and results["trained"]
    assert (results["weights"]["name"], results["target_net"]["name"]) == ("small", "small-depth")
    mask, depth = results["measured"]
    assert (mask["kind"], depth["kind"]) == ("mask", "depth")
    for part in (mask, depth):
        assert part["reference"] == REFERENCE and part["file"] is None
        assert sorted(part["ranking"]) == sorted([REFERENCE, "torch fp32"])
        assert [each["name"] for each in part["failed"]] == ["openvino int4"]
        for entry in part["contenders"]:
            assert [timing["batch"] for timing in entry["timings"]] == [1, 2]
            form = "rewritten" if entry["rewritten"] else "as_given"
            flops, values = part["flops_per_frame"][form], part["values_per_frame"][form]
            for timing in entry["timings"]:
                assert timing["share_of_limit"] == pytest.approx(flops * timing["frames_per_second"] / 1e9, rel=0.01)
                assert timing["share_of_memory"] == pytest.approx(
                    4 * values * timing["frames_per_second"] / 1e9 / results["limits"]["memory_gb_s"], rel=0.01)
    jobs = results["end_to_end"]["jobs"]
    assert [(each["name"], each["source"], each["frames"]) for each in jobs] == [
        ("torch fp32", "source", 3)]
    assert all(each["share_of_runner"] > 0 for each in jobs) and results["end_to_end"]["failed"] == []


def test_an_architecture_alone_is_measured_untrained_and_without_a_depth_net(quick, tmp_path):
    results = bench_specs("compact", None, tmp_path / "out", Settings(
        seconds=1e-6, batch_sizes=(1,), size=(32, 48), source=str(quick)), "cpu")
    assert not results["trained"] and results["target_net"] is None and len(results["measured"]) == 1
    assert "--target" in results["without_target"]
    assert results["end_to_end"]["jobs"][0]["frames"] == 3


@pytest.mark.parametrize(("weights", "target", "settings", "complaint"), [
    ("nonsense", None, QUICK, "names no mask net"),
    ("compact-indoor", "nonsense", QUICK, "names no depth net"),
    ("compact-indoor", None, Settings(size=(30, 48)), "multiples of 32"),
    ("compact-indoor", None, Settings(lam=99.0), "lambda must be between"),
])
def test_wrong_options_are_errors_before_the_work(quick, tmp_path, weights, target, settings, complaint):
    with pytest.raises(DepthcueError, match=complaint):
        bench_specs(weights, target, tmp_path / "out", settings, "cpu")
    assert not (tmp_path / "out").exists()


TORCH = Candidate("torch fp32", "torch", "cpu", "fp32", True, lambda: None, True)


def test_a_source_that_cannot_be_masked_is_an_error(small_pair, tmp_path, monkeypatch):
    monkeypatch.setattr(bench_job, "ROUNDS", 1)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    done, failed = bench_job.time_jobs(
        [TORCH], lambda candidate: bench_job.masking_by(candidate, str(small_pair[0])),
        {"source": str(tmp_path / "nowhere"), "pictures": str(broken)}, Silent())
    assert done == []
    assert [(each["name"], each["source"]) for each in failed] == [("torch fp32", "source"), ("torch fp32", "pictures")]
    assert "nowhere" in failed[0]["reason"] and "broken.jpg" in failed[1]["reason"]


def test_a_job_masks_what_it_is_given_and_leaves_nothing(small_pair, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "in").mkdir()
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / "in" / f"{number}.png")
    with bench_job.masking_by(TORCH, str(small_pair[0])) as masking:
        frames, seconds = bench_job.time_masking(masking, find_inputs([str(tmp_path / "in")]))
    assert frames == 3 and seconds > 0
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_sources_are_a_video_and_pictures_of_the_same_frames(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_job, "PIXELS", 48 * 64)
    paths = bench_job.write_sources(tmp_path, (144, 192), 7)
    assert bench_job.frame_size((144, 192)) == (48, 64)
    wide = bench_job.frame_size((96, 320))
    assert wide[1] > 3 * wide[0]
    pictures = find_inputs([paths["pictures"]])
    with open_input(find_inputs([paths["video"]])[0]) as video:
        frames = [frame.rgb for frame in video]
    assert len(pictures) == len(frames) == 7
    assert all(frame.shape == (48, 64, 3) for frame in frames)
    for each, frame in zip(pictures, frames, strict=True):
        with open_input(each) as opened:
            picture = next(iter(opened)).rgb
        # two lossy encodings of the same
        assert np.abs(picture.astype(float) - frame).mean() < 12
    assert np.abs(frames[0].astype(float) - frames[1]).mean() > 1


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
def quick_graphs(monkeypatch, patient, pictures):
    monkeypatch.setattr(bench_job, "rendered_pictures", lambda: [picture[:SIZE[0], :SIZE[1]] for picture in pictures])
    monkeypatch.setattr(bench_job, "measure_limits", lambda device, precisions: {
        "device": device, "matrix_side": 8, "matmul_tflops": {}, "memory_gb_s": 1.0})
    monkeypatch.setattr(bench_job, "ROUNDS", 1)


def test_files_are_measured_as_they_are(quick_graphs, files, tmp_path):
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
    for methods in (mask_candidates(net, "mask.onnx", None, "cuda", 1), depth_candidates(depth_net, "cuda", 1)):
        assert [method.name for method in methods] == ["onnx fp32", "tensorrt fp32"]
    with pytest.raises(DepthcueError, match="not run on mps"):
        mask_candidates(net, "mask.onnx", None, "mps", 1)


def test_graphs_of_others_are_left_to_other_commands(quick_graphs, files, tmp_path):
    shape = ["batch", 3, *SIZE]
    graph = helper.make_graph([helper.make_node("ReduceMean", ["x"], ["y"], axes=[1])], "other",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 1, *SIZE])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8),
              tmp_path / "other.onnx")
    with pytest.raises(DepthcueError, match="a graph that others wrote"):
        bench_specs(str(files / "mask.onnx"), str(tmp_path / "other.onnx"), tmp_path / "out", Settings(), "cpu")
    assert not (tmp_path / "out").exists()
