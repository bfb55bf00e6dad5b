"""The whole job on real files: what lands on disk, what the summary says, what one bad input does to the rest."""

import errno
import json
import os
import time
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image
from tiny_nets import FirstLook

from depthcue import imaging
from depthcue.backends.torch_backend import TorchSession
from depthcue.errors import DepthcueError
from depthcue.frames import Frame, Input, VideoSink, open_input, pictures
from depthcue.frames.motion import STRENGTH, SteadyMaps
from depthcue.nets import load_mask_net
from depthcue.progress import Silent
from depthcue.runtime import MaskOptions, mask_job, mask_sources, masking
from depthcue.runtime.masking import DepthThroughMask


def noise(height, width, seed=0):
    """A picture with structure at several scales."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return imaging.resize_rgb(coarse, height, width)


def write_video(path, frames=7, height=46, width=61, rate=Fraction(30000, 1001), times=None):
    with VideoSink(path, rate, (height, width), time_base=Fraction(1, 30000)) as sink:
        for index in range(frames):
            time = None if times is None else times[index]
            sink.write(noise(height, width, index), Frame(None, index, time, f"{index:06d}"))
    return path


@pytest.fixture
def mask_all(weights, tmp_path):
    """Runs the job in torch and returns the summary."""
    def run(sources, out=None, **options):
        options = {"weights": str(weights), "backend": "torch", "device": "cpu", "save": ("mask",), **options}
        return mask_sources([str(source) for source in sources], out or tmp_path / "out", MaskOptions(**options),
                            Silent())
    return run


def mask_of(weights, frame, dial=None):
    """The mask of a frame as the net gives it, at the size it works at for this picture."""
    net = load_mask_net(str(weights))
    size = imaging.fit_size(*frame.size, (net.description.height, net.description.width), net.description.multiple)
    with TorchSession(net, dial) as session:
        return session.run(frame.resized(*size)[None])[0]


def frames_of(path):
    with open_input(Input(path, "video", "x")) as source:
        return list(source), source.frame_rate, source.size


def test_every_kind_of_a_picture_is_what_it_says(mask_all, weights, tmp_path):
    rgb = noise(75, 101)
    Image.fromarray(rgb).save(tmp_path / "room.png")
    kinds = ("mask", "overlay", "panel", "binary", "raw", "npy", "depth")
    summary = mask_all([tmp_path / "room.png"], save=kinds, lam=3.0, threshold=0.4)
    out = tmp_path / "out"
    opened = {kind: Image.open(out / f"room_{kind}.png") for kind in kinds if kind != "npy"}
    assert {kind: image.mode for kind, image in opened.items()} == {
        "mask": "L", "overlay": "RGB", "panel": "RGB", "binary": "1", "raw": "I;16", "depth": "RGB"}
    mask = mask_of(weights, Frame(rgb, 0, None, ""), 3.0)
    full = imaging.resize_map(mask, 75, 101)
    assert 0.1 < np.mean(full > 0.4) < 0.9, "a mask that tells nothing tests nothing"
    np.testing.assert_allclose(np.load(out / "room_npy.npy"), full, atol=1e-6)
    np.testing.assert_allclose(np.asarray(opened["raw"]) / 65535, full, atol=1e-5)
    # rounded to 8 bits before and after it is enlarged
    np.testing.assert_allclose(np.asarray(opened["mask"]) / 255, full, atol=1.5 / 255)
    np.testing.assert_array_equal(np.asarray(opened["binary"]), full > 0.4)
    np.testing.assert_array_equal(np.asarray(opened["overlay"]),
                                  imaging.overlay(rgb, np.asarray(opened["mask"])))
    (entry,) = summary["inputs"]
    assert entry["share_kept"] == pytest.approx(np.mean(mask > 0.4)) and entry["error"] is None
    assert entry["mean_mask"] == pytest.approx(mask.mean(), rel=1e-5)
    assert sorted(entry["outputs"]) == sorted(
        path.name for path in out.iterdir() if path.suffix not in (".json", ".csv"))
    assert json.loads((out / "summary.json").read_text()) == summary


def test_a_share_is_kept_exactly_in_every_kind(mask_all, share_weights, tmp_path):
    rgb = noise(75, 101)
    Image.fromarray(rgb).save(tmp_path / "room.png")
    kinds = ("mask", "overlay", "panel", "binary", "raw", "npy", "depth")
    summary = mask_all([tmp_path / "room.png"], weights=str(share_weights), save=kinds, keep=0.3)
    saved = {kind: np.asarray(Image.open(tmp_path / "out" / f"room_{kind}.png")) for kind in kinds if kind != "npy"}
    full = imaging.resize_map(mask_of(share_weights, Frame(rgb, 0, None, ""), 0.3), 75, 101)
    assert full.std() > 0.1, "a mask that tells nothing tests nothing"
    np.testing.assert_allclose(np.load(tmp_path / "out" / "room_npy.npy"), full, atol=1e-6)
    np.testing.assert_allclose(saved["raw"] / 65535, full, atol=1e-5)
    np.testing.assert_allclose(saved["mask"] / 255, full, atol=1.5 / 255)
    assert saved["binary"].sum() == round(0.3 * 75 * 101)
    assert full[saved["binary"]].min() >= full[~saved["binary"]].max()
    np.testing.assert_array_equal(saved["overlay"], imaging.overlay(rgb, imaging.grey8(saved["binary"])))
    (entry,) = summary["inputs"]
    assert entry["share_kept"] == saved["binary"].mean()
    assert entry["mean_mask"] == pytest.approx(0.3, abs=1e-4)
    assert summary["options"]["keep"] == 0.3 and summary["options"]["threshold"] is None
    assert summary["options"]["lambda"] == pytest.approx(4.0 ** (1 / 3))  # what its card says


def test_a_net_of_lambda_gives_a_share_as_the_best_pixels_of_its_mask(mask_all, weights, tmp_path):
    rgb = noise(75, 101)
    Image.fromarray(rgb).save(tmp_path / "room.png")
    kinds = ("mask", "overlay", "binary", "raw", "npy")
    summary = mask_all([tmp_path / "room.png"], save=kinds, keep=0.3)
    saved = {kind: np.asarray(Image.open(tmp_path / "out" / f"room_{kind}.png")) for kind in kinds if kind != "npy"}
    full = imaging.resize_map(mask_of(weights, Frame(rgb, 0, None, "")), 75, 101)
    binary = saved["binary"]
    assert binary.sum() == round(0.3 * 75 * 101) and full[binary].min() >= full[~binary].max()
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "room_npy.npy"), binary.astype(np.float32))
    np.testing.assert_array_equal(saved["raw"], 65535 * binary)
    np.testing.assert_array_equal(saved["mask"], imaging.grey8(binary))
    np.testing.assert_array_equal(saved["overlay"], imaging.overlay(rgb, imaging.grey8(binary)))
    assert (summary["options"]["keep"], summary["options"]["lambda"]) == (0.3, 2.0)


@pytest.mark.parametrize(("height", "width"), [(46, 61), (48, 64), (20, 30)])
def test_every_frame_of_a_video_keeps_the_share(mask_all, share_weights, tmp_path, height, width):
    write_video(tmp_path / "clip.mp4", 3, height, width)
    mask_all([tmp_path / "clip.mp4"], weights=str(share_weights), save=("overlay", "binary"), keep=0.25)
    shown = frames_of(tmp_path / "out" / "clip_overlay.mp4")[0]
    for frame, overlay in zip(frames_of(tmp_path / "clip.mp4")[0], shown, strict=True):
        binary = np.asarray(Image.open(tmp_path / "out" / "clip_frames" / f"{frame.name}_binary.png"))
        assert binary.sum() == round(0.25 * height * width)
        full = imaging.resize_map(mask_of(share_weights, frame, 0.25), height, width)
        # enlarged in 16 bit, by another library
        assert (binary != imaging.top_pixels(full, 0.25)).mean() < 0.005
        # the codec's loss
        wanted = imaging.overlay(frame.rgb, imaging.grey8(binary))
        assert np.abs(overlay.rgb.astype(float) - wanted).mean() < 12


def test_lambda_sets_a_net_of_shares_to_the_share_that_answers_to_it(mask_all, share_weights, tmp_path):
    Image.fromarray(noise(40, 60)).save(tmp_path / "a.png")
    summary = mask_all([tmp_path / "a.png"], weights=str(share_weights), lam=1.0)
    assert summary["options"]["keep"] == pytest.approx(0.4) and summary["options"]["lambda"] == 1.0
    assert summary["inputs"][0]["mean_mask"] == pytest.approx(0.4, abs=1e-4)
    own = mask_all([tmp_path / "a.png"], weights=str(share_weights))
    assert own["options"]["keep"] == 0.2 and own["inputs"][0]["share_kept"] == 0.2


def test_depth_is_seen_under_the_kept_pixels_alone():
    generator = np.random.default_rng(4)
    frames = generator.integers(0, 256, (2, 32, 48, 3), dtype=np.uint8)
    masks = generator.random((2, 32, 48), dtype=np.float32)
    kept = np.stack([imaging.top_pixels(mask, 0.25) for mask in masks]).astype(np.float32)
    with DepthThroughMask(FirstLook(), keep=0.25) as cut, DepthThroughMask(FirstLook()) as soft:
        np.testing.assert_array_equal(cut.depths(frames, masks)[1], soft.depths(frames, kept)[1])
        assert np.abs(cut.depths(frames, masks)[1] - soft.depths(frames, masks)[1]).max() > 0.01


@pytest.mark.parametrize(("height", "width"), [(46, 61), (48, 64)])
def test_a_video_keeps_rate_size_count_and_sequence(mask_all, weights, tmp_path, height, width):
    write_video(tmp_path / "clip.mp4", 7, height, width)
    mask_all([tmp_path / "clip.mp4"], save=("mask", "overlay", "binary", "npy"), batch_size=3)
    source, rate, size = frames_of(tmp_path / "clip.mp4")
    for kind in ("mask", "overlay"):
        made, made_rate, made_size = frames_of(tmp_path / "out" / f"clip_{kind}.mp4")
        assert (made_rate, made_size, len(made)) == (rate, size, 7) == (Fraction(30000, 1001), (height, width), 7)
        assert [frame.time for frame in made] == [frame.time for frame in source]
    made, _, _ = frames_of(tmp_path / "out" / "clip_mask.mp4")
    for frame, shown in zip(source, made, strict=True):
        full = imaging.resize_map(mask_of(weights, frame), height, width)
        # the codec's loss
        assert np.abs(shown.rgb[..., 0] / 255 - full).mean() < 0.02
        exact = np.load(tmp_path / "out" / "clip_frames" / f"{frame.name}_npy.npy")
        np.testing.assert_allclose(exact, full, atol=1e-6)
        binary = np.asarray(Image.open(tmp_path / "out" / "clip_frames" / f"{frame.name}_binary.png"))
        np.testing.assert_array_equal(binary, full > 0.025)


def test_a_variable_frame_rate_is_kept(mask_all, tmp_path):
    times = [Fraction(n, 30000) for n in (0, 1001, 2002, 9009, 10010, 30030)]
    write_video(tmp_path / "clip.mp4", 6, 48, 64, times=times)
    mask_all([tmp_path / "clip.mp4"])
    assert [frame.time for frame in frames_of(tmp_path / "out" / "clip_mask.mp4")[0]] == times


def test_the_frames_of_a_sequence_get_a_file_each(mask_all, tmp_path):
    for number, size in ((3, (40, 60)), (4, (40, 60)), (10, (60, 40))):
        Image.fromarray(noise(*size, number)).save(tmp_path / f"walk_{number:04d}.png")
    summary = mask_all([tmp_path / "walk_%04d.png"], save=("mask", "raw"))
    assert sorted(path.name for path in (tmp_path / "out" / "walk_frames").iterdir()) == sorted(
        f"walk_{number:04d}_{kind}.png" for number in (3, 4, 10) for kind in ("mask", "raw"))
    assert Image.open(tmp_path / "out" / "walk_frames" / "walk_0010_mask.png").size == (40, 60)
    assert summary["inputs"][0]["outputs"] == ["walk_frames"] and summary["totals"]["frames"] == 3


def test_masks_are_of_the_picture_as_it_is_seen(mask_all, tmp_path):
    """EXIF and alpha are taken care of before the net sees it, so the mask has the upright size."""
    rgb = noise(60, 90)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter
    Image.fromarray(rgb).save(tmp_path / "turned.jpg", exif=exif)
    Image.fromarray(rgb).convert("CMYK").save(tmp_path / "ink.jpg")
    Image.fromarray(rgb).convert("L").save(tmp_path / "grey.png")
    Image.fromarray(rgb[..., 0].astype(np.uint16) * 257).save(tmp_path / "deep.png")
    Image.fromarray(np.dstack([rgb, rgb[..., :1]])).save(tmp_path / "clear.png")
    Image.fromarray(rgb[:1, :1]).save(tmp_path / "dot.png")
    Image.fromarray(noise(2, 900)).save(tmp_path / "line.png")
    summary = mask_all([tmp_path])
    sizes = {path.stem: Image.open(path).size for path in (tmp_path / "out").glob("*_mask.png")}
    assert sizes == {"turned_mask": (60, 90), "ink_mask": (90, 60), "grey_mask": (90, 60), "deep_mask": (90, 60),
                     "clear_mask": (90, 60), "dot_mask": (1, 1), "line_mask": (900, 2)}
    assert summary["totals"]["failed"] == 0
    notes = {entry["name"]: entry["notes"] for entry in summary["inputs"]}
    assert "transparent" in notes["clear"][0] and "16 bit" in notes["deep"][0]


def test_bad_inputs_are_reported_and_the_others_done(mask_all, tmp_path, caplog):
    good, bad = tmp_path / "in" / "good.png", tmp_path / "in" / "bad"
    bad.mkdir(parents=True)
    Image.fromarray(noise(40, 60)).save(good)
    Image.fromarray(noise(200, 300)).save(bad / "cut.jpg", quality=95)
    (bad / "cut.jpg").write_bytes((bad / "cut.jpg").read_bytes()[:5000])
    (bad / "empty.png").write_bytes(b"")
    (bad / "text.jpg").write_text("no picture")
    (bad / "no.mp4").write_bytes(b"\0" * 1000)
    write_video(bad / "broken.mp4", 5)
    (bad / "broken.mp4").write_bytes((bad / "broken.mp4").read_bytes()[:-200])
    summary = mask_all([tmp_path / "in", tmp_path / "absent.png"], save=("mask", "overlay"))
    errors = {entry["path"].rpartition("/")[2]: entry["error"] for entry in summary["inputs"]}
    assert errors.pop("good.png") is None
    assert sorted(errors) == ["absent.png", "broken.mp4", "cut.jpg", "empty.png", "no.mp4", "text.jpg"]
    for name, error in errors.items():
        assert name in error and name in caplog.text
    assert summary["totals"]["failed"] == 6 and summary["totals"]["inputs"] == 7
    written = sorted(path.name for path in (tmp_path / "out").rglob("*"))
    assert written == ["good_mask.png", "good_overlay.png", "summary.csv", "summary.json"]


def test_the_readable_part_of_a_cut_off_video_is_masked_and_reported(mask_all, tmp_path):
    path = tmp_path / "cut.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.gop_size = 64, 48, 5
        for index in range(40):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise(48, 64, index), "rgb24")))
        container.mux(stream.encode(None))
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    (entry,) = mask_all([path])["inputs"]
    assert "could be read" in entry["error"] and 5 < entry["frames"] < 40
    assert len(frames_of(tmp_path / "out" / "cut_mask.mp4")[0]) == entry["frames"]


def test_files_of_others_are_not_overwritten(mask_all, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(noise(40, 60)).save(folder / "a.png")
    (folder / "a_mask.png").write_bytes(b"somebody's annotation")
    with pytest.raises(DepthcueError, match="a_mask.png is there already"):
        mask_all([folder / "a.png"], folder)
    assert (folder / "a_mask.png").read_bytes() == b"somebody's annotation"
    for name, content in (("summary.csv", "mine"), ("summary.json", '{"mine": 1}')):
        out = tmp_path / name.replace(".", "-")
        out.mkdir()
        (out / name).write_text(content)
        with pytest.raises(DepthcueError, match=f"{name} is there already"):
            mask_all([folder / "a.png"], out)
        assert [path.name for path in out.iterdir()] == [name] and (out / name).read_text() == content
    # what an earlier run wrote is replaced
    assert mask_all([folder / "a.png"])["totals"]["failed"] == mask_all([folder / "a.png"])["totals"]["failed"] == 0


def test_a_picture_for_which_the_depth_net_gives_nan_fails_alone(mask_all, tmp_path, monkeypatch):
    (tmp_path / "blind.py").write_text(
        "import torch\n"
        "def network():\n"
        "    def depth(rgb):\n"
        "        light = rgb.mean((1, 2, 3), keepdim=True)\n"
        "        return torch.where(light > 0.05, 1 + rgb.mean(1, keepdim=True), torch.nan)\n"
        "    depth.depth_description = {'predicts': 'metric', 'takes': 'rgb', 'size': '64x48', 'multiple': 8}\n"
        "    return depth\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name, picture in (("bright", noise(48, 64)), ("dark", np.zeros((48, 64, 3), np.uint8))):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    summary = mask_all([tmp_path / "bright.png", tmp_path / "dark.png"], save=("mask", "depth"),
                       target="python:blind:network")
    bright, dark = sorted(summary["inputs"], key=lambda entry: entry["name"])
    assert summary["status"] == "done" and bright["error"] is None and len(bright["outputs"]) == 2
    assert "NaN" in dark["error"] and dark["outputs"] == []
    assert not list((tmp_path / "out").glob("dark*"))


def test_a_full_disk_leaves_no_half_file_and_the_rest_is_done(mask_all, tmp_path, monkeypatch):
    for number in range(4):
        Image.fromarray(noise(40, 60, number)).save(tmp_path / f"{number}.png")
    replace = os.replace

    def full(source, target):
        if "2_mask" in str(target):
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr("os.replace", full)
    summary = mask_all([tmp_path / f"{number}.png" for number in range(4)])
    errors = [entry["error"] for entry in sorted(summary["inputs"], key=lambda entry: entry["name"])]
    assert "no space left" in errors[2] and [errors[i] for i in (0, 1, 3)] == [None] * 3
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "0_mask.png", "1_mask.png", "3_mask.png", "summary.csv", "summary.json"]


def test_a_disk_that_fills_up_under_a_video_leaves_nothing_of_it(mask_all, tmp_path, monkeypatch):
    write_video(tmp_path / "clip.mp4", 9)
    Image.fromarray(noise(40, 60)).save(tmp_path / "a.png")
    encode = VideoSink.write

    def full(self, values, frame):
        if frame.index == 4:
            raise DepthcueError("no space left on the disk")
        encode(self, values, frame)

    monkeypatch.setattr(VideoSink, "write", full)
    summary = mask_all([tmp_path / "clip.mp4", tmp_path / "a.png"], save=("mask", "overlay"))
    assert {entry["name"]: entry["error"] is None for entry in summary["inputs"]} == {"clip": False, "a": True}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a_mask.png", "a_overlay.png", "summary.csv",
                                                                       "summary.json"]


def test_resume_does_only_what_is_missing(mask_all, tmp_path):
    for name in "abcd":
        Image.fromarray(noise(40, 60, ord(name))).save(tmp_path / f"{name}.png")
    sources = [tmp_path / f"{name}.png" for name in "abcd"]
    mask_all(sources)
    out = tmp_path / "out"
    (out / "b_mask.png").unlink()  # its result is gone
    Image.fromarray(noise(40, 61, 9)).save(tmp_path / "c.png")  # it has changed
    untouched = {name: (out / f"{name}_mask.png").stat().st_mtime_ns for name in "ad"}
    summary = mask_all(sources, resume=True)
    assert {entry["name"]: entry["resumed"] for entry in summary["inputs"]} == {
        "a": True, "b": False, "c": False, "d": True}
    assert summary["totals"]["frames"] == 2 and summary["totals"]["resumed"] == 2
    assert {name: (out / f"{name}_mask.png").stat().st_mtime_ns for name in "ad"} == untouched
    assert Image.open(out / "c_mask.png").size == (61, 40)
    assert mask_all(sources, resume=True)["totals"]["resumed"] == 4


@pytest.mark.parametrize("change", [{"lam": 5.0}, {"save": ("mask", "raw")}, {"threshold": 0.5}, {"size": (64, 96)},
                                    {"keep": 0.2}])
def test_resume_does_all_again_with_other_options(mask_all, tmp_path, change):
    Image.fromarray(noise(40, 60)).save(tmp_path / "a.png")
    mask_all([tmp_path / "a.png"])
    assert mask_all([tmp_path / "a.png"], resume=True, **change)["totals"]["resumed"] == 0


def test_resume_knows_the_share(mask_all, share_weights, tmp_path):
    Image.fromarray(noise(40, 60)).save(tmp_path / "a.png")
    share = {"weights": str(share_weights), "resume": True}
    assert [mask_all([tmp_path / "a.png"], keep=keep, **share)["totals"]["resumed"]
            for keep in (0.2, 0.2, None, 0.3, 0.3)] == [0, 1, 1, 0, 1]


def test_resume_retries_what_failed_and_survives_a_damaged_summary(mask_all, tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    assert mask_all([tmp_path / "a.png"])["totals"]["failed"] == 1
    Image.fromarray(noise(40, 60)).save(tmp_path / "a.png")
    assert mask_all([tmp_path / "a.png"], resume=True)["totals"]["failed"] == 0
    (tmp_path / "out" / "summary.json").write_text('{"schema": 1, "inp')
    assert mask_all([tmp_path / "a.png"], resume=True)["totals"]["resumed"] == 0


def test_size_sets_the_working_size(mask_all, tmp_path, monkeypatch):
    seen = []
    run = TorchSession.run
    monkeypatch.setattr(TorchSession, "run", lambda self, frames: seen.append(frames.shape) or run(self, frames))
    Image.fromarray(noise(80, 120)).save(tmp_path / "a.png")
    mask_all([tmp_path / "a.png"])
    mask_all([tmp_path / "a.png"], size=(64, 96))
    assert seen == [(1, 32, 48, 3), (1, 64, 96, 3)]
    with pytest.raises(DepthcueError, match=r"(?s)100x70.*multiples of 16.*Try --size 96x64"):
        mask_all([tmp_path / "a.png"], size=(70, 100))


def test_depth_colours_of_a_video_follow_it_without_a_jump(mask_all, tmp_path, monkeypatch):
    ranges = []
    colourise = imaging.colourise_depth

    def noted(depth_m, near_m, far_m, *colours):
        ranges.append((near_m, far_m))
        return colourise(depth_m, near_m, far_m, *colours)

    monkeypatch.setattr(imaging, "colourise_depth", noted)
    write_video(tmp_path / "clip.mp4", 5)
    mask_all([tmp_path / "clip.mp4"], save=("depth", "panel"))
    assert len(ranges) == 20 and len(set(ranges)) == 5  # two depths in two kinds share each frame's
    assert np.abs(np.diff(np.log(sorted(set(ranges), key=ranges.index)), axis=0)).max() < 0.2
    assert len(frames_of(tmp_path / "out" / "clip_panel.mp4")[0]) == 5


@pytest.mark.parametrize(("options", "complaint"), [
    ({"save": ("mask", "gif")}, "--save must be one of(?s:.*)got 'gif'"),
    ({"save": ()}, "nothing to save"),
    ({"threshold": 1.5}, "--threshold must be from 0 to below 1, got 1.5"),
    ({"weights": "no-such-net"}, "no-such-net"),
    ({"save": ("depth",), "target": "no-such-net"}, "needs the depth net(.|\n)*compact-indoor"),
    ({"lam": 0.01}, "lambda must be between"),
    ({"keep": 0.2, "lam": 2.0}, "a share to keep and a lambda were both given"),
    ({"keep": 1.0}, "above 0 and below 1, got 1"),
    ({"keep": float("nan")}, "above 0 and below 1, got nan"),
    ({"keep": 0.2, "threshold": 0.025}, "--keep and --threshold were both given"),
])
def test_wrong_options_are_errors_before_anything_is_done(mask_all, tmp_path, options, complaint):
    Image.fromarray(noise(40, 60)).save(tmp_path / "a.png")
    with pytest.raises(DepthcueError, match=complaint):
        mask_all([tmp_path / "a.png"], **options)
    assert not (tmp_path / "out").exists()


def test_a_threshold_for_a_net_of_shares_is_refused(mask_all, share_weights, tmp_path):
    Image.fromarray(noise(40, 60)).save(tmp_path / "a.png")
    with pytest.raises(DepthcueError, match="keeps a share of the pixels, 0.2; --threshold is for masks of a lambda"):
        mask_all([tmp_path / "a.png"], weights=str(share_weights), threshold=0.5)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_an_error_before_the_work(mask_all, tmp_path, monkeypatch):
    Image.fromarray(noise(40, 60)).save(tmp_path / "a.png")
    (tmp_path / "out").write_text("a file")
    monkeypatch.setattr(TorchSession, "run", lambda *_: pytest.fail("it has begun to work"))
    with pytest.raises(DepthcueError, match="is not a folder"):
        mask_all([tmp_path / "a.png"])


def test_results_of_an_earlier_run_are_not_masked_again(mask_all, tmp_path):
    Image.fromarray(noise(40, 60)).save(tmp_path / "a.png")
    for _ in range(2):
        assert mask_all([tmp_path], out=tmp_path / "out")["totals"]["inputs"] == 1


def test_real_pictures_and_videos(mask_all, shared_data, tmp_path):
    summary = mask_all([shared_data / "video" / "office.mp4", shared_data / "nyu2" / "test" / "00000.jpg",
                        shared_data / "probes" / "other_objects"], save=("mask", "overlay"))
    good = [entry for entry in summary["inputs"] if entry["error"] is None]
    assert {entry["kind"] for entry in good} == {"video", "image"}
    made, rate, size = frames_of(tmp_path / "out" / "office_overlay.mp4")
    source, source_rate, source_size = frames_of(shared_data / "video" / "office.mp4")
    assert (len(made), rate, size) == (len(source), source_rate, source_size)


def test_a_picture_gives_the_same_bytes_among_whatever_others(mask_all, tmp_path, monkeypatch):
    """Nets round differently in batches of other sizes; here that is large enough to be seen."""
    run = TorchSession.run
    monkeypatch.setattr(TorchSession, "run", lambda session, frames: run(session, frames) * (0.5 + len(frames) / 100))
    generator = np.random.default_rng(0)
    load = pictures.load_picture
    monkeypatch.setattr(pictures, "load_picture",
                        lambda *given: (time.sleep(generator.uniform(0, 0.01)), load(*given))[1])
    for number in range(15):
        Image.fromarray(noise(40, 60 if number % 4 else 90, number)).save(tmp_path / f"{number:02d}.png")

    def masks(sources):
        out = tmp_path / f"out{generator.integers(10**9)}"
        mask_all(sources, out=out, save=("npy",))
        return {path.name: path.read_bytes() for path in out.glob("*.npy")}

    sources = sorted(tmp_path.glob("*.png"))
    first = masks(sources)
    assert len(first) == 15 and masks(sources) == first
    assert {**masks(sources[3:5]), **masks(sources[7:])}.items() <= first.items()


def four(folder):
    for number, name in enumerate("abcd"):
        Image.fromarray(noise(40, 60, number)).save(folder / f"{name}.png")
    return sorted(folder.glob("*.png"))


def finished(out):
    return sorted(entry["name"] for entry in json.loads((out / "summary.json").read_text())["inputs"])


@pytest.mark.parametrize("where", ["__init__", "__enter__", "run"])
def test_a_run_that_ends_before_it_has_done_anything_forgets_nothing(mask_all, tmp_path, monkeypatch, where):
    sources, out = four(tmp_path), tmp_path / "out"
    mask_all(sources)
    os.utime(sources[1], ns=(1, 1))

    def killed(*_):
        assert finished(out) == list("abcd") or where == "run"  # what a kill at this moment leaves
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(masking.Masking, where, killed)
        with pytest.raises(KeyboardInterrupt):
            mask_all(sources, resume=True)
    assert mask_all(sources, resume=True)["totals"]["resumed"] == 3


def test_entries_of_an_earlier_run_stay_until_their_inputs_have_had_their_turn(mask_all, tmp_path, monkeypatch):
    sources, out = four(tmp_path), tmp_path / "out"
    mask_all(sources)
    for source in sources[:2]:
        os.utime(source, ns=(1, 1))
    seen = []
    run = TorchSession.run
    monkeypatch.setattr(TorchSession, "run", lambda *given: seen.append(finished(out)) or run(*given))
    monkeypatch.setattr(mask_job, "LISTED_FIRST", 1)
    assert mask_all(sources, resume=True)["totals"]["resumed"] == 2
    assert {"c", "d"} <= set(seen[0])
    # asked for something else, the earlier run is of no use, and its summary goes when the work begins
    assert mask_all(sources, resume=True, lam=5.0)["totals"]["resumed"] == 0 and seen[-1] == []


@pytest.mark.parametrize("harm", [
    lambda out: (out / "b_mask.png").write_bytes(b""),
    lambda out: (out / "b_mask.png").write_bytes((out / "b_mask.png").read_bytes()[:-9]),
    lambda out: (out / "b_mask.png").unlink(),
    lambda out: next((out / "clip_frames").iterdir()).write_bytes(b"cut"),
    lambda out: next((out / "clip_frames").iterdir()).unlink(),
])
def test_outputs_that_are_not_as_they_were_left_are_made_again(mask_all, tmp_path, harm):
    sources, out = [*four(tmp_path), write_video(tmp_path / "clip.mp4", frames=3)], tmp_path / "out"
    mask_all(sources, save=("mask", "npy"))
    before = {path: path.read_bytes() for path in out.rglob("*.*") if path.stem != "summary"}
    harm(out)
    assert mask_all(sources, save=("mask", "npy"), resume=True)["totals"]["resumed"] == 4
    assert before == {path: path.read_bytes() for path in out.rglob("*.*") if path.stem != "summary"}


def test_a_source_that_changes_while_it_is_read_is_noted_and_done_again(mask_all, tmp_path, monkeypatch):
    sources = four(tmp_path)
    load, other = pictures.load_picture, noise(40, 60, 9)

    def changing(path, *given):
        picture = load(path, *given)
        if path.name == "b.png":
            status, content = path.stat(), path.read_bytes()
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # as long as before, and as old
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        return picture

    with monkeypatch.context() as patch:
        patch.setattr(pictures, "load_picture", changing)
        summary = mask_all(sources)
    assert [bool(entry["notes"]) for entry in sorted(summary["inputs"], key=lambda entry: entry["name"])] == [
        False, True, False, False]
    Image.fromarray(other).save(sources[1])
    summary = mask_all(sources, resume=True)
    assert summary["totals"]["resumed"] == 3 and not summary["inputs"][-1]["notes"]


def test_more_inputs_than_are_listed_at_first(mask_all, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(mask_job, "LISTED_FIRST", 2)
    (tmp_path / "in").mkdir()
    four(tmp_path / "in")
    steps = []

    class Watched(Silent):
        def start(self, what, total=None):
            steps.append(total)

        def advance(self, count=1, **figures):
            steps.append(count)

    def run(**options):
        steps.clear()
        options = MaskOptions(weights=str(weights), backend="torch", device="cpu", save=("mask",), **options)
        return mask_sources([str(tmp_path / "in")], tmp_path / "out", options, Watched())

    assert run()["totals"]["inputs"] == 4 and finished(tmp_path / "out") == list("abcd")
    assert steps[0] is None and steps.count(None) == 1
    write_video(tmp_path / "in" / "e.mp4", frames=2)
    (tmp_path / "in" / "f.png").write_bytes(b"")
    summary = run(resume=True)
    assert summary["totals"] | {"seconds": 0, "frames_per_second": 0} == {
        "inputs": 6, "failed": 1, "resumed": 4, "skipped": 0, "frames": 2, "seconds": 0, "frames_per_second": 0}


def test_what_is_not_read_is_in_the_summary(mask_all, tmp_path, caplog):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    Image.fromarray(noise(30, 40)).save(tmp_path / "in" / "a.png")
    for name in ("b.CR2", "deep/c.jxl", "notes.txt"):
        (tmp_path / "in" / name).touch()
    summary = mask_all([tmp_path / "in"])
    assert summary == json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["totals"]["inputs"] == 1 and summary["totals"]["failed"] == 0 and summary["totals"]["skipped"] == 2
    assert [each["path"] for each in summary["skipped"]] == [str(tmp_path / "in" / name)
                                                            for name in ("b.CR2", "deep/c.jxl")]
    assert "raw files" in summary["skipped"][0]["why"] and "b.CR2" in caplog.text


def test_results_beside_their_pictures_are_not_masked_the_next_time(mask_all, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.png", "a.jpg", "b.png"):
        Image.fromarray(noise(30, 40)).save(tmp_path / "in" / name)
    for source in (tmp_path / "in", tmp_path / "in", tmp_path / "in" / "*"):
        summary = mask_all([source], out=tmp_path / "in", save=("mask", "overlay", "npy"))
        assert sorted(each["name"] for each in summary["inputs"]) == ["a_jpg", "a_png", "b"]
        assert summary["totals"]["failed"] == 0


def test_a_copy_lasts_as_long_as_the_video(mask_all, tmp_path):
    with VideoSink(tmp_path / "cast.mp4", Fraction(10), (46, 61), time_base=Fraction(1, 1000)) as sink:
        for number in range(4):
            frame = Frame(None, number, Fraction(number, 10), "", duration=Fraction(3) if number == 3 else None)
            sink.write(noise(46, 61, number), frame)
    (entry,) = mask_all([tmp_path / "cast.mp4"])["inputs"]
    assert entry["error"] is None and entry["frames"] == 4
    with av.open(str(tmp_path / "out" / "cast_mask.mp4")) as copy:
        assert copy.streams.video[0].duration * copy.streams.video[0].time_base == Fraction(33, 10)


def test_steady_masks_follow_each_video_frame_after_frame(mask_all, weights, tmp_path):
    pytest.importorskip("cv2")
    scene = noise(64, 128, 3)
    for name, step in (("a.mp4", 2), ("b.mp4", -3)):
        with VideoSink(tmp_path / name, Fraction(25), (64, 80), time_base=Fraction(1, 25)) as sink:
            for index in range(5):
                start = 20 + step * index
                sink.write(np.ascontiguousarray(scene[:, start:start + 80]), Frame(None, index, None, f"{index:06d}"))
    videos = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    summary = mask_all(videos, save=("npy",), steady=True, batch_size=2)
    assert summary["options"]["steady"] == STRENGTH and summary["totals"]["failed"] == 0
    for video in videos:
        steady, alone = SteadyMaps(), []
        for frame in frames_of(video)[0]:
            alone.append(mask_of(weights, frame))
            small = frame.resized(*alone[-1].shape)
            expected = imaging.resize_map(steady(small, alone[-1]), *frame.size)
            found = np.load(tmp_path / "out" / f"{video.stem}_frames" / f"{frame.name}_npy.npy")
            np.testing.assert_allclose(found, expected, atol=2e-3)
        assert np.abs(np.diff(np.stack(alone), axis=0)).max() > 0.05  # there was something to steady


def test_pictures_are_not_followed(mask_all, tmp_path):
    pytest.importorskip("cv2")
    for index in range(3):
        Image.fromarray(noise(46, 61, index)).save(tmp_path / f"{index}.png")
    for out, steady in (("alone", False), ("steady", True)):
        mask_all([tmp_path / f"{index}.png" for index in range(3)], tmp_path / out, save=("npy",), steady=steady)
    for index in range(3):
        np.testing.assert_array_equal(*(np.load(tmp_path / out / f"{index}_npy.npy") for out in ("alone", "steady")))


@pytest.mark.parametrize(("content", "frames"), [("broken", 0), ("short", 3)])
def test_a_backend_is_chosen_for_as_many_frames_as_there_are(mask_all, tmp_path, monkeypatch, content, frames):
    # trying the backends takes seconds that a broken or short video does not pay back
    path = tmp_path / "clip.mp4"
    if content == "broken":
        path.write_bytes(bytes(range(256)) * 20)
    else:
        write_video(path, frames, 16, 16)
    expected = []
    open_session = masking.open_session

    def opened(*nets, **options):
        expected.append(options["frames"])
        return open_session(*nets, **options)

    monkeypatch.setattr(masking, "open_session", opened)
    summary = mask_all([path])
    assert expected == [frames] and summary["totals"]["frames"] == frames
