"""A stream by RTSP, as cameras speak it: the smallest server that can be asked for one."""

import io
import socketserver
import struct
import threading
import time

import av
import pytest
from numbered_frames import number_of, numbered_picture

from depthcue.errors import DepthcueError
from depthcue.frames import LiveOptions, find_inputs, open_input

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
