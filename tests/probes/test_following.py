"""The cue profile: a net that knows one cue gets a profile with that cue, and no other."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from probes.scene_oracles import ORACLES, InOtherUnits, RelativeSizeOracle, ReliefOracle, SceneOracle

from depthcue.nets import DepthNet
from depthcue.nets.base import DISPARITY, INVERSE_DEPTH, METRIC_DEPTH
from depthcue.probes import obstacles
from depthcue.probes.contract import Case, Chance, Dropped, Readings
from depthcue.probes.following import APPARENT, RATIO, TRUE, conclude_cue, share_followed
from depthcue.probes.reading import Observer
from depthcue.probes.running import EXPERIMENTS, ExampleKeeper, measure
from depthcue.probes.stage import RenderedStage
from depthcue.progress import Silent

CUES = ("position-size", "perspective", "relative-size", "occlusion", "texture-gradient", "shading", "haze", "blur")
WEIGHTS = 9
"""Cues with a weight; position and size are told apart by one experiment."""
SIZE = (192, 256)


class Shown:
    """The cases of all cue experiments on one scene, drawn once."""

    def __init__(self) -> None:
        self.stage = RenderedStage("indoor", SIZE, 1, seed=0)
        self.cases: dict[str, Case] = {}
        self.variants = {}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(obstacles, "DISTANCES", obstacles.COARSE)
            for name in CUES:
                cases = EXPERIMENTS[name].cases["rendered"](self.stage)
                found = [case for case in cases if not isinstance(case, Dropped)]
                assert len(found) == 1
                self.cases[name], self.variants[name] = found[0], list(found[0].variants)
        self.scene = self.stage.scene(0)
        assert all(case.name.startswith(self.scene.name) for case in self.cases.values())

    def case(self, name: str) -> Case:
        return replace(self.cases[name], variants=iter(self.variants[name]))


@pytest.fixture(scope="module")
def shown() -> Iterator[Shown]:
    yield Shown()


UNSEEN = {"the obstacle is not seen where it stands nearest"}


def profile_of(net: DepthNet, shown: Shown, out: Path, names: Sequence[str] = CUES) -> dict[str, float | None]:
    weights = {}
    for name in names:
        experiment = replace(EXPERIMENTS[name], cases={"rendered": lambda _, name=name: iter([shown.case(name)])})
        entry = measure(experiment, shown.stage, Observer(net.eval()), Chance(100), ExampleKeeper(out), Silent())
        json.dumps(entry, allow_nan=False)
        assert set(entry["unreadable"]) <= (UNSEEN if name == "position-size" else set())
        weights |= {weight["cue"]: weight["value"] for weight in entry["profile"]}
    return weights


@pytest.mark.parametrize("oracle", ORACLES, ids=lambda oracle: oracle.cue.replace(" ", "-"))
def test_a_net_of_one_cue_has_that_cue_alone(oracle: type[SceneOracle], shown: Shown, tmp_path: Path) -> None:
    weights = profile_of(oracle(shown.scene, shown.cases), shown, tmp_path)
    assert len(weights) == WEIGHTS
    # one scene: the fineness of a few blotches, and of lines a few pixels wide, is a rough measure
    assert weights.pop(oracle.cue) == pytest.approx(1.0, abs=0.45)
    # nets that see an obstacle by its haze, order or shading alone do not see one that has none of it
    assert max(abs(weight or 0.0) for weight in weights.values()) < 0.08, weights
    assert all(weights[cue] is not None for cue in weights if cue not in ("vertical position", "familiar size"))


def test_a_net_without_cues_has_an_empty_profile(shown: Shown, tmp_path: Path) -> None:
    weights = profile_of(SceneOracle(shown.scene, shown.cases), shown, tmp_path)
    assert weights.pop("vertical position") is None and weights.pop("familiar size") is None
    assert len(weights) == WEIGHTS - 2 and set(weights.values()) == {0.0}


@pytest.mark.parametrize(("predicts", "relative"), [(INVERSE_DEPTH, False), (DISPARITY, False), (METRIC_DEPTH, True),
                                                    (INVERSE_DEPTH, True), (DISPARITY, True)])
def test_what_a_net_predicts_changes_no_weight(predicts: str, relative: bool, shown: Shown, tmp_path: Path) -> None:
    # each moves the depth of what carries its cue alone; obstacles and nets in relative units: see the toy stage
    for oracle, name in ((RelativeSizeOracle, "relative-size"), (ReliefOracle, "shading")):
        net = oracle(shown.scene, shown.cases)
        own = profile_of(net, shown, tmp_path, [name])
        in_other_units = profile_of(InOtherUnits(net, predicts, relative), shown, tmp_path, [name])
        assert in_other_units == pytest.approx(own, abs=0.05)


def test_the_scale_by_hand() -> None:
    in_other_units = np.array([1.5, 2.0, 3.0])
    assert share_followed(in_other_units, in_other_units) == pytest.approx(1.0)
    assert share_followed(in_other_units, np.ones(3)) == 0.0
    assert share_followed(in_other_units, 1 + 0.3 * (in_other_units - 1)) == pytest.approx(0.3)
    # told nearer and seen nearer is following too
    assert share_followed(np.array([0.5]), np.array([0.75])) == pytest.approx(0.5)
    assert np.isnan(share_followed(np.array([1.0]), np.array([1.2])))


def test_apparent_and_predicted_ratios_are_over_the_reference() -> None:
    """The reference tells a ratio of 1 / 2 and is seen at 0.8; then 2 is told, 4 times that, and 1.2 seen."""
    reading = Readings("one", {("", 0.0): {RATIO: 0.8, APPARENT: 0.5},
                               ("turned", 2.0): {RATIO: 1.2, APPARENT: 2.0, TRUE: 1.0},
                               ("unread", 2.0): {APPARENT: 2.0}})
    findings = conclude_cue("cue", {"turned": "turned", "unread": "unread"}, [reading], Chance(100))
    assert findings.profile == [{"cue": "cue", "condition": "turned", "value": pytest.approx(0.5 / 3, rel=1e-4),
                                 "ci95": None, "n": 1}]
    values = {value["name"]: value["value"] for value in findings.values}
    assert values["share followed, unread"] is None
    assert values["own error where no cue is in conflict"] == pytest.approx(0.2)
    assert [(point["x"], point["value"]) for point in findings.curves[0]["points"]] == [(1.0, 1.0), (2.0, 1.5)]
    assert findings.curves[1]["points"] == []


def test_without_the_reference_there_is_no_weight() -> None:
    findings = conclude_cue("cue", {"turned": "turned"}, [Readings("one",
                                                                   {("turned", 2.0): {RATIO: 1.2, APPARENT: 2.0}})],
                            Chance(100))
    assert findings.profile[0]["value"] is None and findings.curves[0]["points"] == []
