"""`depthcue demo`, small: everything it promises lies in the folder, and the page finds it."""

import json
import re
import time
from pathlib import Path

import av
import pytest

from depthcue import demo as demo_module
from depthcue import scenes
from depthcue.cli.main import main
from depthcue.demo import Tour, clear_road
from depthcue.evaluation.compare_edges import CompareEdgesSettings
from depthcue.nets import build_depth_net, build_mask_net
from depthcue.nets.catalog import SHIPPED, weights_folder
from depthcue.nets.checkpoint import save_net


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> Tour:
    """A tour of a few tiny pictures with nets that have learned nothing."""
    folder = tmp_path_factory.mktemp("nets")
    weights = {}
    for kind, size in (("indoor", (32, 48)), ("road", (32, 96))):
        shape = {"height": size[0], "width": size[1], "config": {"widths": (4, 4, 8, 8, 8)}}
        save_net(build_depth_net("compact", **shape), folder / f"{kind}-n.safetensors", architecture="compact")
        mask_net = build_mask_net("compact", lambda_range=(0.5, 6.0), target=str(folder / f"{kind}-n.safetensors"),
                                  **shape)
        weights[kind] = str(folder / f"{kind}-g.safetensors")
        save_net(mask_net, weights[kind], architecture="compact")
    return Tour(weights=weights, stills={"indoor": (1, 2), "road": (1,)}, sizes={"indoor": (48, 64), "road": (32, 96)},
                dial_steps=3, compared={"indoor": 2, "road": 2}, drive_frames=4,
                comparison=CompareEdgesSettings(shares=(0.2, 0.5), sweep_steps=3, sweep_images=1, examples=1,
                                                gallery=False,
                                                draws=50))


def test_the_folder_holds_what_the_page_shows(tour: Tour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(demo_module, "Tour", lambda: tour)
    out = tmp_path / "out"
    assert main(["demo", "--out", str(out)]) == 0
    assert str(out / "index.html") in capsys.readouterr().out
    page = (out / "index.html").read_text()
    results = json.loads((out / "results.json").read_text())
    assert [still["name"] for still in results["gallery"]] == ["room 1", "room 2", "road 1"]
    # all that the page refers to is in it
    targets = re.findall(r'(?:src|srcset|href)="([^"]+)"', page)
    assert len(targets) > 20 and {target[0] for target in targets if not target.startswith("data:")} == {"#"}
    assert "data:video/mp4" in page and page.count('class="gallery card"') == 1
    for still in results["gallery"]:
        lams = [step["lambda"] for step in still["steps"]]
        assert lams == sorted(lams) and all(0 <= step["mean"] <= 1 for step in still["steps"])
    assert 0 <= results["video"]["mean"] <= 1
    assert sum(results["video"]["where"]) == pytest.approx(1, abs=0.01)
    assert '<video src="data:video/mp4' in page and 'poster="data:image/png' in page
    with av.open(str(out / results["video"]["overlay"])) as video:
        assert sum(1 for _ in video.decode(video=0)) == 4
    assert not list(out.rglob(".depthcue-*"))


def test_missing_weights_say_so_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(demo_module, "Tour", lambda: Tour(weights={"indoor": "gone.safetensors", "road": "gone"}))
    assert main(["demo", "--out", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr()
    assert "gone.safetensors" in printed.err and printed.out == ""


def test_an_out_that_is_a_file(tour: Tour, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").write_text("mine")
    assert main(["demo", "--out", str(tmp_path / "out")]) == 1
    assert "is not a folder" in capsys.readouterr().err


def test_the_drive_goes_through_nothing() -> None:
    tour = Tour(drive_frames=40)
    turns = [scenes.Turn(forward_m=frame * tour.drive_metres_a_frame) for frame in range(0, tour.drive_frames, 4)]
    rendering = scenes.render("road", [clear_road(tour)] * len(turns), 48, 160, turn=turns)
    # the road itself is seen from about 2.5 m on
    assert rendering.depth_m.min() > 2


@pytest.mark.slow
def test_the_whole_demo_with_the_shipped_nets_takes_two_minutes(tmp_path: Path) -> None:
    missing = [name for name in SHIPPED if not (weights_folder() / f"{name}-mask.safetensors").is_file()]
    if missing:
        pytest.skip(f"no weights for {', '.join(missing)}")
    start = time.process_time()
    assert main(["demo", "--quiet", "--out", str(tmp_path)]) == 0
    # two minutes on two cores, counted in processor time because the machine may be busy with other things
    assert time.process_time() - start < 240
