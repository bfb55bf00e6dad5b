"""What the demo shows of the mask net itself: stills with a dial, and a short drive."""

from pathlib import Path

from depthcue.report.results import Results
from depthcue.report.section import Picture, Section


def section(results: Results, folder: Path) -> Section:
    """The section of a demo's document; what it compared lies in results files of their own."""
    video = results["video"]
    film = Picture(video["overlay"], (
        f"A short drive, masked frame by frame; the mean of the mask is {video['mean']:.0%}. Watch the road ahead, "
        "where it meets the horizon, and the feet of things that stand on the ground. With the mask itself, and the "
        f"depth seen with and without it: {video['panel']}, beside this page."))
    return Section(
        "Turn the dial", (),
        lead="What does the mask net keep, and what can be seen from that alone? Every room and road is made up and "
        "rendered by depthcue, so the true distance of each pixel is known.",
        gallery=tuple(results["gallery"]), films=(film,))
