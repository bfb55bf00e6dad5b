"""The front door for Python: pictures of every form in, arrays of their size out, and examples that run."""

import doctest
import importlib
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from tiny_nets import SHARES_OF_LAMBDAS, FirstLook, TopShare, save_small_pair

import depthcue
from depthcue import DepthcueError, scenes
from depthcue.frames import Frame
from depthcue.frames.sinks import VideoSink
from depthcue.progress import Silent
from depthcue.runtime.mask_job import MaskOptions, mask_sources

SIZE = (60, 80)


@pytest.fixture(scope="module")
def rgb() -> np.ndarray:
    """A rendered room, uint8 (60, 80, 3)."""
    rendered = scenes.render("indoor", [3], *SIZE).rgb[0]
    return (rendered.permute(1, 2, 0) * 255).round().byte().numpy()


@pytest.fixture(scope="module")
def folder(rgb: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with room.png, and weights of a net that takes shares beside its depth net."""
    folder = tmp_path_factory.mktemp("front door")
    Image.fromarray(rgb).save(folder / "room.png")
    save_small_pair(folder, keep_range=(0.05, 0.8), lambda_at=SHARES_OF_LAMBDAS)
    return folder


@pytest.fixture(scope="module")
def masker(folder: Path) -> depthcue.Masker:
    return depthcue.load(folder / "mask.safetensors", device="cpu")


def test_every_form_of_a_picture_gives_the_same(masker: depthcue.Masker, folder: Path, rgb: np.ndarray) -> None:
    tensor = torch.from_numpy(rgb).permute(2, 0, 1) / 255
    forms = [folder / "room.png", str(folder / "room.png"), Image.fromarray(rgb), rgb, tensor, tensor.double(),
             np.asfortranarray(rgb), Image.open(folder / "room.png")]
    first, *others = (masker(form, keep=0.3) for form in forms)
    assert first.mask.shape == first.kept.shape == first.depth.shape == first.depth_from_kept.shape == SIZE
    assert first.mask.dtype == first.depth.dtype == np.float32 and first.kept.dtype == np.bool_
    assert 0 <= first.mask.min() and first.mask.max() <= 1 and np.isfinite(first.depth_from_kept).all()
    assert first.kept.sum() == round(0.3 * 60 * 80) and first.keep == pytest.approx(0.3)
    assert not np.array_equal(first.depth, first.depth_from_kept)
    for other in others:
        np.testing.assert_array_equal(other.mask, first.mask)
        np.testing.assert_array_equal(other.picture, rgb)


@pytest.mark.parametrize(("made", "hint"), [
    (lambda rgb: rgb.transpose(2, 0, 1), "transpose(1, 2, 0)"),
    (lambda rgb: rgb.astype(np.float32) / 255, "np.uint8"),
    (lambda rgb: rgb[..., 0], "np.repeat"),
    (lambda rgb: np.dstack((rgb, rgb[..., :1])), "[..., :3]"),
    (lambda rgb: rgb[None], "list(array)"),
    (lambda rgb: rgb[:0], "uint8 (H, W, 3)"),
    (lambda rgb: torch.from_numpy(rgb) / 255, "permute(2, 0, 1)"),
    (lambda rgb: torch.from_numpy(rgb).permute(2, 0, 1), "float() / 255"),
    (lambda rgb: torch.from_numpy(rgb).permute(2, 0, 1).float(), "tensor / 255"),
    (lambda rgb: torch.from_numpy(rgb).permute(2, 0, 1) / 128 - 1, "normalised"),
    (lambda rgb: torch.full((3, 60, 80), torch.nan), "0 to 1"),
    (lambda rgb: torch.zeros(1, 3, 60, 80), "list(tensor)"),
    (lambda rgb: torch.zeros(3, 0, 80), "(3, H, W)"),
    (lambda rgb: 5, "a path"),
    (lambda rgb: "no-such.png", "Looked for"),
])
def test_what_is_no_picture_is_refused_and_told_how_to_become_one(masker: depthcue.Masker, rgb: np.ndarray,
                                                                  made: Any, hint: str) -> None:
    for opened in (masker, depthcue.DepthModel(FirstLook())):
        with pytest.raises(DepthcueError) as refused:
            opened(made(rgb))
        assert refused.value.hint is not None and hint in refused.value.hint


def test_pictures_of_a_list_are_masked_as_each_alone(masker: depthcue.Masker, rgb: np.ndarray) -> None:
    pictures = [rgb, rgb[:40], np.ascontiguousarray(rgb[:, ::-1]), rgb]
    together = masker(pictures, keep=0.2)
    for picture, result in zip(pictures, together, strict=True):
        np.testing.assert_allclose(result.mask, masker(picture, keep=0.2).mask, atol=1e-5)
    assert masker([]) == []


def test_a_buffer_may_be_filled_again(masker: depthcue.Masker, rgb: np.ndarray) -> None:
    buffer = rgb.copy()
    result = masker(buffer, keep=0.2)
    buffer[:] = 0
    np.testing.assert_array_equal(result.depth, masker(rgb, keep=0.2).depth)
    np.testing.assert_array_equal(result.picture, rgb)


def test_results_of_a_list_spare_each_others_files(masker: depthcue.Masker, folder: Path, rgb: np.ndarray,
                                                  tmp_path: Path) -> None:
    results = masker([rgb, rgb[:40], folder / "room.png"], keep=0.2)
    assert [result.name for result in results] == ["picture", "picture-2", "room"]
    files = [path for result in results for path in result.save(tmp_path)]
    assert len(set(files)) == 6
    with pytest.raises(DepthcueError, match="overlay.tif"):
        results[0].save(tmp_path / "overlay.tif")
    assert not (tmp_path / "overlay.tif").exists()


def test_a_name_with_dollar_signs_is_drawn_as_it_is(masker: depthcue.Masker, folder: Path, tmp_path: Path) -> None:
    picture = tmp_path / "US$_and_$.png"
    picture.write_bytes((folder / "room.png").read_bytes())
    assert masker(picture, keep=0.2)._repr_png_().startswith(b"\x89PNG")


def test_share_and_lambda(masker: depthcue.Masker, rgb: np.ndarray, tmp_path: Path) -> None:
    assert masker(rgb, lam=1.0).keep == pytest.approx(0.4, abs=1e-3)
    assert masker(rgb).keep == pytest.approx(0.2, abs=1e-3)
    for wrong in ({"keep": 0.2, "lam": 1.0}, {"keep": 1.0}, {"lam": 100.0}):
        with pytest.raises(DepthcueError):
            masker(rgb, **wrong)
    weights, _ = save_small_pair(tmp_path)  # takes lambda
    other = depthcue.load(weights, device="cpu")
    assert other(rgb, keep=0.1).keep == pytest.approx(0.1, abs=1e-3) and other(rgb, lam=2.0).lam == 2.0
    soft = other(rgb, lam=2.0)
    np.testing.assert_array_equal(soft.kept, soft.mask > 0.025)


def test_files_are_those_of_the_command(masker: depthcue.Masker, folder: Path, tmp_path: Path) -> None:
    kinds = ("mask", "overlay", "panel", "binary", "npy")
    saved = masker(folder / "room.png", keep=0.25).save(tmp_path / "ours", kinds)
    options = MaskOptions(weights=str(folder / "mask.safetensors"), keep=0.25, save=kinds, device="cpu",
                          backend="torch")
    mask_sources([str(folder / "room.png")], tmp_path / "theirs", options, Silent())
    assert [path.name for path in saved] == [f"room_{kind}.{'npy' if kind == 'npy' else 'png'}" for kind in kinds]
    for path in saved:
        ours, theirs = (np.load(file) if file.suffix == ".npy" else np.asarray(Image.open(file)).astype(float)
                        for file in (path, tmp_path / "theirs" / path.name))
        # the command's nets are rewritten, which rounds otherwise: a level, or a pixel at the limit of what is kept
        assert ours.shape == theirs.shape and np.mean(np.abs(ours - theirs) > 1) < 0.01, path.name


def test_a_picture_file_is_the_overlay(masker: depthcue.Masker, rgb: np.ndarray, tmp_path: Path) -> None:
    result = masker(rgb, keep=0.25)
    assert result.save(tmp_path / "seen.png") == [tmp_path / "seen.png"]
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "seen.png")), np.asarray(result.overlay()))
    assert result.overlay().size == (80, 60) and result.overlay().mode == "RGB"
    with pytest.raises(DepthcueError):
        result.save(tmp_path, kinds=("poster",))


def test_figures_open_no_window_and_show_in_a_notebook(masker: depthcue.Masker, rgb: np.ndarray) -> None:
    result = masker(rgb, keep=0.25)
    figure = result.plot()
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert isinstance(figure, Figure) and "what is kept: 25% of the pixels" in titles and "depth" in titles
    assert result._repr_png_().startswith(b"\x89PNG")
    assert depthcue.DepthModel(FirstLook())(rgb)._repr_png_().startswith(b"\x89PNG")


@pytest.fixture
def video(rgb: np.ndarray, tmp_path: Path) -> Path:
    with VideoSink(tmp_path / "clip.mp4", Fraction(5), SIZE) as sink:
        for index in range(6):
            sink.write(np.roll(rgb, 4 * index, axis=1), Frame(None, index, Fraction(index, 5), f"{index:06d}"))
    return tmp_path / "clip.mp4"


def test_a_video_is_masked_frame_by_frame(masker: depthcue.Masker, video: Path) -> None:
    results = masker.video(video, keep=0.2)
    assert isinstance(results, Iterator)
    first = next(results)
    assert (first.index, first.time_s, first.name) == (0, 0.0, "clip_000000") and first.mask.shape == SIZE
    assert [(result.index, result.time_s) for result in results] == [(n, n / 5) for n in range(1, 6)]


def test_steady_masks_of_a_video_follow_its_motion(masker: depthcue.Masker, video: Path) -> None:
    pytest.importorskip("cv2")
    alone, steady = (np.stack([result.mask for result in masker.video(video, keep=0.2, steady=steady)])
                     for steady in (False, True))
    np.testing.assert_array_equal(alone[0], steady[0])
    assert np.abs(alone[1:] - steady[1:]).max() > 0.01


def test_pictures_and_videos_are_not_mistaken(masker: depthcue.Masker, folder: Path, video: Path) -> None:
    with pytest.raises(DepthcueError, match="video"):
        masker(video)
    with pytest.raises(DepthcueError, match="no video"):
        masker.video(folder / "room.png")
    with pytest.raises(DepthcueError, match="keep"):
        masker.video(video, keep=2.0)  # at once, not at the first frame


def test_the_depth_net_is_opened_when_it_is_needed(folder: Path, rgb: np.ndarray, tmp_path: Path) -> None:
    net = TopShare("no-such-net")
    masker = depthcue.load(net, device="cpu")
    result = masker(rgb, keep=0.2)
    assert result.mask.shape == SIZE
    with pytest.raises(DepthcueError, match="no-such-net"):
        _ = result.depth
    assert depthcue.load(net, device="cpu", target=FirstLook())(rgb).depth.shape == SIZE


def test_other_backends_give_the_same_mask(folder: Path, masker: depthcue.Masker, rgb: np.ndarray) -> None:
    with depthcue.load(folder / "mask.safetensors", device="cpu", backend="onnx") as other:
        for keep in (0.2, 0.4):
            np.testing.assert_allclose(other(rgb, keep=keep).mask, masker(rgb, keep=keep).mask, atol=1e-3)
    with pytest.raises(DepthcueError, match="backend"):
        depthcue.load(folder / "mask.safetensors", backend="abacus")


class Mine(torch.nn.Module):
    """Darker is farther; dropout in train mode."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(4.0))

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        return 1 + self.scale * torch.nn.functional.dropout(1 - rgb.mean(dim=1), 0.5, self.training)


def test_a_module_of_ones_own_is_wrapped_and_left_in_its_mode(rgb: np.ndarray) -> None:
    mine = Mine().train()
    model = depthcue.load_depth(mine, predicts="metric", takes="rgb", size=(32, 64))
    result = model(rgb)
    assert mine.training and mine.scale.requires_grad
    assert model.name == "Mine" and result.unit == "m" and model.metric
    expected = 1 + 4 * (1 - rgb.mean() / 255)
    assert float(result.depth.mean()) == pytest.approx(expected, abs=0.05)


def test_a_function_of_ones_own_is_wrapped(rgb: np.ndarray) -> None:
    model = depthcue.load_depth(lambda rgb: {"disparity": rgb.mean(dim=1)}, predicts="inverse", relative=True,
                                takes="rgb", size=(32, 64), output="disparity")
    result = model(rgb)
    assert result.unit == "relative" and not result.metric and result.depth.shape == SIZE
    with pytest.raises(DepthcueError, match="same everywhere"):
        depthcue.load_depth(lambda rgb: torch.ones(len(rgb), 8, 8), predicts="metric", size=(32, 32), fixed=True)
    for wrong in (Mine, 7, None):
        with pytest.raises(DepthcueError, match="no depth net"):
            depthcue.load_depth(wrong)  # type: ignore[arg-type]
    with pytest.raises(DepthcueError, match="colour"):
        depthcue.load_depth(Mine(), colour="red")


def test_words_about_a_net_of_a_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_net.py").write_text("def make():\n    return lambda rgb: 1 + rgb.mean(dim=1)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    model = depthcue.load_depth("python:own_net:make", predicts="metric", takes="rgb", size=(32, 48), multiple=8,
                                mean=(0.5, 0.5, 0.5), device="cpu")
    description = model.net.description
    assert (description.height, description.width, description.multiple) == (32, 48, 8)
    assert description.mean == (0.5, 0.5, 0.5)


def test_a_depth_net_sees_through_a_mask(rgb: np.ndarray) -> None:
    model = depthcue.DepthModel(FirstLook())
    whole, everything = model(rgb), model(rgb, mask=np.ones(SIZE, bool))
    np.testing.assert_array_equal(whole.depth, everything.depth)
    assert not np.array_equal(whole.depth, model(rgb, mask=np.zeros(SIZE, np.float32)).depth)
    for wrong in (np.ones((3, 3), bool), np.full(SIZE, 2.0), np.full(SIZE, np.nan), np.ones(SIZE, np.uint8)):
        with pytest.raises(DepthcueError):
            model(rgb, mask=wrong)


def test_depth_is_saved_exactly_or_as_colours(rgb: np.ndarray, tmp_path: Path) -> None:
    result = depthcue.DepthModel(FirstLook())(rgb)
    np.testing.assert_array_equal(np.load(result.save(tmp_path / "depth.npy")), result.depth)
    assert Image.open(result.save(tmp_path / "depth.png")).size == (80, 60)
    with pytest.raises(DepthcueError, match="ending"):
        result.save(tmp_path / "depth.txt")


def test_the_public_names_are_there_and_load_nothing_before_they_are_used() -> None:
    code = ("import sys, depthcue\n"
            "assert set(depthcue.__all__) <= set(dir(depthcue)) and not hasattr(depthcue, 'nonsense')\n"
            "assert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
            "assert depthcue.DepthcueError.__module__ == 'depthcue.errors' and 'torch' not in sys.modules\n")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    for name in depthcue.__all__:
        assert getattr(depthcue, name).__doc__
    assert (Path(depthcue.__file__).parent / "py.typed").exists()


EXAMPLES = [("masker", "load"), ("masker", "load_depth"), ("masker", "Masker"), ("masker", "DepthModel"),
            ("masker", "Masker.video"), ("answers", "MaskResult"), ("answers", "DepthResult"),
            ("measurements", "Measurement"), ("measurements", "compare_edges"), ("measurements", "evaluate"),
            ("measurements", "findings"), ("measurements", "compare_nets"), ("measurements", "probe"),
            ("measurements", "steadiness"), ("measurements", "train_mask"), ("publishing", "publish")]


def test_every_public_name_has_an_example() -> None:
    assert {name.split(".")[0] for _, name in EXAMPLES} | {"DepthcueError"} == set(depthcue.__all__)


@pytest.fixture(scope="module")
def example_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with room.png and drive.mp4, which the examples speak of."""
    folder = tmp_path_factory.mktemp("examples")
    room = scenes.render("indoor", [3], 96, 128).rgb[0]
    Image.fromarray((room.permute(1, 2, 0) * 255).round().byte().numpy()).save(folder / "room.png")
    with VideoSink(folder / "drive.mp4", Fraction(5), (96, 320)) as sink:
        for index in range(3):
            road = scenes.render("road", [index], 96, 320).rgb[0]
            sink.write((road.permute(1, 2, 0) * 255).round().byte().numpy(),
                       Frame(None, index, Fraction(index, 5), f"{index:06d}"))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("module", "name"), EXAMPLES)
def test_examples_give_what_they_say(module: str, name: str, example_files: Path,
                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(example_files)
    thing: Any = importlib.import_module(f"depthcue.{module}")
    for part in name.split("."):
        thing = getattr(thing, part)
    finder, told = doctest.DocTestFinder(recurse=False), []  # type: ignore[var-annotated]
    tests = [test for test in finder.find(thing, name, globs={"depthcue": depthcue, "np": np}) if test.examples]
    assert tests, f"{name} has no example"
    for test in tests:
        doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=told.append)
    assert not told, "".join(told)


def test_the_mask_net_is_the_targets_own_where_none_is_named(rgb: np.ndarray, caplog: pytest.LogCaptureFixture) -> None:
    assert depthcue.load(device="cpu").name == "compact-indoor"
    assert depthcue.load(target="compact-road", device="cpu").name == "compact-road"
    assert depthcue.load(target=FirstLook(), device="cpu").name == "general"
    assert not caplog.text
    depthcue.load("compact-indoor", target="compact-road", device="cpu")
    assert "--weights compact-road" in caplog.text


def test_a_run_folder_stands_for_its_weights(folder: Path, rgb: np.ndarray, masker: depthcue.Masker,
                                             tmp_path: Path) -> None:
    np.testing.assert_array_equal(depthcue.load(folder, device="cpu")(rgb).mask, masker(rgb).mask)
    for name in ("config.json", "metrics.jsonl"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(depthcue.DepthcueError, match="not finished") as refused:
        depthcue.load(tmp_path, device="cpu")
    assert "--resume" in str(refused.value.hint)


def test_a_network_whose_file_is_not_shipped_is_asked_for(rgb: np.ndarray) -> None:
    masker = depthcue.load("fastdepth", device="cpu")
    with pytest.raises(depthcue.DepthcueError, match="whose file is not here") as refused:
        _ = masker.depth_model
    assert "--target onnx:FILE,takes=rgb,predicts=metric" in str(refused.value.hint)
