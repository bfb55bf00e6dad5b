"""What a cluster is given: paths and addresses as items with names of their own, in portions."""

import pytest

from depthcue.errors import DepthcueError
from depthcue.runtime.cluster_storage import Item, Store, find_items, from_text, portions, to_text

pytest.importorskip("pyarrow", reason="stores need the extra ray")


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
def test_what_cannot_be_masked_by_many_is_told(bucket, tmp_path, sources, complaint):
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
