"""Notes on relative nets, and panels of examples from a results file alone, without torch."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from comparison_results import comparison_results, stated, typed
from PIL import Image

from depthcue.errors import DepthcueError
from depthcue.report.compare_edges import section
from depthcue.report.section import TILE_WIDTH, Section, draw_examples, draw_plots, with_note

SECTION = Section("Title", ("A sentence.",))
NET = {"name": "midas", "sha256": None, "relative": True, "predicts": "inverse depth", "aligned": "so"}


def test_metric_nets_need_no_note() -> None:
    results = comparison_results() | {"target_net": {"name": "metric", "sha256": None}}
    assert with_note(SECTION, stated(results)) == SECTION
    assert with_note(SECTION, stated(comparison_results())) == SECTION


def test_own_units_and_alignment_have_notes_of_their_own() -> None:
    known, bare = (with_note(SECTION, stated(comparison_results(ground_truth) | {"target_net": NET})).sentences
                   for ground_truth in (True, False))
    assert known[1:] == bare[1:] == ("A sentence.",)
    assert "midas" in known[0] and "true depth by one scale and shift" in known[0]
    assert "units of its own" in bare[0]


def test_nets_of_a_comparison_are_named_once() -> None:
    results = {"command": "compare-nets", "nets": [{"target_net": NET}, {"target_net": NET},
                                                   {"target_net": {"name": "metric"}}]}
    assert with_note(SECTION, stated(results)).sentences[0].startswith("midas sees depth only up to")


def test_probes_speak_of_no_metres() -> None:
    assert with_note(SECTION, stated({"command": "probe", "target_net": NET})) == SECTION


def _with_examples(folder: Path, size: tuple[int, int], count: int = 2) -> dict[str, Any]:
    results = comparison_results()
    labels = ("picture", "mask", "kept_mask", "kept_sobel", "kept_random", "depth_target", "depth_mask", "depth_sobel",
              "depth_random", "depth_truth")
    for number in range(count):
        tiles = {}
        for shade, label in enumerate(labels):
            tiles[label] = f"{number}-{label}.png"
            Image.new("RGB", size, (20 * shade, 0, 0)).save(folder / tiles[label])
        results["examples"].append({"name": str(number), "sparseness": 0.2, "tiles": tiles})
    return results


def test_examples_are_rows_and_wide_ones_columns(tmp_path: Path) -> None:
    for name, size in (("room.png", (384, 288)), ("road.png", (640, 192))):
        draw_examples(typed(_with_examples(tmp_path, size)), tmp_path, tmp_path / name)
    with Image.open(tmp_path / "room.png") as room, Image.open(tmp_path / "road.png") as road:
        # eight tiles: picture, mask, kept by mask and edges, depth from all, mask and edges, truth
        assert room.width >= 8 * TILE_WIDTH and room.height > 2 * 240
        assert road.width >= 2 * TILE_WIDTH and road.height > 8 * 96


def test_no_examples_no_panel(tmp_path: Path) -> None:
    draw_plots(section(typed(comparison_results()), tmp_path), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"comparison.png", "comparison.svg"}


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    results = _with_examples(tmp_path, (64, 48))
    (tmp_path / "1-mask.png").unlink()
    with pytest.raises(DepthcueError, match="1-mask.png"):
        draw_plots(section(typed(results), tmp_path), tmp_path)


def test_a_report_needs_no_torch(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps(_with_examples(tmp_path, (64, 48))))
    program = (
        "import sys; from pathlib import Path\n"
        "from depthcue.report.compare_edges import section; from depthcue.results import read_result\n"
        "from depthcue.report.section import draw_plots\n"
        "from depthcue.report import page, compare_edges\n"
        "folder = Path(sys.argv[1]); results = read_result(folder)\n"
        "draw_plots(section(results, folder), folder); compare_edges.comparison_tables(results)\n"
        "assert 'torch' not in sys.modules, 'a report imported torch'\n")
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {"comparison.png", "comparison.svg", "examples.png"} <= {path.name for path in tmp_path.iterdir()}
