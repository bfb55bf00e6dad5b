"""Files that are whole or absent, whatever happens while they are written; and what records leave out."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from depthcue import files
from depthcue.errors import DepthcueError, shown
from depthcue.files import (
    atomic_path,
    begin,
    document,
    json_text,
    make_folder,
    remove_partials,
    without_paths,
    write_bytes,
    write_json,
    write_public,
    write_text,
)

LEFT = ".depthcue-0123abcd.part.png"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


@pytest.fixture(autouse=True)
def nothing_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_cleaned", set())


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "new" / "a.png") as partial:
        partial.write_bytes(b"half")
        assert partial.suffix == ".png" and partial.parent == tmp_path / "new" and partial.name.startswith(".")
        assert names(tmp_path / "new") == [partial.name]
    assert names(tmp_path / "new") == ["a.png"] and (tmp_path / "new" / "a.png").read_bytes() == b"half"
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "new" / "a.png") as partial:
        partial.write_bytes(b"other")
        raise RuntimeError
    assert names(tmp_path / "new") == ["a.png"] and (tmp_path / "new" / "a.png").read_bytes() == b"half"


@pytest.mark.parametrize("name", ["n" * 250 + ".json", "ü" * 120 + ".safetensors", "a." + "s" * 253, "x" * 255])
def test_a_name_that_fits_can_be_written(name: str, tmp_path: Path) -> None:
    write_text(tmp_path / name, "x")
    assert names(tmp_path) == [name]


def test_a_name_that_fits_nowhere_is_told_before_the_work(tmp_path: Path) -> None:
    for place in (tmp_path / ("n" * 256), tmp_path):
        with pytest.raises(DepthcueError, match="cannot be written"), atomic_path(place):
            pytest.fail("the work has begun")
    assert names(tmp_path) == []


def test_no_device_is_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DepthcueError, match="pipe, socket or device"):
        write_text(tmp_path / "pipe", "x")
    with pytest.raises(DepthcueError, match="is an address"):
        make_folder("s3:/key:secret@bucket")


def test_no_link_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "precious").write_text("kept")
    tokens = iter(["0123abcd", "89abcdef"])
    (tmp_path / LEFT).symlink_to(tmp_path / "precious")
    monkeypatch.setattr(files.secrets, "token_hex", lambda count: next(tokens))
    write_bytes(tmp_path / "a.png", b"new")
    assert (tmp_path / "precious").read_text() == "kept" and (tmp_path / "a.png").read_bytes() == b"new"
    assert not (tmp_path / "a.png").is_symlink() and (tmp_path / LEFT).is_symlink()


def test_what_a_killed_process_left_is_removed_by_the_next_write(tmp_path: Path) -> None:
    code = ("import sys, time; from depthcue.files import atomic_path\n"
            "with atomic_path(sys.argv[1]) as partial:\n"
            "    partial.write_bytes(b'half'); print(partial, flush=True); time.sleep(60)")
    process = subprocess.Popen([sys.executable, "-c", code, tmp_path / "a.png"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    partial = Path(process.stdout.readline().strip())
    write_bytes(tmp_path / "b.png", b"whole")
    assert partial.exists()  # it is being written
    process.send_signal(signal.SIGKILL)
    process.wait()
    files._cleaned.clear()  # as of another process
    write_bytes(tmp_path / "b.png", b"whole")
    assert names(tmp_path) == ["b.png"]


def test_others_files_are_left_alone(tmp_path: Path) -> None:
    for name in (".depthcue-" + 32 * "0", ".depthcue-0123abcd.partly", ".depthcue-0123ABCD.part",
                 "depthcue-0123abcd.part"):
        (tmp_path / name).touch()
    os.mkfifo(tmp_path / ".depthcue-00000000.part")
    (tmp_path / ".depthcue-11111111.part").mkdir()
    before = names(tmp_path)
    write_bytes(tmp_path / "a", b"")
    remove_partials(tmp_path, since=0)
    assert names(tmp_path) == sorted([*before, "a"])


def test_without_locks_age_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_lock", lambda descriptor: None)
    for name, age_s in (("0123abcd", 2 * files.STALE_S), ("89abcdef", 60)):
        file = tmp_path / f".depthcue-{name}.part"
        file.touch()
        os.utime(file, (time.time() - age_s,) * 2)
    write_bytes(tmp_path / "a", b"")
    assert names(tmp_path) == [".depthcue-89abcdef.part", "a"]
    remove_partials(tmp_path, since=time.time())
    assert names(tmp_path) == [".depthcue-89abcdef.part", "a"]
    remove_partials(tmp_path, since=time.time() - 100)
    assert names(tmp_path) == ["a"]


def test_threads_do_not_remove_each_others(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for place in range(20):
                files._cleaned.clear()
                write_bytes(tmp_path / f"{number}-{place}", bytes(1000))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and len(names(tmp_path)) == 120


@pytest.mark.parametrize(("number", "said"), [(errno.EROFS, "cannot be written"), (errno.ENOSPC, "no space left"),
                                              (errno.EIO, "cannot be written")])
def test_the_first_error_is_the_one_told(number: int, said: str, tmp_path: Path,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk becomes read-only: neither can the file be renamed, nor the temporary one removed."""
    def fails(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, "replace", fails)
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: fails() if number == errno.EROFS else None)
    with pytest.raises(DepthcueError, match=said):
        write_bytes(tmp_path / "a.png", b"x")
    monkeypatch.setattr(files.os, "open", fails)
    with pytest.raises(DepthcueError, match=said):
        write_bytes(tmp_path / "a.png", b"x")


def test_an_error_of_the_body_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a"):
        (tmp_path / "nowhere").read_bytes()
    assert names(tmp_path) == []


def test_what_is_written_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("fsync", "replace"):
        own = getattr(os, name)
        monkeypatch.setattr(files.os, name, lambda *given, own=own, name=name: (calls.append(name), own(*given))[1])
    write_bytes(tmp_path / "a", b"x")
    write_bytes(tmp_path / "b", b"x", durable=False)
    assert calls == ["fsync", "replace", "fsync", "fsync", "replace"]


def test_files_have_the_rights_of_any_other(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"x")
    (tmp_path / "b").write_bytes(b"x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


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
    (tmp_path / "results.json").write_text(json.dumps(document("probe")))
    (tmp_path / "figure.png").write_bytes(b"")
    assert begin(tmp_path) == tmp_path and [path.name for path in tmp_path.iterdir()] == ["figure.png"]
    assert begin(tmp_path / "new" / "folder").is_dir()
    (tmp_path / "results.json").mkdir()
    with pytest.raises(DepthcueError, match="cannot be replaced"):
        begin(tmp_path)
    others = tmp_path / "others"
    others.mkdir()
    (others / "results.json").write_text('{"accuracy": 0.9}')
    with pytest.raises(DepthcueError, match="depthcue did not write it"):
        begin(others)
    assert (others / "results.json").read_text() == '{"accuracy": 0.9}'


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
