"""What FFmpeg opens: paths that look like addresses, scripts that name other files, addresses that were typed."""

import ast
import threading
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from streaming import Camera

import depthcue
from depthcue.errors import DepthcueError
from depthcue.frames import Frame, LiveOptions, VideoSink, VideoSource, find_inputs, open_input


@pytest.fixture
def server():
    """A web server of nothing; `server.requests` lists what it was asked for."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.requests = requests
    threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


def count(path: Path) -> int:
    with VideoSource(path) as source:
        return sum(1 for _ in source)


@pytest.mark.parametrize("name", [
    "10:30.mp4", "a:b", "subfile,,start,4,end,0,,:clip.mp4", "concat:clip.mp4|clip.mp4", "file:clip.mp4", "pipe:0.mp4",
    "data:x.mp4", "crypto:clip.mp4", "cache:clip.mp4", "frame_%05d.mp4", "-.mp4",
])
def test_a_relative_path_is_a_path_whatever_it_looks_like(make_video, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    make_video("clip.mp4", count=12)
    make_video("short.mp4", count=5).rename(name)
    assert count(Path(name)) == 5


@pytest.mark.parametrize("scheme", ["http", "https", "HTTP", "tcp", "rtmp", "ftp"])
def test_a_folder_named_like_an_address_is_read_and_nothing_is_asked_for(server, make_video, tmp_path, monkeypatch,
                                                                         scheme):
    monkeypatch.chdir(tmp_path)
    path = Path(f"{scheme}:", f"127.0.0.1:{server.server_port}", "x.mp4")
    path.parent.mkdir(parents=True)
    make_video().rename(path)
    (found,) = find_inputs([f"{scheme}:"])
    with open_input(found) as source:
        assert len(list(source)) == 12
    with pytest.raises(DepthcueError, match="does not exist"):
        count(path.with_name("y.mp4"))
    assert server.requests == []


@pytest.mark.parametrize("script", [
    "ffconcat version 1.0\nfile clip.mp4\n", "#EXTM3U\n#EXTINF:1,\nclip.mp4\n",
    "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\nhttp://127.0.0.1:{port}/x.ts\n#EXT-X-ENDLIST\n",
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n",
    "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'><BaseURL>http://127.0.0.1:{port}/</BaseURL></MPD>",
])
@pytest.mark.parametrize("name", ["x.mp4", "x.mkv", "x.webm"])
def test_a_script_is_refused(server, make_video, tmp_path, monkeypatch, script, name):
    monkeypatch.chdir(tmp_path)
    make_video("clip.mp4")
    Path(name).write_text(script.replace("{port}", str(server.server_port)))
    with pytest.raises(DepthcueError, match="names other files"):
        count(Path(name))
    monkeypatch.setattr("depthcue.frames.videos._SCRIPTS", (b"\0none",))  # nor does FFmpeg take it
    with pytest.raises(DepthcueError, match="not a video that can be read"):
        count(Path(name))
    assert server.requests == []


@pytest.mark.parametrize("folder", ["run:1", "http:/127.0.0.1:{port}", "a=1,b=2"])
def test_results_go_to_a_folder_of_any_name(server, tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    path = Path(folder.replace("{port}", str(server.server_port)), "12:00_mask.mp4")
    with VideoSink(path, Fraction(25), (48, 64)) as sink:
        for number in range(3):
            sink.write(np.zeros((48, 64), np.uint8), Frame(None, number, None, ""))
    assert count(path) == 3 and server.requests == []


def test_an_address_is_opened_in_any_case():
    with Camera() as camera:
        (found,) = find_inputs([camera.url().replace("http", "HTTP")])
        with open_input(found, live=LiveOptions(stall_s=5)) as frames:
            assert next(iter(frames)).size == camera.size


def test_a_server_cannot_have_a_file_read(make_video, tmp_path):
    secret = make_video("secret.ts", codec="libx264")

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\nfile://{secret}\n".encode())

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        (found,) = find_inputs([f"http://127.0.0.1:{running.server_port}/live.m3u8"])
        try:
            with pytest.raises(DepthcueError), open_input(found, live=LiveOptions(stall_s=1)) as frames:
                next(iter(frames))
        finally:
            running.shutdown()


def test_nothing_else_opens_videos():
    package = Path(depthcue.__file__).parent
    calls = [path.relative_to(package).as_posix() for path in package.rglob("*.py")
             for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
             if isinstance(node, ast.Call) and ast.unparse(node.func) in ("av.open", "av.container.open")]
    assert set(calls) == {"frames/videos.py"}
