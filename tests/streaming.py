"""A camera on the network, on this machine: numbered pictures over HTTP that stall, break off and vanish on demand."""

import io
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

import av
import numpy as np
from numbered_frames import numbered_picture
from PIL import Image


class Camera:
    """Serves `/mjpeg` and `/ts` (H.264), a numbered picture every `1 / rate` seconds; a context manager."""

    def __init__(self, *, size: tuple[int, int] = (48, 64), rate: float = 50.0) -> None:
        self.size, self.rate = size, rate
        self.stalled = threading.Event()
        """While set, connections stay open and nothing comes."""
        self.broken = threading.Event()
        """While set, connections break off, and new ones at once."""
        self.sent = 0
        self.connections = 0
        self._closing = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # a reader that leaves is no error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self._server.shutdown()
        self._server.server_close()

    def url(self, path: str = "mjpeg") -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{path}"

    def vanish(self) -> None:
        """Break connections off and refuse new ones from now on."""
        self.broken.set()
        self._server.shutdown()
        self._server.socket.close()

    def after(self, pictures: int, do: Callable[[], None]) -> None:
        """Do something once this many pictures were sent, however slow the machine."""
        def wait() -> None:
            while self.sent < pictures and not self._closing:
                time.sleep(0.01)
            do()

        threading.Thread(target=wait, daemon=True).start()

    def pictures(self):
        """The pictures of one connection, in time."""
        while not (self.broken.is_set() or self._closing):
            if not self.stalled.is_set():
                yield self.sent, numbered_picture(self.sent, *self.size)
                self.sent += 1
            time.sleep(1 / self.rate)


def _handler(camera: Camera) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            camera.connections += 1
            self.send_response(200)
            {"/mjpeg": self.mjpeg, "/ts": self.transport_stream, "/one.jpg": self.picture,
             "/sound": self.sound}[self.path]()
            self.connection.shutdown(socket.SHUT_RDWR)

        def mjpeg(self) -> None:
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
            self.end_headers()
            for _, rgb in camera.pictures():
                content = jpeg(rgb)
                self.wfile.write(b"--next\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(content)
                                 + content + b"\r\n")

        def transport_stream(self) -> None:
            self.send_header("Content-Type", "video/mp2t")
            self.end_headers()
            with av.open(_Unseekable(self.wfile), "w", format="mpegts", options={"flush_packets": "1"}) as container:
                stream = container.add_stream("libx264", rate=round(camera.rate))
                stream.height, stream.width = camera.size
                stream.pix_fmt = "yuv420p"
                stream.options = {"preset": "ultrafast", "tune": "zerolatency"}
                stream.codec_context.gop_size = 10
                for _, rgb in camera.pictures():
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, "rgb24")))

        def picture(self) -> None:
            content = jpeg(np.zeros((*camera.size, 3), np.uint8))
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def sound(self) -> None:
            self.send_header("Content-Type", "audio/wav")
            self.end_headers()
            with av.open(_Unseekable(self.wfile), "w", format="adts") as container:
                stream = container.add_stream("aac", rate=8000, layout="mono")
                for _ in range(20):
                    frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
                    frame.sample_rate = 8000
                    container.mux(stream.encode(frame))

    return Handler


class _Unseekable:
    """A socket's file as the video library can write to it."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        self._file = file

    def write(self, content: bytes) -> int:
        return self._file.write(bytes(content))


def jpeg(rgb: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()
