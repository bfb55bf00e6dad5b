"""What records keep, and what they leave out."""

import json
import os
from pathlib import Path

import pytest

from depthcue.errors import DepthcueError
from depthcue.files import begin, document, json_text, without_paths, write_json, write_public, write_text
from depthcue.text import shown

ROOT = Path(__file__).resolve().parent.parent


def test_paths_of_the_machine_are_left_out() -> None:
    told = {"command": ["train", "--data", "nyu:/home/me/nyu", "--out", "/tmp/run", "--data", "scenes:indoor:500"],
            "init": "./start.safetensors", "target": "monodepth2-resnet18:nets/mono_640x192", "steps": 5}
    assert without_paths(told) == {
        "command": ["train", "--data", "nyu:PATH", "--out", "PATH", "--data", "scenes:indoor:500"],
        "init": "PATH", "target": "monodepth2-resnet18:PATH", "steps": 5}


def test_kept_results_say_nothing_of_where_they_were_made(tmp_path: Path) -> None:
    write_public(tmp_path / "kept.json", {"arguments": ["/home/me/drive.mp4", "--rounds", "2"]})
    assert json.loads((tmp_path / "kept.json").read_text()) == {"arguments": ["PATH", "--rounds", "2"]}
    kept = [*ROOT.glob("benchmarks/results/*.json"), *ROOT.glob("weights/*.json")]
    assert kept
    for file in kept:
        told = json.loads(file.read_text())
        assert without_paths(told) == told, f"{file} was not written by write_public"


def test_a_measurement_begins_without_the_results_of_another(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text("{}")
    (tmp_path / "figure.png").write_bytes(b"")
    assert begin(tmp_path) == tmp_path and [path.name for path in tmp_path.iterdir()] == ["figure.png"]
    assert begin(tmp_path / "new" / "folder").is_dir()
    (tmp_path / "results.json").mkdir()
    with pytest.raises(DepthcueError, match="cannot be replaced"):
        begin(tmp_path)


def test_documents_say_what_made_them() -> None:
    made = document("probe", images=3)
    assert made["schema"] == 1 and made["command"] == "probe" and made["images"] == 3
    assert made["revision"] and made["machine"]["torch"]


def test_places_of_foreign_nets_become_path_and_names_stay() -> None:
    told = {"command": ["--target", "hf:/home/me/model,size=64x64", "hub:./mine:small"], "target": "hf:owner/model",
            "data": "sequence:/home/me/walk"}
    assert without_paths(told) == {"command": ["--target", "hf:PATH,size=64x64", "hub:PATH:small"],
                                   "data": "sequence:PATH",
                                   "target": "hf:owner/model"}


def test_what_opens_an_address_to_its_owner_is_left_out(monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["depthcue", "rtsp://me:pass@10.0.0.7:554/door?token=1",
                                     "--out=s3://key:secret@b/x y", "a@b.png", "s3://b/in?region=eu", "what?.png",
                                     "--lambda=2"])
    assert document("mask")["arguments"] == ["rtsp://10.0.0.7:554/door", "--out=s3://b/x y", "a@b.png", "s3://b/in",
                                             "what?.png", "--lambda=2"]


def test_bytes_of_names_that_are_not_utf8_are_escaped(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9\xc3\xa9.jpg")
    assert shown(name) == "caf\\xe9é.jpg" and shown("\\é") == "\\é"
    write_json(tmp_path / "told.json", {name: [name, "\\"]})
    assert json.loads((tmp_path / "told.json").read_text("utf-8")) == {shown(name): [shown(name), "\\"]}
    assert json.loads(json_text(["é", name]).encode()) == ["é", shown(name)]
    write_text(tmp_path / "page.html", name)
    assert (tmp_path / "page.html").read_bytes() == b"caf\\xe9\xc3\xa9.jpg"
