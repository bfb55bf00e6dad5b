"""Addresses of live sources: which are taken, what outputs are named by, and that no password is shown."""

import pytest

from depthcue.errors import DepthcueError, without_password
from depthcue.frames import find_inputs
from depthcue.frames.kinds import live_name


@pytest.mark.parametrize(("address", "name"), [
    ("camera:0", "camera-0"), ("camera:12", "camera-12"),
    ("rtsp://10.0.0.7:554/stream1", "10.0.0.7_554_stream1"),
    ("RTSP://user:secret@Cam.local/live/main?token=x", "cam.local_live_main"),
    ("https://host/a/b.m3u8", "host_a_b.m3u8"), ("http://[::1]:8080/", "1_8080"),
])
def test_live_sources_are_known_and_named(address, name):
    assert live_name(address) == name
    (source,) = find_inputs([address])
    assert (source.kind, source.name, source.address) == ("live", name, address)


@pytest.mark.parametrize("path", ["camera.mp4", "room.jpg", "rtsp", "C:\\pictures", "folder/http", "a:b"])
def test_paths_are_no_addresses(path):
    assert live_name(path) is None


@pytest.mark.parametrize(("address", "complaint"), [
    ("camera:", "have numbers"), ("camera:front", "have numbers"), ("camera:-1", "have numbers"),
    ("ftp://host/a.mp4", "kind ftp are not read(?s:.*)rtsp://"), ("s3://bucket/key", "kind s3"),
    ("rtsp:///stream", "names no host"), ("http://host:port/x", "is not an address"),
])
def test_wrong_addresses_are_told(address, complaint):
    with pytest.raises(DepthcueError, match=complaint):
        find_inputs([address])


def test_neither_password_nor_token_is_shown():
    (source,) = find_inputs(["rtsp://user:secret@cam.local:554/live?token=abc#x"])
    assert source.label == without_password(source.address) == "rtsp://cam.local:554/live"
    assert "secret" not in str(source.path) and "abc" not in source.name


@pytest.mark.parametrize("address", [
    "ftp://user:secret@host/x", "rtsp://user:secret", "rtsp://user:secret/x", "rtsp:/user:secret@host/x?y",
    "rtsp:user:secret@host", "rtsp://[secret", "rtsp://user:a/secret@host/x", "rtsp://user:secret?x@host/y",
    "http://host:secret/x*", "rtmp://user:secret@host/%05d.png"])
def test_an_address_that_is_wrong_is_not_repeated(address):
    with pytest.raises(DepthcueError) as caught:
        find_inputs([address])
    assert "secret" not in str(caught.value)


def test_outputs_are_not_named_by_secrets():
    for address in ("rtsp://user:se@secret@host/x;secret?secret#secret", "https://host/x?mail=a@secret.org"):
        (source,) = find_inputs([address])
        assert "secret" not in source.name and "secret" not in source.label and "secret" not in str(source.path)
    (source,) = find_inputs(["https://host/@me/live.m3u8"])  # an @ in a path is no mistake
    assert source.name == "me_live.m3u8"
    (source,) = find_inputs(["http://host/" + 300 * "long/"])
    assert len(source.name) <= 80


def test_the_same_stream_is_taken_once_and_like_names_are_told_apart(tmp_path):
    sources = find_inputs(["camera:0", "camera:0", "http://host/a?1", "http://host/a?2"])
    assert len(sources) == 3 and len({source.name for source in sources}) == 3
