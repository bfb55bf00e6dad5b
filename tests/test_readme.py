"""The README, the guides and RESULTS.md say what the files, the code and the command line say."""

import ast
import functools
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from depthcue.cli.about import GUIDES
from depthcue.cli.main import build_app
from depthcue.frames.kinds import HEIF_SUFFIXES, IMAGE_SUFFIXES, VIDEO_SUFFIXES

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
GUIDE_FOLDER = ROOT / "depthcue" / "guides"
PAGES = (README, ROOT / "benchmarks" / "RESULTS.md", *sorted(GUIDE_FOLDER.glob("*.md")))
SIZE_LIMIT = 12_288
OTHER_PROGRAMS = {"--no-deps", "--index-url", "--nproc-per-node", "--logdir"}
"""Options of pip, torchrun and tensorboard that the pages name."""


def names(paths: tuple[Path, ...]) -> list[str]:
    return [path.name for path in paths]


def command_lines(text: str) -> Iterator[list[str]]:
    """Words after `depthcue` in the code blocks of a page, fenced or indented; lines that go on are joined."""
    text = re.sub(r"\\\n\s*", " ", text)
    fenced = "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)).splitlines()
    indented = re.findall(r"^    (?! )(.*)", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE),
                          re.MULTILINE)
    for line in [*fenced, *indented]:
        match = re.search(r"^(?:.* && |.*-m (?=depthcue))?depthcue(?:\.cli)? (.*)", line)
        if match:
            yield shlex.split(match[1], comments=True)


@functools.cache
def commands() -> dict[str, Any]:
    return typer.main.get_command(build_app()).commands  # type: ignore[attr-defined, no-any-return]


def parse(words: list[str]) -> None:
    """Parse a command line without running it; raises what the command line raises for what it does not take."""
    commands()[words[0]].make_context(words[0], words[1:])


def test_numbers_and_tree_are_those_of_the_files() -> None:
    done = subprocess.run([sys.executable, ROOT / "benchmarks" / "fill_results.py", "--check"], timeout=60,
                          capture_output=True, text=True)
    assert done.returncode == 0, f"run python benchmarks/fill_results.py: {done.stdout}{done.stderr[-500:]}"


def test_the_readme_is_short_and_its_picture_small() -> None:
    assert len(README.read_bytes()) <= SIZE_LIMIT
    assert (ROOT / "benchmarks" / "results" / "hero.jpg").stat().st_size < 500_000


def test_every_guide_is_listed_and_linked() -> None:
    assert {path.stem for path in GUIDE_FOLDER.glob("*.md")} == set(GUIDES)
    linked = set(re.findall(r"\]\(depthcue/guides/(\w+)\.md", README.read_text()))
    assert linked == set(GUIDES)
    named = {topic for page in PAGES for topic in re.findall(r"depthcue guide ([a-z]+)", page.read_text())}
    assert named <= set(GUIDES)


def test_the_guide_lists_every_kind_of_file() -> None:
    guide = (GUIDE_FOLDER / "masks.md").read_text()
    listed = set(re.findall(r"`(\.[a-z0-9]+)`", guide.partition("## Every kind of file")[2]))
    assert listed == IMAGE_SUFFIXES | HEIF_SUFFIXES | VIDEO_SUFFIXES


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, target


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_every_command_line_parses(page: Path) -> None:
    for words in command_lines(page.read_text()):
        try:
            parse(words)
        except Exception as error:  # click's own, whose classes typer brings along
            raise AssertionError(f"depthcue {' '.join(words)}: {getattr(error, 'message', repr(error))}") from None


def test_a_line_with_an_option_that_is_none_would_be_found() -> None:
    lines = list(command_lines("    depthcue mask a.png \\\n        --sparkle --out b  # so\ndepthcue is\n\n"
                               "```sh\npip install . && depthcue doctor\n```\n"))[::-1]
    assert lines == [["mask", "a.png", "--sparkle", "--out", "b"], ["doctor"]]
    with pytest.raises(Exception, match="sparkle"):
        parse(lines[0])
    assert sum(1 for page in PAGES for _ in command_lines(page.read_text())) > 60


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_every_option_and_command_in_a_sentence_exists(page: Path) -> None:
    options = {flag for command in commands().values() for parameter in command.params
               for flag in (*parameter.opts, *parameter.secondary_opts)}
    text = page.read_text()
    for flag in re.findall(r"(?<![\w-])(--[a-z][a-z-]*)", text):
        if flag not in OTHER_PROGRAMS | {"--speed", "--help"}:  # --speed: of benchmarks/endurance.py
            assert flag in options, flag
    for name in re.findall(r"`depthcue ([a-z][a-z-]*)", text):
        assert name in commands(), name


def python_blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("page", [README, GUIDE_FOLDER / "networks.md"], ids=["readme", "guide"])
def test_the_network_of_ten_lines_can_be_explained(page: Path, tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    from depthcue.nets import load_depth_net

    text = page.read_text()
    code, = (block for block in python_blocks(text) if "depth_description" in block)
    assert "python:mine:network" in text and len(code.strip().splitlines()) <= 10
    (tmp_path / "mine.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    net = load_depth_net("python:mine:network")
    assert net.differentiable and net.description.relative and net.description.predicts == "inverse depth"
    monkeypatch.delitem(sys.modules, "mine", raising=False)


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_python_in_pages_is_python(page: Path) -> None:
    for code in python_blocks(page.read_text()):
        ast.parse(code)
