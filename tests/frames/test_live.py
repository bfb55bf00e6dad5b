"""Live sources and RTSP against a camera on this machine: the newest frame wins, failures are clear errors."""

import io
import logging
import socketserver
import struct
import threading
import time
from fractions import Fraction

import av
import pytest
from numbered_frames import number_of, numbered_picture
from streaming import Camera

from depthcue.errors import DepthcueError
from depthcue.frames import LiveOptions, LiveSource, find_inputs, live, open_input


@pytest.fixture
def camera():
    with Camera() as camera:
        yield camera


def opened(camera, path="mjpeg", **options) -> LiveSource:
    source = open_input(find_inputs([camera.url(path)])[0], live=LiveOptions(**{"stall_s": 5.0, **options}))
    assert isinstance(source, LiveSource)
    return source


@pytest.mark.parametrize("path", ["mjpeg", "ts"])
def test_a_slow_reader_gets_the_newest_frame_and_the_others_are_counted(camera, path):
    numbers, shown = [], camera.sent
    with opened(camera, path) as frames:
        for frame in frames:
            # looked at before the pictures that come meanwhile are numbered; one on its way, one being decoded
            behind = (camera.sent - 1 - number_of(frame.rgb)) % 16
            assert frame.size == frames.size == (48, 64)
            assert frame.rgb[5, 5, 0] > 150 and frame.rgb[5, 5, 1] < 60  # the red corner: top left, red first
            numbers.append(behind)
            if len(numbers) == 10:
                break
            time.sleep(0.1)  # five frames
    assert sorted(numbers[1:])[4] <= 2, "old frames"  # the median, for this machine may be busy
    assert frames.dropped > 20 and camera.sent - shown > 30


def test_times_are_those_of_arrival_and_never_repeat(camera):
    with opened(camera, duration_s=0.5) as frames:
        got = [(frame.time, frame.arrived, frame.index, frame.name) for frame in frames]
    times = [time for time, *_ in got]
    assert times[0] == 0 and all(a < b for a, b in zip(times, times[1:], strict=False))
    for at, arrived, index, name in got:
        assert (at / frames.time_base).denominator == 1 and name == f"{index:06d}"
        assert float(at) == pytest.approx(arrived - got[0][1], abs=0.01)
    assert times[-1] < Fraction(1, 2) and len(got) > 5


def test_a_stream_that_stalls_is_an_error_after_the_time_given_and_not_before(camera):
    got = []
    with opened(camera, stall_s=0.6) as frames, pytest.raises(DepthcueError,
                                                              match="no frame for 0.6 seconds") as caught:
        for frame in frames:
            got.append(frame.arrived)
            if len(got) == 5:
                camera.stalled.set()
    assert len(got) >= 5 and 0.6 <= time.monotonic() - got[-1] < 3
    assert camera.url() in caught.value.message and "--stall-timeout" in caught.value.hint


def test_a_stall_within_the_time_is_waited_for(camera):
    camera.stalled.set()
    threading.Timer(0.3, camera.stalled.clear).start()
    with opened(camera) as frames:
        assert number_of(next(iter(frames)).rgb) >= 0


def test_a_connection_that_breaks_off_is_opened_again_and_said(camera, caplog):
    with caplog.at_level(logging.WARNING), opened(camera) as frames:
        iterator = iter(frames)
        before = next(iterator)
        camera.broken.set()
        time.sleep(0.2)
        camera.broken.clear()
        while frames.reconnects == 0:
            after = next(iterator)
    assert frames.reconnects == 1 and camera.connections >= 2
    assert after.index > before.index and after.time > before.time
    assert "lost" in caplog.text and "is back" in caplog.text


def test_a_camera_that_vanishes_is_an_error_after_all_that_came(camera):
    got = []
    with opened(camera, stall_s=0.8) as frames, pytest.raises(DepthcueError,
                                                              match="no frame for 0.8 seconds") as caught:
        for frame in frames:
            got.append(frame)
            if len(got) == 3:
                camera.vanish()
    assert len(got) >= 3 and "refused" in caught.value.message


def test_an_address_where_nothing_is_fails_at_once(camera):
    camera.vanish()
    start = time.monotonic()
    with pytest.raises(DepthcueError, match=r"cannot be opened: Connection refused(?s:.*)address"), opened(camera):
        pass
    assert time.monotonic() - start < 2


@pytest.mark.parametrize(("path", "complaint"), [("one.jpg", "single picture"), ("sound", "no video")])
def test_what_is_no_live_stream_is_refused(camera, path, complaint):
    with pytest.raises(DepthcueError, match=complaint), opened(camera, path):
        pass


def test_a_recording_is_refused(camera, monkeypatch):
    class Recording:
        duration, streams = 12_000_000, type("Streams", (), {"video": ["one"]})

    source = opened(camera)
    with pytest.raises(DepthcueError, match="is a recording"):
        source._stream(Recording())


def test_whoever_wants_it_to_end_gets_a_proper_end(camera):
    options = LiveOptions()
    threading.Timer(0.3, options.ending.set).start()
    start = time.monotonic()
    with open_input(find_inputs([camera.url()])[0], live=options) as frames:
        assert len(list(frames)) > 3
    assert time.monotonic() - start < 3


def test_it_ends_while_it_waits_in_vain(camera):
    options = LiveOptions(stall_s=60.0)
    with open_input(find_inputs([camera.url()])[0], live=options) as frames:
        next(iterator := iter(frames))
        camera.stalled.set()
        threading.Timer(0.2, options.ending.set).start()
        start = time.monotonic()
        list(iterator)
    assert time.monotonic() - start < 3


def test_a_device_that_hangs_does_not_hang_the_program(monkeypatch):
    """A driver that never answers: not even the library's time limit helps."""
    never = threading.Event()
    monkeypatch.setattr(live, "camera", lambda number: ("v4l2", "/dev/video0"))
    monkeypatch.setattr(av, "open", lambda *_, **__: never.wait(20))
    start = time.monotonic()
    with pytest.raises(DepthcueError, match="camera:0: no frame for 0.3 seconds"):
        with open_input(find_inputs(["camera:0"])[0], live=LiveOptions(stall_s=0.3)):
            pass
    assert time.monotonic() - start < 3
    never.set()


def test_a_camera_of_this_machine(monkeypatch):
    """The library's test picture, paced as a camera is, in a camera's place."""
    monkeypatch.setattr(live, "camera", lambda number: (
        "lavfi", f"testsrc=size=64x48:rate={40 + int(number)},realtime"))
    source = find_inputs(["camera:1"])[0]
    assert (source.kind, source.name, source.label) == ("live", "camera-1", "camera:1")
    with open_input(source, live=LiveOptions(duration_s=0.4)) as frames:
        got = list(frames)
    assert frames.size == (48, 64) and frames.frame_rate == 41 and 3 < len(got) < 30


def test_a_camera_that_is_not_there():
    if live.sys.platform != "linux":
        pytest.skip("its device has another name here")
    with pytest.raises(DepthcueError, match="camera:77 cannot be opened: No such file(?s:.*)plugged in"):
        with open_input(find_inputs(["camera:77"])[0]):
            pass


def test_a_library_without_cameras_says_so(monkeypatch):
    monkeypatch.setattr(live.sys, "platform", "darwin")
    monkeypatch.setattr(av, "ContainerFormat", lambda *_: (_ for _ in ()).throw(ValueError("no such format")))
    with pytest.raises(DepthcueError, match=r"reads no cameras \(avfoundation"):
        live.camera("0")


def test_a_bug_while_reading_is_raised_where_it_is_seen(camera, monkeypatch):
    monkeypatch.setattr(LiveSource, "_offer", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError), opened(camera):
        pass


TS_PACKET = 188
DESCRIPTION = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:track\r\n"


class RtspCamera(socketserver.StreamRequestHandler):
    """Answers one client and sends numbered pictures (H.264 in MPEG-TS) over the same connection, in time."""

    rate, size = 50, (48, 64)

    def handle(self):
        while line := self.rfile.readline().decode().strip():
            method, headers = line.split()[0], {}
            while header := self.rfile.readline().decode().strip():
                name, _, value = header.partition(":")
                headers[name.lower()] = value.strip()
            self.answer(method, headers)
            if method == "PLAY":
                self.send_pictures()
                return

    def answer(self, method, headers):
        more = {"OPTIONS": "Public: DESCRIBE, SETUP, PLAY\r\n", "PLAY": "Session: 1\r\n",
                "SETUP": f"Session: 1\r\nTransport: {headers.get('transport')}\r\n",
                "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(DESCRIPTION)}\r\n"}[method]
        body = DESCRIPTION if method == "DESCRIBE" else ""
        self.wfile.write(f"RTSP/1.0 200 OK\r\nCSeq: {headers['cseq']}\r\n{more}\r\n{body}".encode())

    def send_pictures(self):
        buffer, sequence = io.BytesIO(), 0
        with av.open(buffer, "w", format="mpegts", options={"flush_packets": "1"}) as container:
            stream = container.add_stream("libx264", rate=self.rate)
            stream.height, stream.width = self.size
            stream.pix_fmt = "yuv420p"
            stream.options = {"preset": "ultrafast", "tune": "zerolatency"}
            stream.codec_context.gop_size = 10
            for number in range(10**6):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered_picture(number, *self.size), "rgb24")))
                content = buffer.getvalue()
                buffer.seek(0)
                buffer.truncate()
                for start in range(0, len(content), 7 * TS_PACKET):
                    part = content[start:start + 7 * TS_PACKET]
                    packet = struct.pack(">BBHII", 0x80, 33, sequence % 65536, number * 90000 // self.rate, 1) + part
                    sequence += 1
                    try:
                        self.wfile.write(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
                    except OSError:  # the reader has left
                        return
                time.sleep(1 / self.rate)


@pytest.fixture
def address():
    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = allow_reuse_address = True

        def handle_error(self, *_):
            pass

    with Server(("127.0.0.1", 0), RtspCamera) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"rtsp://user:secret@127.0.0.1:{server.server_address[1]}/live"
        server.shutdown()


def test_frames_come_from_an_rtsp_camera(address):
    (source,) = find_inputs([address])
    with open_input(source, live=LiveOptions(stall_s=8.0, duration_s=0.6)) as frames:
        got = [(number_of(frame.rgb), frame.size) for frame in frames]
    assert frames.size == (48, 64) and len(got) > 5 and {size for _, size in got} == {(48, 64)}
    steps = [(b - a) % 16 for (a, _), (b, _) in zip(got, got[1:], strict=False)]
    assert all(1 <= step < 16 for step in steps), "in order, none twice"


def test_nobody_there_is_told_without_the_password(address):
    (source,) = find_inputs([address.replace(address.split(":")[-1], "1/live")])
    with pytest.raises(DepthcueError, match="cannot be opened: Connection refused") as caught, open_input(source):
        pass
    assert "secret" not in str(caught.value)
