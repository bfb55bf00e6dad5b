"""`depthcue mask` as a user calls it: exit status, streams, and interruption at any time."""

import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction

import numpy as np
import pytest
import torch
from noise_pictures import save_noise
from PIL import Image

from depthcue.cli.main import main
from depthcue.frames import Frame, Input, VideoSink, open_input
from depthcue.nets import build_depth_net, build_mask_net
from depthcue.nets.checkpoint import save_net


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    net = build_mask_net("compact", seed=1, config={"widths": [8] * 5, "detail": 8}, height=32, width=48,
                         target="nowhere", lambda_range=(0.5, 6.0))
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_net(net, path, architecture="compact")
    return path


@pytest.fixture
def pictures(tmp_path):
    return save_noise(tmp_path / "pictures", "012", (40, 60))


def mask(*arguments):
    return main(["mask", "--device", "cpu", "--backend", "torch", *map(str, arguments)])


def test_pictures_are_masked_and_a_table_printed(pictures, weights, tmp_path, capfd):
    assert mask(pictures, "--weights", weights, "--out", tmp_path / "out") == 0
    out, err = capfd.readouterr()
    assert "3 of 3 masked" in out and "pixels kept" in out and err == ""
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        ["summary.csv", "summary.json",
         *(f"{number}_{kind}.png" for number in range(3) for kind in ("mask", "overlay"))])


def test_a_depth_net_without_a_mask_net_gets_a_first_guess(pictures, tmp_path, capfd):
    net = build_depth_net("compact", config={"widths": [8] * 5}, height=32, width=48)
    save_net(net, tmp_path / "own.safetensors", architecture="compact")
    assert mask(pictures, "--target", tmp_path / "own.safetensors", "--size", "64x32", "--out", tmp_path / "out") == 0
    out, err = capfd.readouterr()
    assert "3 of 3 masked (a first guess)" in out
    assert "a first guess" in err and f"depthcue train --target {tmp_path / 'own.safetensors'}" in err
    options = json.loads((tmp_path / "out" / "summary.json").read_text())["options"]
    assert options["weights"] == "general" and options["note"] == "a first guess"
    assert mask(pictures / "0.png", "--target", "compact-indoor", "--size", "64x32", "--out", tmp_path / "shipped") == 0
    assert "guess" not in "".join(capfd.readouterr())


def test_json_is_the_summary_alone(pictures, weights, tmp_path, capfd):
    assert mask(pictures, "--weights", weights, "--out", tmp_path / "out", "--json", "--save", "npy",
                "--lambda", "4", "--size", "96x64") == 0
    printed = json.loads(capfd.readouterr().out)
    assert printed == json.loads((tmp_path / "out" / "summary.json").read_text())
    assert printed["command"] == "mask" and printed["status"] == "done" and printed["options"]["lambda"] == 4.0
    assert [entry["frames"] for entry in printed["inputs"]] == [1, 1, 1]


def test_a_share_is_kept_and_printed(pictures, weights, tmp_path, capfd):
    assert mask(pictures, "--weights", weights, "--out", tmp_path / "out", "--json", "--save", "binary",
                "--keep", "0.25") == 0
    printed = json.loads(capfd.readouterr().out)
    assert printed["options"]["keep"] == 0.25 and printed["options"]["lambda"] == 2.0
    for number in range(3):
        assert np.asarray(Image.open(tmp_path / "out" / f"{number}_binary.png")).sum() == 600


def test_one_bad_picture_is_reported_the_rest_done_and_the_status_is_1(pictures, weights, tmp_path, capfd):
    (pictures / "1.png").write_bytes(b"")
    assert mask(pictures, "--weights", weights, "--out", tmp_path / "out", "--quiet") == 1
    out, err = capfd.readouterr()
    assert out == "" and "1.png is empty" in err and "Traceback" not in err
    assert (tmp_path / "out" / "2_mask.png").exists() and not (tmp_path / "out" / "1_mask.png").exists()


@pytest.mark.parametrize(("arguments", "complaint"), [
    (["absent.png"], "does not exist"),
    (["{pictures}", "--weights", "compact:absent.safetensors"], "no weights at"),
    (["{pictures}", "--weights", "what"], "names no mask net"),
    (["{pictures}", "--save", "gif"], "--save must be one of"),
    (["{pictures}", "--backend", "caffe"], "--backend must be one of"),
    (["{pictures}", "--device", "tpu"], "no device"),
    (["{pictures}", "--precision", "int2"], "--precision must be one of auto, "),
    (["{pictures}", "--lambda", "77"], "lambda must be between"),
    (["{pictures}", "--size", "50x50"], "multiples of 16"),
    (["{pictures}", "--keep", "0.2", "--lambda", "2"], "Give either --keep or --lambda"),
    (["{pictures}", "--keep", "20"], "above 0 and below 1"),
    (["{pictures}", "--keep", "0.2", "--threshold", "0.1"], "leave --threshold out"),
])
def test_mistakes_are_errors_without_a_traceback(pictures, weights, tmp_path, capfd, arguments, complaint):
    given = [each.format(pictures=pictures) for each in arguments]
    if "--weights" not in given:
        given += ["--weights", str(weights)]
    assert main(["mask", "--device", "cpu", *given, "--out", str(tmp_path / "out")]) == 1
    err = capfd.readouterr().err
    assert complaint in err and err.startswith("error: ") and "Traceback" not in err


@pytest.mark.parametrize("size", ["50", "0x10", "ax5"])
def test_a_size_that_is_none_is_a_wrong_option(pictures, weights, tmp_path, size):
    assert mask(pictures, "--weights", weights, "--out", tmp_path / "out", "--size", size) == 2


def test_an_empty_folder_is_an_error(weights, tmp_path, capsys):
    (tmp_path / "nothing").mkdir()
    assert mask(tmp_path / "nothing", "--weights", weights, "--out", tmp_path / "out") == 1
    assert "holds no picture" in capsys.readouterr().err


class Evil:
    """Runs a command when unpickled."""

    def __init__(self, witness):
        self.witness = witness

    def __reduce__(self):
        return os.system, (f"touch {self.witness}",)


def test_a_pickle_with_code_inside_is_not_run(pictures, tmp_path, capsys):
    evil, witness = tmp_path / "evil.pth", tmp_path / "witness"
    torch.save({"weight": Evil(witness)}, evil)
    assert mask(pictures, "--weights", f"drn22:{evil}", "--out", tmp_path / "out") == 1
    assert "it was not run" in capsys.readouterr().err and not witness.exists()


def test_weights_of_another_architecture_are_an_error_that_names_keys(pictures, weights, tmp_path, capsys):
    assert mask(pictures, "--weights", f"drn22:{weights}", "--out", tmp_path / "out") == 1
    assert "is a compact, not a drn22" in capsys.readouterr().err
    torch.save({"foreign.weight": torch.zeros(1)}, tmp_path / "other.pth")
    assert mask(pictures, "--weights", f"compact:{tmp_path / 'other.pth'}", "--out", tmp_path / "out") == 1
    err = capsys.readouterr().err
    assert "missing" in err and "unexpected (1): foreign.weight" in err
    save_net(build_depth_net("compact", config={"widths": [8] * 5}), tmp_path / "n.safetensors", architecture="compact")
    assert mask(pictures, "--weights", tmp_path / "n.safetensors", "--out", tmp_path / "out") == 1
    assert "is a depth net; a mask net is wanted" in capsys.readouterr().err


@pytest.fixture(scope="module")
def long_video(tmp_path_factory):
    """A short clip, then one that takes long to mask."""
    folder = tmp_path_factory.mktemp("videos")
    grey = np.full((48, 64), 90, np.uint8)
    for name, frames in (("a_short", 3), ("b_long", 1500)):
        with VideoSink(folder / f"{name}.mp4", Fraction(25), grey.shape) as sink:
            for index in range(frames):
                sink.write(grey, Frame(grey, index, None, ""))
    return folder


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_leaves_whole_files_alone(long_video, weights, tmp_path, sent, status):
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "depthcue.cli", "mask", str(long_video), "--out", str(out), "--weights", str(weights),
         "--backend", "torch", "--device", "cpu", "--batch-size", "1"], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    # it is in the middle of the long one
    while not ((out / "a_short_overlay.mp4").exists() and list(out.glob(".depthcue-*.part.mp4"))):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
        time.sleep(0.05)
    process.send_signal(sent)
    _, err = process.communicate(timeout=30)
    assert process.returncode == status and "Traceback" not in err
    assert sorted(path.name for path in out.iterdir()) == ["a_short_mask.mp4", "a_short_overlay.mp4", "summary.csv",
                                                          "summary.json"]
    with open_input(Input(out / "a_short_mask.mp4", "video", "x")) as video:
        assert len(list(video)) == 3
    summary = json.loads((out / "summary.json").read_text())
    assert summary["status"] == "interrupted" and [entry["name"] for entry in summary["inputs"]] == ["a_short"]


def test_the_options_of_videos_and_live_sources_reach_the_job(monkeypatch, tmp_path, capsys):
    seen = []

    def mask_sources(sources, out, options, progress):
        seen.append((sources, options.encoder, options.decoder, options.duration_s, options.stall_s, options.steady))
        return {"totals": {"failed": 0}}

    monkeypatch.setattr("depthcue.runtime.mask_job.mask_sources", mask_sources)
    assert mask("camera:0", "--out", tmp_path, "--encoder", "auto", "--decoder", "gpu", "--duration", "2.5",
                "--stall-timeout", "4", "--steady", "--json") == 0
    assert mask("camera:0", "--out", tmp_path, "--json") == 0
    assert seen == [(["camera:0"], "auto", "gpu", 2.5, 4.0, True),
                    (["camera:0"], "libx264", "cpu", None, 10.0, False)]


@pytest.mark.parametrize(("option", "value"), [("--encoder", "h265"), ("--decoder", "nvdec"), ("--duration", "-1")])
def test_wrong_options_of_videos_are_errors_without_a_traceback(option, value, pictures, weights, tmp_path, capsys):
    assert mask(pictures, "--out", tmp_path / "out", "--weights", weights, option, value) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and value.lstrip("-") in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("wish", [("--workers", "2"), ("--out", "s3://bucket/masks")])
def test_options_of_many_machines_alone_are_an_error(pictures, weights, tmp_path, capfd, wish):
    assert mask(pictures, "--weights", weights, "--out", tmp_path / "out", *wish) == 2
    assert "--cluster" in capfd.readouterr().err and not (tmp_path / "out").exists()


def test_an_object_store_without_a_cluster_is_an_error(weights, tmp_path, capfd):
    assert mask("s3://bucket/in", "--weights", weights, "--out", tmp_path / "out") == 1
    assert "read with --cluster" in capfd.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere file names are text")
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_names_that_are_not_utf8(pictures, weights, tmp_path, encoding):
    folder = os.fsencode(pictures)
    picture = (pictures / "0.png").read_bytes()
    for name, content in ((b"caf\xe9.png", picture), (b"empty\xe9.png", b""), (b"not\xe9.mp4", b"nothing")):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)
    with VideoSink(tmp_path / "v.mp4", Fraction(25), (32, 48)) as sink:
        for index in range(3):
            sink.write(np.full((32, 48), 90, np.uint8), Frame(None, index, None, str(index)))
    os.rename(tmp_path / "v.mp4", os.path.join(folder, b"dr\xefve.mp4"))

    def run(*more):
        return subprocess.run([sys.executable, "-m", "depthcue.cli", "mask", str(pictures), "--device", "cpu",
                               "--backend", "torch", "--weights", str(weights), "--out", str(tmp_path / "out"), *more],
                              capture_output=True, timeout=120, env={**os.environ, "PYTHONIOENCODING": encoding})

    done = run()
    assert done.returncode == 1 and b"Traceback" not in done.stderr, done.stderr.decode()
    assert b"5 of 7 masked" in done.stdout and rb"empty\xe9.png is empty" in done.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))
    assert (summary["status"], summary["totals"]["inputs"], summary["totals"]["failed"]) == ("done", 7, 2)
    (entry,) = (each for each in summary["inputs"] if each["name"] == "caf%E9")
    assert entry["path"].endswith("caf\\xe9.png") and entry["outputs"] == ["caf%E9_mask.png", "caf%E9_overlay.png"]
    assert (tmp_path / "out" / "caf%E9_mask.png").read_bytes() == (tmp_path / "out" / "0_mask.png").read_bytes()
    assert (tmp_path / "out" / "dr%EFve_mask.mp4").stat().st_size > 0
    assert json.loads(run("--resume", "--json").stdout)["totals"]["resumed"] == 5
