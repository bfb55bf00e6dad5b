"""Oracles on depth and objects worked out by hand."""

import pytest
import torch

from depthcue.errors import DepthcueError
from depthcue.scorers import Pictures, ScorerInputs, build_scorer
from depthcue.scorers.oracles import depth_bends, object_boundaries


def _score(name: str, **truth: torch.Tensor) -> torch.Tensor:
    return build_scorer(name, ScorerInputs())(Pictures(torch.zeros(1, 3, 12, 16), [0], **truth))


def test_a_slanted_plane_has_no_depth_edges_and_a_jump_has() -> None:
    rows, columns = torch.meshgrid(torch.arange(12.0), torch.arange(16.0), indexing="ij")
    # the inverse depth of a plane is linear in the image point: from 1.2 m to 16 m here
    depth_m = (1 / (0.06 + 0.03 * rows + 0.028 * columns)).view(1, 1, 12, 16)
    valid = torch.ones_like(depth_m, dtype=torch.bool)
    bends, known = depth_bends(depth_m, valid)
    assert bends.max() < 1e-5
    assert known[..., 1:-1, 1:-1].all() and not known[..., 0, 0].any()
    depth_m[..., 8:] = 1.0
    bends, _ = depth_bends(depth_m, valid)
    rows, columns = (bends[0, 0] > 0.05).nonzero().unbind(1)
    assert set(columns.tolist()) == {7, 8} and set(rows.tolist()) == set(range(12))


def test_sky_is_infinitely_far_and_the_unknown_tells_nothing() -> None:
    depth_m = torch.full((1, 1, 8, 8), 5.0)
    depth_m[..., :4, :] = torch.inf
    bends, known = depth_bends(depth_m, depth_m.isfinite())
    assert bends[..., 3:5, :].min() == pytest.approx(0.5) and bends[..., :3, :].max() == 0 and known[..., 3, :].all()
    depth_m[..., :4, :] = 0.0
    bends, known = depth_bends(depth_m, depth_m > 0)
    assert bends.max() == 0 and not known[..., :4, :].any()


def test_objects_end_on_both_sides_of_their_outline() -> None:
    objects = torch.full((1, 1, 12, 16), 3)
    objects[..., 4:8, 5:9] = 5
    marks = object_boundaries(objects)
    assert marks[0, 0, 4:8, 5:9].sum() == 12 and marks.sum() == 12 + 16
    scores = _score("object-boundaries", object_id=objects)
    assert torch.equal(scores == 1, marks) and scores[0, 0, 4, 2] == 1 / 3


def test_truth_of_another_size_is_brought_to_the_pictures() -> None:
    objects = torch.zeros(1, 1, 24, 32, dtype=torch.int64)
    objects[..., 16:] = 7
    assert (_score("object-boundaries", object_id=objects) == 1).nonzero()[:, 3].unique().tolist() == [7, 8]
    depth_m = torch.full((1, 1, 6, 8), 2.0)
    depth_m[..., 4:] = 4.0
    scores = _score("depth-edges", depth_m=depth_m, valid=depth_m > 0)
    assert scores.shape == (1, 1, 12, 16) and scores[..., 6:10].min() > scores[..., :5].max()


@pytest.mark.parametrize(("name", "message"), [("object-boundaries", "which object"), ("depth-edges", "no depth")])
def test_without_the_truth_they_say_what_they_need(name: str, message: str) -> None:
    with pytest.raises(DepthcueError, match=message):
        _score(name)


def test_sparse_depth_is_refused(generator: torch.Generator) -> None:
    valid = torch.rand(1, 1, 12, 16, generator=generator) < 0.1
    with pytest.raises(DepthcueError, match="too sparse"):
        _score("depth-edges", depth_m=5.0 * valid, valid=valid)
