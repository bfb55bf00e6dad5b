"""Reading results files, and what is none."""

import json
from pathlib import Path

import pytest
from comparison_results import comparison_results

from depthcue.errors import DepthcueError
from depthcue.report.provenance import read_results


def test_a_file_and_its_folder_read_alike(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps(comparison_results()))
    assert read_results(tmp_path) == read_results(tmp_path / "results.json", "compare-edges") == comparison_results()


@pytest.mark.parametrize(("content", "message"), [
    (None, "there is no"),
    ("", "not a results document"),
    ("[1, 2]", "not a results document"),
    ('{"command": "probe", "schema": 99}', "schema 99"),
    ('{"command": "probe", "schema": 1}', "comes from depthcue probe"),
    (b"\xff\xfe\x00", "not a results document"),
])
def test_what_is_no_results_file_is_refused(tmp_path: Path, content: str | bytes | None, message: str) -> None:
    path = tmp_path / "results.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DepthcueError, match=message):
        read_results(path, "compare-edges")
