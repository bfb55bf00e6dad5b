"""Stores keep the same promises on a disk and in an object store; sources become named items in portions."""

import contextlib
import io

import pytest

from depthcue.errors import DepthcueError
from depthcue.runtime import cluster_storage
from depthcue.runtime.cluster_storage import (
    Item,
    Store,
    StoredFile,
    find_items,
    from_text,
    is_address,
    portions,
    to_text,
)

pytest.importorskip("pyarrow", reason="stores need the extra ray")


@pytest.fixture(params=["path", "file", "memory"])
def address(request, tmp_path):
    """A fresh address of each kind."""
    if request.param == "memory":
        import fsspec

        memory = fsspec.filesystem("memory")  # one a process
        memory.store.clear()
        memory.pseudo_dirs[:] = [""]
        return "memory://bucket/a folder"
    folder = tmp_path / "a folder"
    return str(folder) if request.param == "path" else f"file://{folder}"


def fill(store, files):
    for key, content in files.items():
        with store.writing(key) as file:
            file.write(content)


def test_what_is_written_is_found_and_read(address, tmp_path):
    store = Store(address)
    fill(store, {"a.jpg": b"one", "deep/er/b#1 x.png": b"second", ".hidden": b"", "deep/.also/c.png": b""})
    assert {(file.key, file.nbytes) for file in store.files()} == {("a.jpg", 3), ("deep/er/b#1 x.png", 6)}
    store.fetch("deep/er/b#1 x.png", tmp_path / "new" / "copy.png")
    assert (tmp_path / "new" / "copy.png").read_bytes() == b"second"
    store.put(tmp_path / "new" / "copy.png", "deep/back.png")
    with store.open("deep/back.png") as file:
        assert file.read() == b"second"
    assert store.names("deep") == ["back.png"] and store.names("nowhere") == []
    assert store.sizes(["a.jpg", "deep/er", "deep", "b.jpg"]) == [3, 6, 6, None]
    for key in ("a.jpg", "a.jpg", "deep", "deep"):
        store.delete(key)
    assert store.sizes(["a.jpg", "deep"]) == [None, None] and store.files() == []


def test_a_single_file_is_read_from_the_folder_that_holds_it(address, tmp_path):
    fill(Store(address), {"walk/a.jpg": b"one"})
    assert Store(f"{address}/walk").as_file() is None
    single = Store(f"{address}/walk/a.jpg")
    file = single.as_file()
    assert (file.key, file.nbytes) == ("a.jpg", 3)
    Store(single.parent).fetch(file.key, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"one"
    assert Store("s3://bucket/walk/a.jpg?region=eu-west-1").parent == "s3://bucket/walk?region=eu-west-1"


def test_what_fails_half_way_leaves_nothing_and_what_was_there_stays(address):
    store = Store(address)
    fill(store, {"kept.bin": b"old", "other.bin": b""})
    for key in ("kept.bin", "new.bin"):
        with pytest.raises(RuntimeError), store.writing(key) as file:
            file.write(b"half of the")
            raise RuntimeError
    with store.open("kept.bin") as file:
        assert file.read() == b"old"
    assert sorted(file.key for file in store.files()) == ["kept.bin", "other.bin"]
    if store.local is not None:
        assert sorted(path.name for path in store.local.iterdir()) == ["kept.bin", "other.bin"]


def test_an_object_store_gets_small_files_in_one_piece_and_large_ones_under_another_name_first(monkeypatch, tmp_path):
    store = Store("memory://bucket")
    monkeypatch.setattr(cluster_storage, "_OBJECT_STORES", {store._system.type_name})
    monkeypatch.setattr(cluster_storage, "_SMALL", 5)
    opened = []
    monkeypatch.setattr(Store, "writing", lambda self, key: opened.append(key) or contextlib.nullcontext(io.BytesIO()))
    for name, content in (("small", b"12345"), ("large", b"123456")):
        (tmp_path / name).write_bytes(content)
        store.put(tmp_path / name, name)
    assert opened == ["large"] and store.open("small").read() == b"12345"


def test_a_changed_file_has_another_stamp(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"one")
    (before,) = Store(str(tmp_path)).files()
    (tmp_path / "a.jpg").write_bytes(b"four")
    (after,) = Store(str(tmp_path)).files()
    assert before.stamp != after.stamp
    assert after.stamp == {"files": 1, "bytes": 4, "modified_ns": (tmp_path / "a.jpg").stat().st_mtime_ns}


def test_a_path_and_its_address_are_one_store(tmp_path):
    spaced = tmp_path / "a b"
    assert Store(f"file://{spaced}").local == Store(str(spaced)).local == spaced
    assert Store("memory://x/y").local is None


def test_missing_and_unknown_files_are_errors_that_name_them(address, tmp_path):
    store = Store(address)
    for style in (store.files, store.as_file):
        with pytest.raises(DepthcueError, match="does not exist"):
            style()
    with pytest.raises(DepthcueError, match="gone.jpg does not exist"):
        store.fetch("gone.jpg", tmp_path / "x")
    with pytest.raises(DepthcueError, match="bogus"):
        Store("bogus://bucket/x")


def test_options_and_passwords_are_not_shown():
    store = Store("s3://key:secret@bucket/masks?region=eu-west-1")
    assert store.label == "s3://bucket/masks" and store.path("a.png") == "s3://bucket/masks/a.png"


@pytest.mark.parametrize(("source", "answer"), [
    ("s3://bucket/x", True), ("memory://x", True), ("file:///tmp", True), ("/tmp/x", False), ("C:/x", False),
    ("camera:0", False), ("frame_%05d.png", False)])
def test_addresses_and_paths(source, answer):
    assert is_address(source) is answer


def test_stamps_are_those_of_a_file_on_a_disk():
    assert StoredFile("a", 5, 7).stamp == {"files": 1, "bytes": 5, "modified_ns": 7}


@pytest.fixture
def bucket():
    """A fresh store in memory that holds what a bucket may hold."""
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    store = Store("memory://bucket")
    for key in ("day/cam10.jpg", "day/cam9.jpg", "day/clip.mp4", "day/notes.txt", "masks/cam9_mask.png", "alone.png"):
        with store.writing(key) as file:
            file.write(key.encode())
    return store


def test_an_address_names_all_that_lies_below_it(bucket):
    found = find_items(["memory://bucket"], Store("memory://bucket/masks"))
    items, unreadable = found.items, found.unreadable
    assert unreadable == []
    assert [(item.label, item.kind, item.name, item.key) for item in items] == [
        ("memory://bucket/alone.png", "image", "alone", "alone.png"),
        ("memory://bucket/day/cam9.jpg", "image", "day/cam9", "day/cam9.jpg"),
        ("memory://bucket/day/cam10.jpg", "image", "day/cam10", "day/cam10.jpg"),
        ("memory://bucket/day/clip.mp4", "video", "day/clip", "day/clip.mp4")]
    assert items[1].stamp["bytes"] == len("day/cam9.jpg")


def test_what_is_not_read_is_counted_wherever_it_lies(bucket, tmp_path):
    with bucket.writing("day/raw.CR2") as file:
        file.write(b"raw")
    (tmp_path / "in").mkdir()
    for name in ("a.png", "film.braw"):
        (tmp_path / "in" / name).touch()
    found = find_items(["memory://bucket", str(tmp_path / "in")], Store("memory://out"))
    assert {path for path, _ in found.skipped} == {"memory://bucket/day/raw.CR2", str(tmp_path / "in" / "film.braw")}


def test_an_address_may_be_a_single_file(bucket, tmp_path):
    (item,) = find_items(["memory://bucket/day/clip.mp4"], Store(str(tmp_path))).items
    assert (item.label, item.kind, item.name) == ("memory://bucket/day/clip.mp4", "video", "clip")
    Store(item.store).fetch(item.key, tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "day/clip.mp4"


def test_paths_and_addresses_together_get_names_of_their_own(bucket, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("alone.png", "b c.jpg"):
        (tmp_path / "in" / name).touch()
    found = find_items([f"file://{tmp_path}/in", "memory://bucket", str(tmp_path / "gone"), "memory://bucket/gone",
                        str(tmp_path / "in" / "b c.jpg")], Store("memory://out"))
    items = found.items
    assert [source for source, _ in found.unreadable] == [str(tmp_path / "gone"), "memory://bucket/gone"]
    names = [item.name for item in items]
    assert len(items) == 7 and len(set(names)) == 7 and "b c" in names
    assert all((item.store is None) == item.label.startswith(str(tmp_path)) for item in items)


@pytest.mark.parametrize(("sources", "complaint"), [
    (["camera:0"], "is live"), (["rtsp://host/x"], "is live"), (["memory://bucket/empty"], "does not exist"),
    (["memory://bucket/day/notes.txt"], "holds no picture"), (["bogus://x"], "bogus")])
def test_sources_that_many_cannot_mask_are_an_error(bucket, tmp_path, sources, complaint):
    with pytest.raises(DepthcueError, match=complaint):
        find_items(sources, Store(str(tmp_path)))


def test_videos_go_alone_and_first_and_pictures_in_equal_portions():
    items = [Item(f"{n}.{'mp4' if n == 4 else 'png'}", "video" if n == 4 else "image", str(n)) for n in range(8)]
    assert [[item.name for item in part] for part in portions(items, 3)] == [
        ["4"], ["0", "1", "2"], ["3", "5", "6"], ["7"]]


def test_items_travel_as_they_are():
    items = [Item("a b.jpg", "image", "a b"), Item("s3://x/é.png", "image", "é", "s3://x?y=z", "é.png",
             {"files": 1, "bytes": 3, "modified_ns": 4}, {"path": "s3://x/é.png", "error": None})]
    assert from_text(to_text(items)) == items and "\n" not in to_text(items)
    assert len(to_text(items[:1])) < 60
