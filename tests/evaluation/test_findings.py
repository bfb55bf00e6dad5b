"""The findings together: data sets side by side, the document, the dial, mistakes."""

import json
from pathlib import Path
from typing import Any

import pytest
from toy_nets import RedDepth, RedMask, ToyData

from depthcue.data import open_data
from depthcue.errors import DepthcueError
from depthcue.evaluation.findings import FindingsSettings, measure_findings

ROOMS = "scenes:indoor"


def _run(out: Path, *data: Any, dial: bool = False, **settings: Any) -> dict[str, Any]:
    return measure_findings(RedMask(dial), RedDepth(), data or (ToyData(),), out,
                            FindingsSettings(draws=50, **settings))


def test_each_data_set_has_the_findings_it_allows(tmp_path: Path) -> None:
    rooms = open_data(ROOMS, frame_size=(24, 32), limit=3)
    results = _run(tmp_path, rooms, ToyData(4), ToyData(2, has_depth=False))
    assert json.loads((tmp_path / "results.json").read_text()) == results.to_dict()
    assert (results["command"], results["images"], results["weights"]["name"]) == ("findings", 9, "red-mask")
    found = [entry["findings"] for entry in results["data"]]
    assert [entry["spec"] for entry in results["data"]] == [ROOMS, "toy:red", "toy:red"]
    assert [["left_out" in entry[name] for name in ("edges", "objects", "far")] for entry in found] == [
        [False, False, False], [False, True, False], [True, True, False]]
    assert found[1]["far"]["by_depth"]["source"] == "ground truth"
    assert found[2]["far"]["by_depth"]["source"] == "the depth net on whole pictures"
    assert found[0]["edges"]["kinds"][0] == "occlusion" and found[1]["edges"]["kinds"][0] == "depth edge"
    assert results["data"][1]["per_image"]["names"] == [f"toy-{index}" for index in range(4)]
    # the toy mask keeps the 77 red pixels of 768
    assert results["data"][1]["mean"] == pytest.approx(77 / 768, abs=1e-5)


def test_only_the_wanted_findings(tmp_path: Path) -> None:
    assert list(_run(tmp_path, findings=("far",))["data"][0]["findings"]) == ["far"]


def test_a_dial_is_turned_to_the_share_unless_lambda_is_given(tmp_path: Path) -> None:
    turned = _run(tmp_path / "turned", dial=True, share=0.5, findings=("far",))["data"][0]
    assert turned["mean"] == pytest.approx(0.5, abs=0.06) and turned["lambda"] == pytest.approx(2, rel=0.15)
    given = _run(tmp_path / "given", dial=True, share=0.5, lam=5.0, findings=("far",))["data"][0]
    assert given["lambda"] == 5.0 and given["mean"] == pytest.approx(0.2, abs=0.01)
    assert _run(tmp_path / "fixed", share=0.5, findings=("far",))["data"][0]["lambda"] == 4.0


def test_results_do_not_depend_on_the_batches(tmp_path: Path) -> None:
    one, many = (_run(tmp_path / str(size), batch_size=size)["data"][0]["findings"] for size in (1, 4))
    assert one["far"]["by_row"] == many["far"]["by_row"] and one["edges"]["by_kind"] == many["edges"]["by_kind"]


@pytest.mark.parametrize(("settings", "message"), [
    ({"findings": ("shadows",)}, "edges, objects, far"),
    ({"share": 1.5}, "above 0 and below 1"),
    ({"lam": 2.0}, "lambda must be 4"),
])
def test_mistakes_say_what_is_allowed(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DepthcueError, match=message):
        _run(tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_one_picture_is_too_few(tmp_path: Path) -> None:
    with pytest.raises(DepthcueError, match="at least 2"):
        _run(tmp_path / "out", ToyData(), ToyData(1))
    assert not (tmp_path / "out").exists()
