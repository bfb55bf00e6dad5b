"""`depthcue guide`: the guides that come with depthcue, on the terminal."""

import re
import sys
from importlib.resources import files
from typing import Annotated

import typer

from depthcue.errors import DepthcueError
from depthcue.text import did_you_mean

GUIDES = {
    "masks": "masks of pictures, videos and cameras",
    "networks": "your own depth network, and what names a network or data",
    "training": "training mask nets and depth nets",
    "measuring": "comparing the mask with edges, other scorers and other networks",
    "probes": "which cues a depth network believes",
    "results": "results files, pages, and the fields that scripts may rely on",
    "export": "ONNX graphs, TensorRT engines and C++",
    "gpus": "speed: backends, precision, GPUs, and installing for a CPU alone",
    "clusters": "many machines, object stores and resuming",
    "papers": "the networks, equations, tables and figures of the papers",
    "developing": "tests, benchmarks and the tree of the code",
}
"""Every guide and what it is about, in the order of reading."""

TopicArgument = Annotated[str | None, typer.Argument(
    metavar="[TOPIC]", help=f"One of {', '.join(GUIDES)}. Without it the topics are listed.", show_default=False)]


def guide(topic: TopicArgument = None) -> None:
    """Show a guide: formatted on a terminal, as plain Markdown text where the output is piped."""
    if topic is None:
        width = max(map(len, GUIDES))
        return print(*(f"{name:<{width}}  {about}" for name, about in GUIDES.items()),
                     "\nShow one with: depthcue guide TOPIC", sep="\n")
    text = re.sub(r"<!--.*?-->\n?", "", guide_text(topic)).rstrip("\n")
    if not sys.stdout.isatty():
        return print(text)
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.theme import Theme

    # no black boxes behind code: they are hard to read on a light terminal
    Console(theme=Theme({"markdown.code": "bold cyan"})).print(Markdown(text, code_theme="ansi_dark"))


def guide_text(topic: str) -> str:
    """The text of a guide, in Markdown.

    Raises:
        DepthcueError: there is no guide of that name.
    """
    name = topic.lower().removesuffix(".md")
    if name not in GUIDES:
        about_it = [guide for guide, about in GUIDES.items() if name and name.rstrip("s") in about.lower()]
        near = did_you_mean(name, GUIDES) or (f"Did you mean {about_it[0]}? " if about_it else "")
        raise DepthcueError(f"there is no guide {topic!r}", f"{near}The topics are {', '.join(GUIDES)}.")
    return (files("depthcue") / "guides" / f"{name}.md").read_text(encoding="utf-8").rstrip("\n")
