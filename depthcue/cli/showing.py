"""`--show`: pictures in a window, or in the terminal where there is no display."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from depthcue.cli.console import say
from depthcue.errors import DepthcueError
from depthcue.imaging import open_picture

SHOWN = 6
"""Number of results shown."""
PREFERRED = ("panel", "overlay", "depth", "mask")
"""Kinds that can be looked at; of each input the first that was saved is shown, in a terminal the overlay first."""
_LATEST_FRAME = 100
Titled = tuple[str, Image.Image]


def show_results_of(summary: dict[str, Any], out: Path) -> None:
    """Show the first results of a mask run, of videos a frame from the middle.

    Raises:
        DepthcueError: nothing was saved that can be looked at, or there is neither a display nor a terminal.
    """
    kinds = PREFERRED if has_display() else sorted(PREFERRED, key=lambda kind: kind != "overlay")
    found = list(_pictures(summary, out, kinds))
    if not found:
        raise DepthcueError("--show: nothing was saved that can be looked at", f"Save {', '.join(PREFERRED)}.")
    if has_display():
        try:
            return show_in_window(found)
        except (ImportError, RuntimeError) as error:  # Tk is no part of every Python, and a display may refuse
            say(f"No window can be opened ({error}); the pictures are shown here.", aside=True)
    show_in_terminal(found)


def has_display() -> bool:
    """Whether windows can be seen here."""
    if sys.platform in ("win32", "darwin"):
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def show_in_window(pictures: Sequence[Titled]) -> None:
    """Show pictures in one window until it is closed: right, left or a click turn the page, Escape and q close it.

    Raises:
        ImportError: there is no Tk.
        RuntimeError: no window can be opened.
    """
    import tkinter

    from PIL import ImageTk

    try:
        window = tkinter.Tk()
    except tkinter.TclError as error:
        raise RuntimeError(str(error)) from error
    limits = int(window.winfo_screenwidth() * 0.9), int(window.winfo_screenheight() * 0.8)
    label = tkinter.Label(window, background="#18191c")
    label.pack()
    at = 0

    def turn(pages: int) -> None:
        nonlocal at
        at = (at + pages) % len(pictures)
        title, picture = pictures[at]
        shown = picture.copy()
        shown.thumbnail(limits)
        label.image = ImageTk.PhotoImage(shown)  # type: ignore[attr-defined]  # Tk keeps no reference of its own
        label.configure(image=label.image)  # type: ignore[attr-defined]
        window.title(f"depthcue: {title} ({at + 1} of {len(pictures)})")

    for key, pages in (("<Right>", 1), ("<space>", 1), ("<Button-1>", 1), ("<Left>", -1)):
        window.bind(key, lambda event, pages=pages: turn(pages))  # type: ignore[misc]
    for key in ("<Escape>", "q"):
        window.bind(key, lambda event: window.destroy())
    turn(0)
    window.mainloop()


def show_in_terminal(pictures: Sequence[Titled]) -> None:
    """Print pictures on stdout: by kitty's or sixel graphics where textual-image is installed, else in half blocks.

    Raises:
        DepthcueError: stdout is no terminal.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        raise DepthcueError("--show: there is neither a display nor a terminal", "The files are written; open those.")
    for title, picture in pictures:
        console.print(Text(title, style="bold"))
        # as wide as the terminal, and no higher than most of it
        width = min(console.width, round(2 * (console.height - 3) * picture.width / picture.height))
        console.print(_renderable(picture, max(width, 10)))


def _renderable(picture: Image.Image, width: int) -> Any:
    try:
        from textual_image.renderable import Image as Graphics
        from textual_image.renderable import SixelImage, TGPImage
    except ImportError:
        return half_blocks(picture, width)
    if Graphics not in (SixelImage, TGPImage):
        return half_blocks(picture, width)
    return Graphics(picture, width=width, height="auto")


def half_blocks(picture: Image.Image, width: int) -> Any:
    """A picture as `rich` prints it: each character is two pixels, one above the other."""
    from rich.color import Color
    from rich.segment import Segment, Segments
    from rich.style import Style

    columns = min(width, picture.width)
    rows = max(round(picture.height * columns / picture.width / 2), 1)
    pixels = picture.convert("RGB").resize((columns, 2 * rows), Image.Resampling.BOX).tobytes()
    segments = []
    for row in range(rows):
        for column in range(columns):
            upper, lower = (Color.from_rgb(*pixels[start:start + 3])
                            for start in (3 * ((2 * row + half) * columns + column) for half in (0, 1)))
            segments.append(Segment("\u2580", Style(color=upper, bgcolor=lower)))
        segments.append(Segment.line())
    return Segments(segments)


def _pictures(summary: dict[str, Any], out: Path, kinds: Sequence[str] = PREFERRED) -> Iterator[Titled]:
    from depthcue.frames import Input, open_input

    shown = 0
    for entry in summary["inputs"]:
        for kind in kinds:
            paths = [out / each for each in entry["outputs"]]
            paths += [each for path in paths if path.is_dir() for each in sorted(path.glob(f"*_{kind}.png"))[:1]]
            path = next((each for each in paths if each.stem.endswith(f"_{kind}")), None)
            if path is None:
                continue
            if path.suffix == ".mp4":
                wanted = min(entry["frames"] // 2, _LATEST_FRAME)
                with open_input(Input(path, "video", path.stem)) as frames:
                    picture = next(frame.rgb for frame in frames if frame.index >= wanted)
                yield entry["path"], Image.fromarray(picture)
            else:
                yield entry["path"], open_picture(path, path)
            shown += 1
            break
        if shown == SHOWN:
            return
