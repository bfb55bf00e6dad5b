"""`depthcue guide`: every guide is there, formatted for a terminal and plain for a pipe."""

import io
import re
import sys

import pytest

from depthcue.cli.about import GUIDES, guide_text
from depthcue.cli.main import main


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_topics_are_listed_and_each_has_a_guide(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["guide"]) == 0
    listed = capsys.readouterr().out
    for topic, about in GUIDES.items():
        assert topic in listed and about in listed
        assert main(["guide", topic]) == 0
        text = capsys.readouterr().out
        # plain text: what stands in the file, without markers and colours
        assert text.startswith("# ") and "<!--" not in text and "\x1b" not in text
        assert len(text) > 500 and text.count("```") % 2 == 0


def test_a_terminal_gets_headings_and_tables_instead_of_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["guide", "networks"]) == 0
    assert "\x1b[1" in terminal.getvalue()
    shown = re.sub(r"\x1b\[[\d;]*m", "", terminal.getvalue())
    assert "```" not in shown and "|---|" not in shown and "python:MODULE:FUNCTION" in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("typed, meant", [("mask", "masks"), ("onnx", "export"), ("netwroks", "networks"),
                                          ("tensorrt", "export")])
def test_did_you_mean(typed: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["guide", typed]) == 1
    assert f"Did you mean {meant}?" in capsys.readouterr().err


def test_a_topic_like_nothing_lists_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["guide", "zzz"]) == 1
    told = capsys.readouterr().err
    assert "Did you mean" not in told and all(topic in told for topic in GUIDES)


def test_names_of_files_do() -> None:
    assert guide_text("MASKS.md") == guide_text("masks")


@pytest.mark.parametrize("topic", GUIDES)
def test_no_word_of_a_table_is_cut_in_80_columns(topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["guide", topic]) == 0
    plain = guide_text(topic)
    assert terminal.getvalue().count("\u2026") <= plain.count("\u2026")
