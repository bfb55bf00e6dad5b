"""Scoring on MonoDepth's own recorded answers: what was published as seen and not seen has to come out so."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from depthcue.probes.contract import Unreadable
from depthcue.probes.photographs import road_ahead
from depthcue.probes.reading import Presence, presence, read_horizon

SIZE = (375, 1242)
FRAME = "000147_10"
CARS = ("normal", "hollow", "sides", "top_bottom", "bottom_sides", "top_sides")
OTHERS = ("fridge", "fridge_with_shadow", "dog", "dog_with_shadow")


@pytest.fixture(scope="module")
def recorded(shared_data: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """For each picture where it differs from the frame (the obstacle), and what was seen, (375, 1242) each."""
    folder = shared_data / "probes" / "recorded_monodepth"
    if not folder.is_dir():
        pytest.skip("no recorded disparities")

    def picture(name: str) -> Tensor:
        return torch.from_numpy(np.array(Image.open(folder / f"{name}.png").convert("RGB"))).int()

    bare = picture(FRAME)
    found = {}
    for name in (*(f"car_outline_{part}" for part in CARS), *(f"{FRAME}_{thing}" for thing in OTHERS)):
        disparity = torch.from_numpy(np.load(folder / f"{name}_disp.npy"))[None, None]
        sized = torch.nn.functional.interpolate(disparity, size=SIZE, mode="bilinear")[0, 0]
        found[name] = ((picture(name) - bare).abs().amax(2) > 12, 1 / sized)
    return found


def presence_of(recorded: dict[str, tuple[Tensor, Tensor]], name: str, silhouette: str) -> Presence:
    """The obstacle's presence in the silhouette of another picture of the same obstacle.

    The bare frame's own disparity was not recorded. In no pixel do more than five of the ten pictures show an obstacle
    that is seen, so that the upper quartile of depth over them is what the frame looks like without any.
    """
    bare = torch.stack([depth for _, depth in recorded.values()]).quantile(0.75, dim=0)
    region = recorded[silhouette][0]
    return presence(recorded[name][1], bare, region, float(torch.nonzero(region.any(1)).max()))


@pytest.mark.parametrize(("part", "seen"), [("normal", True), ("hollow", True), ("bottom_sides", True),
                                            ("sides", False), ("top_bottom", False), ("top_sides", False)])
def test_the_six_outlines_of_a_car(recorded: dict[str, tuple[Tensor, Tensor]], part: str, seen: bool) -> None:
    found = presence_of(recorded, f"car_outline_{part}", "car_outline_normal")
    assert found.detected is seen
    # not a close call either way
    assert found.completeness > 0.9 if seen else found.completeness < 0.15


@pytest.mark.parametrize("thing", ["fridge", "dog"])
def test_a_thing_is_seen_by_its_shadow_alone(recorded: dict[str, tuple[Tensor, Tensor]], thing: str) -> None:
    without = presence_of(recorded, f"{FRAME}_{thing}", f"{FRAME}_{thing}")
    with_shadow = presence_of(recorded, f"{FRAME}_{thing}_with_shadow", f"{FRAME}_{thing}")
    assert not without.detected and without.completeness < 0.05
    assert with_shadow.detected and with_shadow.completeness > 0.4
    assert with_shadow.distance < without.distance


def test_the_seen_car_stands_about_where_it_touches_the_ground(recorded: dict[str, tuple[Tensor, Tensor]]) -> None:
    assert presence_of(recorded, "car_outline_normal", "car_outline_normal").distance == pytest.approx(1.1, abs=0.15)


def test_the_horizon_of_the_frame(recorded: dict[str, tuple[Tensor, Tensor]]) -> None:
    """KITTI's principal point lies at row 172.9, and its camera looks nearly level."""
    depth = recorded[f"{FRAME}_dog"][1]
    assert read_horizon(depth, road_ahead(SIZE, 172.9)[0]).row == pytest.approx(173, abs=8)


def test_without_ground_there_is_no_verdict(recorded: dict[str, tuple[Tensor, Tensor]]) -> None:
    region, depth = recorded["car_outline_normal"]
    with pytest.raises(Unreadable, match="outside the picture"):
        presence(depth, depth, region, float(SIZE[0]))
    with pytest.raises(Unreadable, match="not farther"):
        presence(depth, torch.full_like(depth, 5.0), region, 311.0)
