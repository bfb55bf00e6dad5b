"""Ctrl-C and SIGTERM as exceptions at places of our choosing, so that nothing is left half done."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruptible(asked: Callable[[], None] | None = None) -> Iterator[Callable[[], None]]:
    """Hold signals back inside the context; the function it gives raises what has come in.

    Args:
        asked: for work without an end of its own: called at the first signal, in place of raising it.

    Ctrl-C is raised as KeyboardInterrupt (exit status 130), SIGTERM as SystemExit(143). A second signal is raised at
    once, wherever the program is. Outside the main thread, which alone gets signals, nothing is changed.
    """
    received: list[int] = []

    def receive(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            _raise(number)
        if asked is not None:
            asked()

    def check() -> None:
        if received and asked is None:
            _raise(received[0])

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    # a signal that whoever started us has chosen to ignore stays ignored
    previous = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)
                if signal.getsignal(number) != signal.SIG_IGN}
    try:
        yield check
        check()  # one that came after the last look
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _raise(number: int) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)
