"""The help pages, lists with commas, progress in 80 columns and in pipes, and pictures in a terminal."""

import io
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from depthcue.cli import console, showing
from depthcue.cli.main import COMMANDS, _unlisted, main
from depthcue.cli.options import PANELS
from depthcue.errors import DepthcueError, did_you_mean


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_page_is_grouped_fits_and_names_no_python_types(command, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    assert main([command, "--help"]) == 0
    page = capsys.readouterr().out
    titles = [line.split("─ ")[1].split(" ─")[0] for line in page.splitlines() if line.startswith("╭─ ")]
    assert set(titles) <= {"Arguments", *PANELS} and "Output" in titles
    groups = [title for title in titles if title != "Arguments"]
    assert groups == sorted(groups, key=PANELS.index)
    assert "<bool>" not in page and "<list" not in page and max(map(len, page.splitlines())) <= 80
    assert "the mask net's own." not in page or command in ("mask", "bench")


def test_the_first_page_names_completion(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["--help"]) == 0
    page = capsys.readouterr().out
    assert "--install-completion" in page and "<bool>" not in page


@pytest.mark.parametrize(("given", "meant"), [
    (["--save", "mask,overlay", "-o", "x"], ["--save", "mask", "--save", "overlay", "-o", "x"]),
    (["--save=a, b"], ["--save", "a", "--save", "b"]),
    (["--save", "a", "--save", "b"], ["--save", "a", "--save", "b"]),
    (["--target", "hf:x/y,predicts=inverse,size=3x3,compact-road"],
     ["--target", "hf:x/y,predicts=inverse,size=3x3", "--target", "compact-road"]),
    (["--out", "a,b", "c,d"], ["--out", "a,b", "c,d"]),
    (["--", "--save", "a,b"], ["--", "--save", "a,b"]),
    (["--save"], ["--save"]),
])
def test_lists_with_commas_are_options_repeated(given, meant):
    assert _unlisted(given, {"--save", "--target"}) == meant


def test_a_file_with_a_comma_in_its_name_stays_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a,b.safetensors").write_bytes(b"")
    assert _unlisted(["--weights", "a,b.safetensors"], {"--weights"}) == ["--weights", "a,b.safetensors"]


def test_typing_mistakes_are_guessed():
    assert did_you_mean("compact-indor", ["compact-indoor", "compact-road"]) == "Did you mean compact-indoor? "
    assert did_you_mean("VIRIDIS", ["viridis"]) == "Did you mean viridis? "
    assert did_you_mean("zebra", ["viridis"]) == ""


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_bar_fits_80_columns_with_count_rate_time_left_and_one_number(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(time, "monotonic", iter(np.arange(0, 100, 0.5)).__next__)
    work = console._Pace(2000)
    for _ in range(20):
        work.advance(1, {"loss": 0.123456, "difference": 0.1, "mask_mean": 0.2})
    words = work.words()
    assert words == "20/2000  2/s  16:30 left  loss 0.123"
    monkeypatch.undo()
    from rich.console import Console

    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("rich.console.Console",
                        lambda **kwargs: Console(**{**kwargs, "width": 80, "force_terminal": True}))
    with console.progress_bar(quiet=False) as progress:
        progress.start("training a mask net", 2000)
        progress.advance(40, loss=0.123456, difference=0.1)
        time.sleep(0.6)
        progress.advance(1, loss=0.123456, difference=0.1)
    import re

    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]", terminal.getvalue())]
    shown = [line for line in lines if "41/2000" in line]
    assert shown and max(map(len, shown)) <= 80 and "loss 0.123" in shown[-1] and "difference" not in shown[-1]
    assert "training a mask net" in shown[-1]


def test_piped_progress_is_a_line_every_ten_seconds(monkeypatch, capsys):
    clock = iter(np.arange(0, 1000, 0.25))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    with console.progress_bar(quiet=False) as progress:
        progress.start("masking", None)
        progress.start("masking", 400)
        for _ in range(100):
            progress.advance(1, loss=0.5)
        progress.advance(0)
    lines = capsys.readouterr().err.splitlines()
    assert 3 <= len(lines) <= 10 and all(line.startswith("masking: ") and "/400" in line for line in lines)
    assert "left" in lines[-1] and "loss 0.5" in lines[-1]


def test_tables_obey_columns():
    code = ("from depthcue.cli import console; "
            "console.print_table('t', ['a', 'b'], [['word ' * 20, 'word ' * 20]])")
    for columns, widest in (("50", 50), ("", 120)):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120,
                              env={**os.environ, "COLUMNS": columns})
        assert widest - 12 <= max(map(len, done.stdout.splitlines())) <= widest


def test_pictures_are_printed_in_a_terminal_and_refused_in_a_pipe(monkeypatch, capsys):
    from rich.console import Console

    rgb = np.zeros((8, 6, 3), np.uint8)
    rgb[:4, :, 0], rgb[4:, :, 2] = 200, 100
    written = io.StringIO()
    Console(file=written, force_terminal=True, color_system="truecolor", width=40).print(
        showing.half_blocks(Image.fromarray(rgb), 40))
    lines = written.getvalue().splitlines()
    assert len([line for line in lines if "▀" in line]) == 4 and all(line.count("▀") == 6 for line in lines if line)
    assert "38;2;200;0;0" in lines[0] and "48;2;200;0;0" in lines[0] and "38;2;0;0;100" in lines[3]
    with pytest.raises(DepthcueError, match="neither a display nor a terminal"):
        showing.show_in_terminal([("a", Image.fromarray(rgb))])


@pytest.mark.parametrize("kind", ["SixelImage", "TGPImage"])
def test_graphics_keep_the_shape_of_the_picture(kind, monkeypatch):
    renderable = pytest.importorskip("textual_image.renderable", reason="graphics need the extra show")
    from textual_image._terminal import CellSize

    monkeypatch.setattr(renderable, "Image", getattr(renderable, kind))
    shown = showing._renderable(Image.new("RGB", (320, 240)), 56)
    columns, rows = shown._render_size.get_cell_size(80, 100, CellSize(10, 20))
    assert (columns, rows) == (56, 21)


def test_the_best_kind_of_each_input_is_shown(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a_mask.png")
    Image.new("RGB", (9, 4)).save(tmp_path / "a_panel.png")
    entries = [{"path": "a.png", "outputs": ["a_mask.png", "a_panel.png"], "frames": 1},
               {"path": "b.png", "outputs": [], "frames": 0}]
    (title, picture), = showing._pictures({"inputs": entries}, tmp_path)
    assert title == "a.png" and picture.size == (9, 4)
    with pytest.raises(DepthcueError, match="nothing was saved"):
        showing.show_results_of({"inputs": entries[1:]}, tmp_path)
