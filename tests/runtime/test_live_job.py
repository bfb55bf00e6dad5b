"""Masks of a live source: the whole job against a camera on this machine, its faults, its ends, and what is told."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from streaming import Camera

from depthcue.errors import DepthcueError
from depthcue.frames import Input, VideoSink, open_input
from depthcue.progress import Silent
from depthcue.runtime import MaskOptions, mask_sources
from depthcue.runtime.saving import Latencies


@pytest.fixture
def camera():
    with Camera(size=(46, 62)) as camera:
        yield camera


@pytest.fixture
def watch(weights, tmp_path):
    """Runs the job on live sources and returns the summary."""
    def run(*sources, **options):
        options = {"weights": str(weights), "backend": "torch", "device": "cpu", "save": ("mask",), "stall_s": 5.0,
                   **options}
        return mask_sources(list(sources), tmp_path / "out", MaskOptions(**options), Silent())
    return run


def frames_of(path):
    with open_input(Input(path, "video", "x")) as source:
        return list(source)


def test_a_recording_of_a_given_length(watch, camera, tmp_path):
    summary = watch(camera.url(), duration_s=1.0, save=("mask", "overlay", "binary"))
    (entry,) = summary["inputs"]
    name = entry["name"]
    assert entry["kind"] == "live" and entry["error"] is None and entry["path"] == camera.url()
    assert entry["outputs"] == [f"{name}_mask.mp4", f"{name}_overlay.mp4", f"{name}_frames"]
    for kind in ("mask", "overlay"):
        made = frames_of(tmp_path / "out" / f"{name}_{kind}.mp4")
        assert len(made) == entry["frames"] > 5 and made[0].size == (46, 62)
        assert float(made[-1].time) <= 1.0  # times are kept in whole ticks
        assert all(a.time < b.time for a, b in zip(made, made[1:], strict=False))
    pictures = sorted((tmp_path / "out" / f"{name}_frames").iterdir())
    assert len(pictures) == entry["frames"] and Image.open(pictures[0]).size == (62, 46)
    latency = entry["live"]["latency_ms"]
    assert 0 < latency["median"] <= latency["p95"] <= 1.01 * latency["longest"] < 1000
    assert entry["live"]["reconnects"] == 0
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == summary


def test_frames_that_are_too_many_are_dropped_and_the_rest_stay_fresh(watch, camera, monkeypatch):
    write = VideoSink.write

    def slow(self, values, frame):
        time.sleep(0.1)
        write(self, values, frame)

    monkeypatch.setattr(VideoSink, "write", slow)
    (entry,) = watch(camera.url(), duration_s=1.5)["inputs"]
    assert entry["frames"] < 20 and entry["live"]["dropped"] > 30
    # its own writing, the one before it, and what inference takes; a queue of 50 frames a second would be seconds old
    assert entry["live"]["latency_ms"]["median"] < 350


def test_a_camera_that_disappears_leaves_a_whole_file_and_an_error(watch, camera, tmp_path, caplog):
    camera.after(30, camera.vanish)
    summary = watch(camera.url(), stall_s=0.7)
    (entry,) = summary["inputs"]
    assert "no frame for 0.7 seconds" in entry["error"] and summary["totals"]["failed"] == 1
    assert summary["status"] == "done"
    assert len(frames_of(tmp_path / "out" / f"{entry['name']}_mask.mp4")) == entry["frames"] > 3
    assert entry["outputs"] and camera.url() in caplog.text


def test_a_stream_that_stalls_does_not_hold_up_another(watch, camera, tmp_path):
    with Camera(size=(46, 62)) as other:
        camera.after(10, camera.stalled.set)
        summary = watch(camera.url(), other.url(), stall_s=0.5, duration_s=3.0)
    by_error = {entry["error"] is None: entry for entry in summary["inputs"]}
    assert "no frame for 0.5" in by_error[False]["error"] and 0 < by_error[False]["frames"]
    assert by_error[True]["frames"] > by_error[False]["frames"]


def test_a_connection_that_breaks_off_is_counted(watch, camera):
    def hiccup():
        camera.broken.set()
        time.sleep(0.1)
        camera.broken.clear()

    camera.after(10, hiccup)
    (entry,) = watch(camera.url(), duration_s=2.5)["inputs"]
    assert entry["error"] is None and entry["live"]["reconnects"] == 1


def test_nothing_there_is_an_error_at_once_and_leaves_nothing(watch, camera, tmp_path):
    camera.vanish()
    (entry,) = watch(camera.url())["inputs"]
    assert "cannot be opened" in entry["error"] and entry["outputs"] == [] and entry["frames"] == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["summary.csv", "summary.json"]


def test_a_recording_is_never_overwritten(watch, camera, tmp_path):
    watch(camera.url(), duration_s=0.3)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with pytest.raises(DepthcueError, match="is not overwritten"):
        watch(camera.url(), duration_s=0.3)
    with pytest.raises(DepthcueError, match="is not overwritten"):
        watch(camera.url(), duration_s=0.3, resume=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_files_and_live_sources_do_not_mix(watch, camera, tmp_path):
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(DepthcueError, match="is not live(?s:.*)run of their own"):
        watch(camera.url(), str(tmp_path / "a.png"))


@pytest.mark.parametrize(("options", "complaint"), [
    ({"duration_s": 0.0}, "--duration must be .*, got 0"), ({"stall_s": -1.0}, "--stall-timeout must be .*, got -1"),
    ({"stall_s": float("nan")}, "--stall-timeout must be .*, got nan"), ({"encoder": "h265"}, "got 'h265'"),
    ({"decoder": "nvdec"}, "got 'nvdec'"),
])
def test_wrong_options_are_errors_before_anything_is_done(watch, camera, tmp_path, options, complaint):
    with pytest.raises(DepthcueError, match=complaint):
        watch(camera.url(), **options)
    assert not (tmp_path / "out").exists() and camera.connections == 0


def test_no_password_is_kept(watch, camera, tmp_path):
    url = camera.url().replace("http://", "http://user:secret@") + "?token=hidden"
    camera.vanish()
    watch(url)
    assert not any(word in (tmp_path / "out" / "summary.json").read_text().partition('"inputs"')[2]
                   for word in ("secret", "hidden"))


def test_ctrl_c_finishes_the_files(weights, camera, tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "depthcue.cli", "mask", camera.url(), "--out", str(out), "--weights", str(weights),
         "--backend", "torch", "--device", "cpu", "--save", "mask"], stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True)
    deadline = time.monotonic() + 60
    while not list(out.glob(".depthcue-*.part*")):  # it records
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0 and "Traceback" not in err
    summary = json.loads((out / "summary.json").read_text())
    (entry,) = summary["inputs"]
    assert summary["status"] == "done" and entry["error"] is None
    assert len(frames_of(out / f"{entry['name']}_mask.mp4")) == entry["frames"] > 0
    assert not list(out.glob(".depthcue-*"))


def test_quantiles_of_latencies_are_exact_to_a_hundredth():
    seconds = np.random.default_rng(0).lognormal(-3, 1, 5000)
    latencies = Latencies()
    for each in seconds:
        latencies.add(each)
    for share in (0.01, 0.5, 0.95, 1.0):
        expected = np.quantile(seconds, share, method="inverted_cdf")
        assert latencies.quantile(share) == pytest.approx(expected, rel=0.0101)
    assert latencies.as_json()["longest"] == pytest.approx(1e3 * seconds.max(), abs=0.01)
    assert Latencies().as_json() == {"median": None, "p95": None, "longest": None}
    assert len(latencies._counts) < 1000
