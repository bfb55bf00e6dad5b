"""What a person sees of names that come from outside."""

import json
import logging

import pytest

from depthcue.cli.console import configure, print_json, print_table, say, say_error
from depthcue.errors import DepthcueError

EVIL = "a\x1b]0;title\x07[/red]\udcff\nerror: b.png"


def test_names_command_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    configure(quiet=False, verbose=False)
    say_error(DepthcueError(f"{EVIL} cannot be read, rtsp://me:secret@host/x?secret", f"look at {EVIL}"))
    logging.getLogger("depthcue").warning("left out %s of %s", EVIL, "rtsp://me:secret@host/x")
    print_table(f"of {EVIL}", ["name", "n"], [[EVIL, "1"]])
    say(EVIL)
    print_json({"name": EVIL})
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err and "\x07" not in out + err and "secret" not in err
    assert r"\x1b]0;title\x07[/red]\udcff" in err and r"\x1b]0;title\x07[/red]\udcff" in out
    assert not any(line.startswith("error: b.png") for line in (out + err).splitlines())
    assert json.loads(out[out.index("{"):])["name"] == EVIL
