"""The doctor tries things out: what works is ok, what is missing has a remedy, what masking needs decides."""

import sys
from types import SimpleNamespace

import fake_tensorrt
import numpy as np
import pytest

from depthcue.errors import DepthcueError
from depthcue.frames.sinks import ENCODERS, SOFTWARE
from depthcue.nets import build_depth_net, build_mask_net
from depthcue.nets.catalog import SHIPPED
from depthcue.nets.checkpoint import save_net
from depthcue.runtime import doctor


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A folder of small nets under the names of the shipped ones, in their place."""
    for name in SHIPPED:
        narrow = {"widths": [8] * 5}
        save_net(build_depth_net("compact", config=narrow), tmp_path / f"{name}-depth.safetensors",
                 architecture="compact")
        save_net(build_mask_net("compact", config={**narrow, "detail": 8}), tmp_path / f"{name}-mask.safetensors",
                 architecture="compact")
    monkeypatch.setattr("depthcue.nets.catalog.weights_folder", lambda: tmp_path)
    monkeypatch.setattr(doctor, "weights_folder", lambda: tmp_path)
    return tmp_path


def findings():
    document = doctor.examine()
    return document["able"], {each["what"]: each for each in document["findings"]}


def test_with_everything_here_masking_works(shipped):
    able, found = findings()
    assert able
    for what in ("torch", "video", "ONNX Runtime CPUExecutionProvider", "weights compact-indoor mask"):
        assert found[what]["status"] == "ok", found[what]
    assert "H.264" in found["video"]["detail"] and found["video"]["needed"]


def test_what_is_absent_has_a_remedy_and_does_not_hinder(shipped, monkeypatch):
    monkeypatch.setattr(doctor, "EXTRAS", {"no-such-extra": ("no_such_module", "pip install it")})
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    able, found = findings()
    assert able and found["no-such-extra"]["status"] == "absent" == found["GPU"]["status"]
    assert found["no-such-extra"]["remedy"] == "pip install it"


@pytest.mark.parametrize(("harm", "complaint"), [
    (lambda path: path.unlink(), "not found"),
    (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\1"), "not the one its card"),
    (lambda path: path.with_suffix(".json").unlink(), "no card"),
])
def test_harmed_weights_are_found_out(shipped, harm, complaint):
    harm(shipped / "compact-indoor-mask.safetensors")
    able, found = findings()
    weights = found["weights compact-indoor mask"]
    assert not able and weights["status"] == "broken" and complaint in weights["detail"] and weights["remedy"]
    assert found["weights compact-indoor depth"]["status"] == "ok"


def test_a_video_library_that_cannot_encode_is_broken(shipped, monkeypatch):
    monkeypatch.setattr(doctor, "VideoSink", lambda *_: (_ for _ in ()).throw(OSError("no encoder")))
    able, found = findings()
    assert not able and found["video"]["status"] == "broken" and found["video"]["detail"] == "no encoder"


def test_openvino_is_tried(monkeypatch):
    assert doctor._openvino().status in ("ok", "absent")
    monkeypatch.setattr(doctor, "has_openvino", lambda: False)
    found = doctor._openvino()
    assert found.status == "absent" and "depthcue[openvino]" in found.remedy
    monkeypatch.setattr(doctor, "has_openvino", lambda: True)
    monkeypatch.setitem(sys.modules, "openvino", SimpleNamespace(Core=lambda: (_ for _ in ()).throw(
        OSError("libopenvino.so does not load"))))
    found = doctor._openvino()
    assert (found.status, found.detail) == ("broken", "libopenvino.so does not load")


def test_codecs_of_a_gpu_are_tried_and_not_missed(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(doctor, "find_encoder", lambda *_: SOFTWARE)
    monkeypatch.setattr(doctor, "hardware_decoding", lambda _: (_ for _ in ()).throw(DepthcueError("no GPU here")))
    encoder, decoder, jpeg = doctor._codecs()
    assert {each.status for each in (encoder, decoder, jpeg)} == {"absent"}
    assert "h264_nvenc" in encoder.detail and decoder.detail == "no GPU here" and "no CUDA device" in jpeg.detail
    monkeypatch.setattr(doctor, "find_encoder", lambda *_: ENCODERS["h264_qsv"])
    monkeypatch.setattr(doctor, "hardware_decoding", lambda _: None)
    monkeypatch.setattr(doctor, "check_nvjpeg", lambda: None)
    monkeypatch.setattr(doctor, "decode_on_gpu", lambda path, opened: np.asarray(opened))
    assert [(each.status, each.detail.split()[0]) for each in doctor._codecs()] == [
        ("ok", "h264_qsv"), ("ok", "for"), ("ok", "for")]
    monkeypatch.setattr(doctor, "decode_on_gpu", lambda path, opened: None)
    assert doctor._codecs()[2].status == "absent"


def test_a_provider_that_is_there_but_does_not_load_is_not_called_ok(shipped, monkeypatch):
    monkeypatch.setattr("onnxruntime.get_available_providers",
                        lambda: ["ImaginaryExecutionProvider", "CPUExecutionProvider"])
    able, found = findings()
    assert able and found["ONNX Runtime ImaginaryExecutionProvider"]["status"] == "absent"


def test_a_cache_that_cannot_be_written_is_a_finding_and_does_not_hinder(shipped, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    able, found = findings()
    assert able and found["cache for exported nets"]["status"] == "broken"
    assert "XDG_CACHE_HOME" in found["cache for exported nets"]["remedy"]


@pytest.mark.parametrize(("version", "gpu", "words"), [
    ("10.12.0.36", "NVIDIA L4", "builds engines and runs them on NVIDIA L4"),
    ("10.12.0.36", None, "builds and runs engines where there is a GPU"),
    ("1.7.1.116", None, "builds engines; there is no GPU to run them"),
])
def test_tensorrt_is_tried_by_building_and_running_a_tiny_engine(monkeypatch, tmp_path, version, gpu, words):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fake_tensorrt.install(monkeypatch, version, gpu)
    name = fake_tensorrt.NAMES[version].replace("_", "-")
    monkeypatch.setattr(doctor, "is_installed", lambda each: each == name)
    found = {each.what: each for each in doctor._tensorrt()}
    assert found[name].status == "ok" and words in found[name].detail and version in found[name].detail
    (other,) = set(found) - {name}
    assert found[other].status == "absent" and f"depthcue[{other}]" in found[other].remedy


def test_a_tensorrt_that_does_not_build_is_broken(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fake_tensorrt.install(monkeypatch, fault="build")
    monkeypatch.setattr("depthcue.export.tensorrt_engine.has_gpu", lambda: True)
    monkeypatch.setattr(doctor, "is_installed", lambda each: each == "tensorrt")
    found = {each.what: each for each in doctor._tensorrt()}["tensorrt"]
    assert found.status == "broken" and "OutOfMemory" in found.detail


def test_reports_that_are_sent_home_are_a_finding(shipped, monkeypatch):
    assert findings()[1]["reports home"]["status"] == "ok"
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    able, found = findings()
    assert able and found["reports home"]["status"] == "broken"
    assert "RAY_USAGE_STATS_ENABLED=1" in found["reports home"]["detail"]
