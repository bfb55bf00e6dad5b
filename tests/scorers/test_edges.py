"""Canny's steps against slow loops, and where edges are found."""

import pytest
import reference
import torch

from depthcue.scorers.edges import canny_edges, connected, gray_gradient, nearness, relative_magnitude, thinned


@pytest.mark.parametrize("size", [(9, 12), (15, 7)])
def test_thinning_and_thresholds_against_slow_loops(size: tuple[int, int], generator: torch.Generator) -> None:
    brightness = torch.rand(3, 1, *size, generator=generator, dtype=torch.float64)
    gradient = gray_gradient(brightness)
    magnitude = relative_magnitude(gradient)
    thin = thinned(gradient, magnitude)
    edges = connected(thin & (magnitude > 0.7), thin & (magnitude > 0.4))
    counts = set()
    for row in range(3):
        slow_thin, slow_edges = reference.canny(brightness[row, 0].tolist(), 0.4, 0.7)
        assert thin[row, 0].tolist() == slow_thin
        assert edges[row, 0].tolist() == slow_edges
        counts |= {int(edges[row].sum()), int((thin & (magnitude > 0.4))[row].sum())}
    assert len(counts) > 3  # the thresholds really took some away


def test_a_step_gives_one_line_one_pixel_wide_and_noise_under_the_thresholds_none() -> None:
    rgb = torch.full((1, 3, 20, 24), 0.3)
    rgb[..., 12:] = 0.7
    rgb += 0.004 * torch.rand(rgb.shape, generator=torch.Generator().manual_seed(1))
    edges = canny_edges(rgb)
    assert edges.dtype == torch.bool
    assert edges[..., 2:-2, 11:13].sum(dim=3).tolist() == [[[1] * 16]]
    assert not edges[..., :11].any() and not edges[..., 13:].any()


def test_an_edge_in_any_direction_is_found_unbroken() -> None:
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    disc = ((rows - 15.5).hypot(columns - 15.5) < 9).float().expand(1, 3, -1, -1)
    edges = canny_edges(disc)[0, 0]
    radius = (rows - 15.5).hypot(columns - 15.5)[edges]
    assert ((radius - 9).abs() < 1.5).all()
    # unbroken: nothing outside is reached from within without crossing it
    inside = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    inside[..., 15, 15] = True
    reached = inside
    for _ in range(32):
        cross = reached.clone()
        cross[..., 1:, :] |= reached[..., :-1, :]
        cross[..., :-1, :] |= reached[..., 1:, :]
        cross[..., :, 1:] |= reached[..., :, :-1]
        cross[..., :, :-1] |= reached[..., :, 1:]
        reached = cross & ~edges
    assert not reached[..., 0, :].any() and reached[..., 15, 18].all()


def test_a_picture_of_one_colour_has_no_edges() -> None:
    assert not canny_edges(torch.full((2, 3, 16, 16), 0.7)).any()


def test_nearness_counts_steps_from_the_marks() -> None:
    marks = torch.zeros(2, 1, 5, 7, dtype=torch.bool)
    marks[0, 0, 2, 1] = True
    scores = nearness(marks, reach_px=4)
    for row in range(5):
        for column in range(7):
            steps = max(abs(row - 2), abs(column - 1))
            assert scores[0, 0, row, column].item() == pytest.approx(1 / (1 + steps) if steps <= 4 else 0)
    assert scores[1].max() == 0
