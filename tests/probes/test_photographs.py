"""Cut-outs, how they are laid into frames, and which are left out."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from probes.oracles import CueOracle, RowOracle, TiltOracle

from depthcue import scenes
from depthcue.errors import DepthcueError
from depthcue.probes.contract import Dropped
from depthcue.probes.cutouts import FRAME_CENTRE_X, FRAME_HORIZON, CutOut, contact_shadow, layer, paste, read_cutouts
from depthcue.probes.photographs import FrameScene, PhotographStage
from depthcue.probes.running import ProbeSettings, probe
from depthcue.probes.stage import Pose

RED = (255, 0, 0)


def save_rgba(path: Path, size: tuple[int, int] = (30, 24), fringe: bool = False) -> None:
    """A red rectangle with a transparent margin of four pixels; with `fringe` its border is half white."""
    picture = np.zeros((size[0] + 8, size[1] + 8, 4), np.uint8)
    picture[4:-4, 4:-4] = (*RED, 255)
    if fringe:
        for strip in (np.s_[3, 3:-3], np.s_[-4, 3:-3], np.s_[3:-3, 3], np.s_[3:-3, -4]):
            picture[strip] = (255, 255, 255, 128)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


@pytest.fixture
def cutout(tmp_path: Path) -> CutOut:
    save_rgba(tmp_path / "one" / "car1.png")
    return read_cutouts(tmp_path / "one")[0][0]


def test_kinds_of_cut_outs(tmp_path: Path) -> None:
    save_rgba(tmp_path / "a" / "car1.png")
    Image.fromarray(np.full((20, 10, 3), 90, np.uint8)).save(tmp_path / "a" / "dog.png")
    mask = np.zeros((20, 10), np.uint8)
    mask[2:18, 2:8] = 255
    Image.fromarray(mask).save(tmp_path / "a" / "dog_mask.png")
    save_rgba(tmp_path / "b" / "van1.png")
    save_rgba(tmp_path / "b" / "ignored.png")
    (tmp_path / "b" / "objects.csv").write_text("#filename,source_img,sprite_x,sprite_y,image_x,image_y\n"
                                                "van1.png,000003_10.png,15,33,768,330\n")
    found, dropped = read_cutouts(tmp_path)
    assert [one.name for one in found] == ["car1", "dog", "van1"] and dropped == []
    car, dog, van = found
    assert car.familiar and van.familiar and not dog.familiar
    assert dog.rgba.shape == (4, 20, 10) and dog.rgba[3].sum() == 16 * 6
    assert car.contact == (15.5, 33.0) and car.contact_offset is None
    assert van.contact == (15, 33) and van.contact_offset == (768 - FRAME_CENTRE_X, 330 - FRAME_HORIZON)


def test_objects_of_one_name_get_numbers(tmp_path: Path) -> None:
    for folder in "abc":
        save_rgba(tmp_path / folder / "dog.png")
    save_rgba(tmp_path / "c" / "sign2.png")
    found, _ = read_cutouts(tmp_path)
    assert [one.name for one in found] == ["dog", "dog (2)", "dog (3)", "sign2"]
    assert [one.familiar for one in found] == [False, False, False, True]


def test_files_that_are_no_cut_outs_are_dropped(tmp_path: Path) -> None:
    save_rgba(tmp_path / "car1.png")
    save_rgba(tmp_path / "car2.png")
    Image.fromarray(np.full((5, 5), 255, np.uint8)).save(tmp_path / "car2_mask.png")
    Image.fromarray(np.full((20, 10, 3), 90, np.uint8)).save(tmp_path / "plain.png")
    Image.fromarray(np.zeros((9, 9, 4), np.uint8)).save(tmp_path / "empty.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    found, dropped = read_cutouts(tmp_path)
    assert [one.name for one in found] == ["car1"]
    reasons = {drop.name: drop.reason for drop in dropped}
    assert "another size" in reasons["car2"] and "neither transparency" in reasons["plain"]
    assert "opaque" in reasons["empty"] and "broken" in reasons


@pytest.mark.parametrize(("content", "words"), [(None, "no folder"), ("", "no cut-outs"),
                                                ("car.png,1,x,3,4", "cannot")])
def test_folders_without_cut_outs(tmp_path: Path, content: str | None, words: str) -> None:
    folder = tmp_path / "objects"
    if content is not None:
        folder.mkdir()
    if content:
        save_rgba(folder / "car.png")
        (folder / "objects.csv").write_text(content)
    with pytest.raises(DepthcueError, match=words):
        read_cutouts(folder)


def test_no_halo_of_what_was_behind(tmp_path: Path) -> None:
    save_rgba(tmp_path / "car.png", fringe=True)
    (cutout,), _ = read_cutouts(tmp_path)
    over, _ = layer(cutout, (40.0, 50.0), 0.7, (70, 80))
    pasted = paste(torch.zeros(3, 70, 80), over)
    assert pasted[0].max() > 0.95
    assert pasted[1:].max() < 1e-3  # any white of the fringe would show in green and blue


def test_where_and_how_large_it_is_laid(cutout: CutOut) -> None:
    for scale in (1.0, 0.5, 1.6):
        over, region = layer(cutout, (60.0, 80.0), scale, (100, 120))
        rows, columns = torch.nonzero(region[0], as_tuple=True)
        # the lower edge of the lowest opaque row lies half a cut-out pixel below its centre
        assert int(rows.max()) == pytest.approx(80 + 0.5 * scale - 0.5, abs=1)
        assert float(columns.float().mean()) == pytest.approx(60, abs=0.6)
        assert float(over[3].sum()) == pytest.approx(30 * 24 * scale**2, rel=0.03)


def test_a_fraction_of_a_pixel_counts(cutout: CutOut) -> None:
    low, high = (layer(cutout, (60.0, row), 0.5, (100, 120))[0][3] for row in (60.0, 60.25))
    rows = torch.arange(100.0)[:, None]
    assert float((high * rows).sum() / high.sum() - (low * rows).sum() / low.sum()) == pytest.approx(0.25, abs=0.02)


def test_a_contact_shadow_darkens_the_ground_alone() -> None:
    shaded = contact_shadow(torch.full((3, 60, 80), 0.5), (40.0, 40.0), 20.0)
    assert shaded.min() < 0.2 and shaded.max() <= 0.5
    assert float(shaded[0, 40, 40]) < float(shaded[0, 40, 52]) < 0.5
    assert float(shaded[0, 30, 40]) == pytest.approx(0.5, abs=1e-3)


def test_offsets_from_the_horizon_shrink_with_distance(cutout: CutOut) -> None:
    scene = FrameScene("frame", torch.rand(3, 120, 400), 50.0)
    near, far = (scene.contact_of(cutout, Pose(position=distance)) for distance in (1.0, 2.0))
    assert far[0] - 50 == pytest.approx((near[0] - 50) / 2)
    placed = CutOut("car", cutout.rgba, cutout.read, cutout.contact, (124.2, 100.0))
    assert scene.contact_of(placed, Pose(position=2.0)) == (50 + 100 * 400 / 1242 / 2, 199.5 + 124.2 * 400 / 1242 / 2)


@pytest.mark.parametrize(("contact_offset", "words"), [((900.0, 100.0), "outside the frame"),
                                                       ((0.0, -20.0), "too near"),
                                                       ((0.0, 5.0), "too near"), ((0.0, 900.0), "outside the frame")])
def test_objects_that_cannot_be_placed(cutout: CutOut, contact_offset: tuple[float, float], words: str) -> None:
    scene = FrameScene("frame", torch.rand(3, 120, 400), 50.0)
    dropped = scene.check(CutOut("car", cutout.rgba, cutout.read, cutout.contact, contact_offset), [Pose()])
    assert isinstance(dropped, Dropped) and words in dropped.reason


def test_objects_stand_on_free_ground_where_depth_says_so(cutout: CutOut) -> None:
    rows = torch.arange(120.0)[:, None].expand(120, 400) - 50
    ground = torch.where(rows > 0, 300 / rows.clamp_min(0.5), 0.0)[None]
    blocked = ground.clone()
    blocked[:, :96, 190:210] = 4.0  # something stands where the object would, 300 / 46 away
    near = CutOut("car", cutout.rgba, cutout.read, cutout.contact, (0.0, 130.0))
    rgb = torch.rand(3, 120, 400)
    assert FrameScene("frame", rgb, 50.0, ground).check(near, [Pose()]) is None
    dropped = FrameScene("frame", rgb, 50.0, blocked).check(near, [Pose()])
    assert isinstance(dropped, Dropped) and "no free ground" in dropped.reason
    # nothing is known there
    assert FrameScene("frame", rgb, 50.0, torch.zeros_like(ground)).check(near, [Pose()]) is None


def frames_in(folder: Path, horizon_row: int = 40, size: tuple[int, int] = (100, 320)) -> str:
    """Three frames of white sky over dark ground."""
    folder.mkdir()
    for number in range(3):
        picture = np.full((*size, 3), 50, np.uint8)
        picture[:horizon_row] = 255
        Image.fromarray(picture).save(folder / f"{number}.png")
    return str(folder)


def test_a_horizon_is_needed(tmp_path: Path) -> None:
    save_rgba(tmp_path / "objects" / "car.png")
    stage = PhotographStage.open(frames_in(tmp_path / "frames"), tmp_path / "objects", None, 2)
    assert {drop.reason for drop in stage.familiar([Pose()]) if isinstance(drop, Dropped)} == {
        "no horizon: the frame has no depth, and its lines agree on no vanishing point; give the horizon"}
    with pytest.raises(DepthcueError, match="below 0.95, got -0.2"):
        PhotographStage.open(str(tmp_path / "frames"), tmp_path / "objects", -0.2, 2)
    with pytest.raises(DepthcueError, match="need frames and objects"):
        PhotographStage.open(None, tmp_path / "objects", None, 2)


@pytest.mark.parametrize(("row", "found"), [(40.0, True), (12.0, True), (-30.0, False)])
def test_the_horizon_of_a_frame_is_read_off_its_depth(row: float, found: bool, tmp_path: Path) -> None:
    save_rgba(tmp_path / "objects" / "car.png")
    spec = frames_in(tmp_path / "frames")
    below = (np.arange(100, dtype=np.float32)[:, None] - np.float32(row)).repeat(320, axis=1)
    for number in range(3):
        np.save(tmp_path / "frames" / f"{number}.npy", np.where(below > 1, 150 / below.clip(1), 0).astype(np.float32))
    scene = PhotographStage.open(spec, tmp_path / "objects", None, 2).scene(0)
    if found:
        assert isinstance(scene, FrameScene) and scene.horizon_row == pytest.approx(row, abs=1)
    else:
        assert isinstance(scene, Dropped) and scene.reason == "the horizon lies above or below the picture"


def test_what_cannot_be_used_is_counted_and_the_batch_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "objects"
    save_rgba(folder / "car.png", size=(70, 60))
    save_rgba(folder / "car_outside.png")
    save_rgba(folder / "wrong.png")
    Image.fromarray(np.full((5, 5), 255, np.uint8)).save(folder / "wrong_mask.png")
    (folder / "objects.csv").write_text("car.png,34,77,610,300\ncar_outside.png,15,33,2000,300\n"
                                        "wrong.png,15,33,610,300\n")
    spec = frames_in(tmp_path / "frames", size=(60, 100))  # of another shape than the frames of objects.csv
    (tmp_path / "frames" / "3.png").write_bytes(b"no picture")
    Image.fromarray(np.zeros((3, 3, 3), np.uint8)).save(tmp_path / "frames" / "4.png")
    settings = ProbeSettings("photographs", frames=spec, objects=folder, horizon=0.5, limit=4, draws=100)
    results = probe([], OnPhotographs((60, 100)).eval(), tmp_path / "out", settings)
    assert [drop["reason"] for drop in results["stages"]["photographs"]["unusable_objects"]] == [
        "its mask is of another size"]
    assert len(results["experiments"]) == 7
    for entry in results["experiments"]:
        reasons = [drop["reason"] for drop in entry["dropped"]]
        assert sum("cannot be read" in reason for reason in reasons) == 1, entry["name"]
        assert entry["name"] == "appearance" or any("outside the frame" in reason for reason in reasons)
        assert entry["cases"] >= 3, entry["name"]
    json.dumps(results.to_dict(), allow_nan=False)


def test_the_horizon_of_a_frame_without_depth_is_where_its_lines_meet(tmp_path: Path) -> None:
    save_rgba(tmp_path / "objects" / "car.png")
    folder = tmp_path / "frames"
    folder.mkdir()
    roads = scenes.render("road", range(8), 120, 400)
    for number, rgb in enumerate(roads.rgb):
        picture = (rgb.permute(1, 2, 0) * 255).round().byte().numpy()
        Image.fromarray(picture).save(folder / f"{number}.png")
    stage = PhotographStage.open(str(folder), tmp_path / "objects", None, 4)
    found = [stage.scene(number) for number in range(8)]
    off = [abs(scene.horizon_row - float(roads.vanishing_point[number, 1]))
           for number, scene in enumerate(found) if not isinstance(scene, Dropped)]
    # some roads show too few lines, and are dropped; a twentieth of the height is 6 rows
    assert len(off) >= 5 and max(off) < 6


class OnPhotographs(RowOracle):
    """Takes every camera for level."""

    def horizon(self, rgb: torch.Tensor) -> float:
        return 39.5


@pytest.mark.parametrize(("oracle", "slope"), [(TiltOracle, 1.0), (OnPhotographs, 0.0)])
def test_photographs_are_pitched_by_a_window_and_rolled_by_turning(oracle: type[CueOracle], slope: float,
                                                                   tmp_path: Path) -> None:
    save_rgba(tmp_path / "objects" / "car.png", size=(70, 60))
    settings = ProbeSettings("photographs", frames=frames_in(tmp_path / "frames"), objects=tmp_path / "objects",
                             horizon=0.4, limit=2, draws=100)
    results = probe(["pitch", "roll"], oracle((100, 320)).eval(), tmp_path / "out", settings)
    for entry in results["experiments"]:
        found = entry["values"][0]
        assert found["name"].startswith("slope") and found["n"] == 2
        assert found["value"] == pytest.approx(slope, abs=0.06), entry["name"]


def test_the_row_oracle_on_pasted_objects(tmp_path: Path) -> None:
    save_rgba(tmp_path / "objects" / "car.png", size=(70, 60))
    settings = ProbeSettings("photographs", frames=frames_in(tmp_path / "frames"), objects=tmp_path / "objects",
                             horizon=0.4, limit=2, draws=100)
    results = probe(["position-size"], OnPhotographs((100, 320)).eval(), tmp_path / "out", settings)
    weights = {weight["cue"]: weight["value"] for weight in results["profile"]}
    assert weights["vertical position"] == pytest.approx(1.0, abs=0.12)
    assert weights["familiar size"] == pytest.approx(0.0, abs=0.1)
    assert (tmp_path / "out" / "results.json").is_file()


def test_real_cut_outs_and_frames(shared_data: Path) -> None:
    stage = PhotographStage.open(f"kitti:{shared_data / 'kitti'}", shared_data / "probes", None, 4)
    assert len(stage.cutouts) == 79 + 6 + 1
    # whole frames lie there too
    assert any("neither transparency" in drop.reason for drop in stage.unusable)
    assert [drop.name for drop in stage.unusable if "a shadow of its own" in drop.reason] == ["fridge_with_shadow"]
    placed = [one for one in stage.familiar([Pose()]) if not isinstance(one, Dropped)]
    assert len(placed) == 4
    for scene, cutout in placed:
        # the cameras look nearly level: the horizon lies near the principal point
        assert scene.horizon_row == pytest.approx(152, abs=18)
        shown = next(scene.show(cutout, [Pose()]))
        assert shown.region.any() and shown.rgb.isfinite().all()
