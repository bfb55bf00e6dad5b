"""What a person sees: of names that come from outside, and on consoles of any code page."""

import io
import json
import logging
import os
import subprocess
import sys

import pytest

from depthcue.cli import console
from depthcue.cli.console import configure, print_json, print_table, say, say_error
from depthcue.cli.main import main
from depthcue.errors import DepthcueError, shown

EVIL = "a\x1b]0;title\x07[/red]\udcff\nerror: b.png"
TEXT = "λ → 5 ± 1 µm, größe 中 😀 \udcff"


def test_names_command_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    configure(quiet=False, verbose=False)
    say_error(DepthcueError(f"{EVIL} cannot be read, rtsp://me:secret@host/x?secret", f"look at {EVIL}"))
    logging.getLogger("depthcue").warning("left out %s of %s", EVIL, "rtsp://me:secret@host/x")
    print_table(f"of {EVIL}", ["name", "n"], [[EVIL, "1"]])
    say(EVIL)
    print_json({"name": EVIL})
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err and "\x07" not in out + err and "secret" not in err
    assert r"\x1b]0;title\x07[/red]\xff" in err and r"\x1b]0;title\x07[/red]\xff" in out
    assert not any(line.startswith("error: b.png") for line in (out + err).splitlines())
    assert json.loads(out[out.index("{"):])["name"] == shown(EVIL)


@pytest.mark.parametrize("words", [
    ["ADDRESS"], ["mask", "a.png", "--keep", "ADDRESS"], ["mask", "a.png", "--keep=ADDRESS"], ["guide", "a", "ADDRESS"],
    ["mask", "a.png", "--ADDRESS"], ["scenes", "ADDRESS", "--count", "1"], ["--ADDRESS"],
])
@pytest.mark.parametrize("address", ["rtsp://me:secret@cam.local/x", "rtsp://me:my secret@cam.local/x",
                                     "rtsp:/me:secret@cam.local", "me:secret@cam.local/x",
                                     "\x1b[2Jme:'secret@cam.local/x", "http://cam.local/x;token=secret"])
def test_a_wrong_word_is_repeated_without_its_password(words: list[str], address: str,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word.replace("ADDRESS", address) for word in words]) == 2
    error = capsys.readouterr().err
    assert error.strip() and "secret" not in error and "\x1b[2J" not in error


def printed(encoding: str, code: str) -> bytes:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    return done.stdout


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "latin-1", "utf-8", "cp932:strict", "utf-16"])
def test_any_text_goes_to_any_console_and_json_stays_json(encoding):
    code = ("from depthcue.cli import console; import sys; console.accept_any_console(); "
            f"console.print_json({{'text': {TEXT!r}}}); print({TEXT!r}, file=sys.stderr)")
    content = printed(encoding, code).decode(encoding.partition(":")[0])
    assert json.loads(content) == {"text": shown(TEXT)}


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_tables_are_drawn_with_what_the_console_has(encoding):
    code = ("from depthcue.cli import console; console.accept_any_console(); "
            "console.print_table('λ', ['größe', 'σ'], [['a', '1.5'], ['中', '2.0']])")
    content = printed(encoding, code).decode(encoding)
    assert "a" in content and "2.0" in content and "\\u4e2d" in content and "┃" not in content


def test_what_the_encoding_has_is_written_as_it_is():
    assert "größe".encode("cp1252") in printed(
        "cp1252", "from depthcue.cli import console; console.accept_any_console(); print('größe')")


def test_streams_that_choose_for_themselves_are_left_alone(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), "ascii", errors="replace")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", io.StringIO())  # a notebook's, say
    console.accept_any_console()
    assert stream.errors == "replace"


def test_every_command_begins_with_it():
    code = "from depthcue.cli.main import main; main(['--version']); print('λ')"
    assert printed("cp1252", code).splitlines()[-1] == b"\\u03bb"
