"""Typed results: read back as they were written, whole or refused, and saved with their pictures."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from comparison_results import comparison_results

from depthcue.errors import DepthcueError
from depthcue.files import json_text
from depthcue.results import RESULTS, CompareEdges, Result, ResultFolder, read_result, result_of

PUBLISHED = Path(__file__).parents[1] / "benchmarks" / "results"


@pytest.mark.parametrize("file", sorted(PUBLISHED.glob("*.json")), ids=lambda file: file.stem)
def test_published_documents_are_typed_and_stay_as_they_are(file: Path) -> None:
    result = read_result(file)
    assert type(result) is RESULTS.get(result.command, Result) and result.schema_version == 1
    assert json_text(result.to_dict(), indent=2) + "\n" == file.read_text()


def test_a_file_and_its_folder_read_alike(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps(comparison_results()))
    results = read_result(tmp_path)
    assert isinstance(results, CompareEdges) and results.folder == tmp_path
    again = read_result(tmp_path / "results.json", "compare-edges")
    assert results.to_dict() == again.to_dict() == comparison_results()


def test_fields_have_types_and_computed_names_work_too() -> None:
    results = result_of(comparison_results())
    assert isinstance(results, CompareEdges) and results.images == 12 and results.data.spec == "scenes:indoor"
    point = results.curves["mask"][1]
    assert point.sparseness == point["sparseness"] == 0.2 and len(point["rmse_ci95"]) == 2
    assert "rmse" in point and "keep" not in point and point.get("keep", 3) == 3
    assert results.soft[0].lam == results.soft[0]["lambda"] == 2.0
    with pytest.raises(KeyError, match="rmsle"):
        point["rmsle"]


@pytest.mark.parametrize(("content", "message"), [
    (None, "there is no"),
    ("", "not a results document"),
    ("[1, 2]", "not a results document"),
    ('{"command": "probe", "schema": 99}', "schema 99"),
    ('{"command": "probe", "schema": 1}', "comes from depthcue probe"),
    ('{"command": "compare-edges", "schema": 1, "images": 3}', "not a whole document of depthcue compare-edges: "),
    (json.dumps(comparison_results() | {"images": "many"}), "compare-edges: images: "),
    (json.dumps(comparison_results() | {"curves": {"mask": [{"sparseness": "little"}]}}), "curves.mask.0.sparseness"),
    (b"\xff\xfe\x00", "not a results document"),
])
def test_what_is_no_results_file_is_refused(tmp_path: Path, content: str | bytes | None, message: str) -> None:
    path = tmp_path / "results.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DepthcueError, match=message):
        read_result(path, "compare-edges")


def _made(folder: ResultFolder) -> CompareEdges:
    (folder.folder / "examples").mkdir()
    (folder.folder / "examples" / "tile.png").write_bytes(b"a picture")
    fields: dict[str, Any] = {name: value for name, value in comparison_results().items()
                              if name not in ("schema", "command")}
    return folder.finish(CompareEdges.made(**fields))


def test_a_result_without_a_folder_is_saved_with_its_pictures(tmp_path: Path) -> None:
    result = _made(ResultFolder(None))
    assert result.folder is not None and not (result.folder / "results.json").exists()
    temporary = result.folder
    file = result.save(tmp_path / "out")
    assert read_result(file).to_dict() == result.to_dict()
    assert (tmp_path / "out" / "examples" / "tile.png").read_bytes() == b"a picture"
    del result
    assert not temporary.exists()


def test_a_result_with_a_folder_is_written_there_at_once(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text("of an earlier measurement")
    folder = ResultFolder(tmp_path)
    assert not (tmp_path / "results.json").exists()  # now, and not when the work is done
    result = _made(folder)
    assert result.folder == tmp_path and list(result.to_dict())[:5] == [
        "schema", "command", "arguments", "revision", "machine"]
    assert read_result(tmp_path).to_dict() == result.to_dict()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DepthcueError):
        ResultFolder(tmp_path / "out")


def test_a_result_draws_its_figures() -> None:
    results = result_of(comparison_results())
    assert len(results.plot().axes) == len(results.plot("comparison").axes) == 2
    with pytest.raises(DepthcueError, match="no figure 'cake' of compare-edges"):
        results.plot("cake")
    with pytest.raises(DepthcueError, match="no section"):
        result_of({"schema": 1, "command": "bake"}).plot()
