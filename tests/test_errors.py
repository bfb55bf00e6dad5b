"""A mistake within a larger one keeps its hint; and text from outside, as it may be shown."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from depthcue.errors import (
    DepthcueError,
    argument,
    file_label,
    must_be_one_of,
    one_line,
    printable,
    printable_json,
    shown,
    without_password,
    without_secrets,
)
from depthcue.evaluation.viewing import load_pair
from depthcue.export.onnx import export_onnx
from depthcue.files import cache_folder, cached_file
from depthcue.nets import DepthDescription, DepthNet, build_mask_net, load_depth_net
from depthcue.nets.checkpoint import save_net


def test_a_mistake_within_a_larger_one_keeps_its_hint() -> None:
    inner = DepthcueError("no weights", "Download them.")
    assert str(inner.within("the net", "Or give another.")) == "the net: no weights\nDownload them. Or give another."
    assert str(inner.within("the net")) == "the net: no weights\nDownload them."
    assert str(DepthcueError("no weights").within("the net", "Give another.")) == "the net: no weights\nGive another."
    assert DepthcueError("no weights").within("the net").hint is None


def test_a_word_that_an_option_does_not_take_is_named_with_those_it_takes() -> None:
    mistake = must_be_one_of("--style", ("kept", "heat"), "heet")
    assert str(mistake) == "--style must be one of kept, heat, got 'heet'\nDid you mean heat? Choose one of these."
    assert must_be_one_of("--style", ("kept", "heat"), 7, "Leave it out.").hint == "Leave it out."


def test_a_target_that_does_not_load_says_what_to_do_about_it(tmp_path: Path) -> None:
    net = build_mask_net("compact", config={"widths": (4, 4, 8, 8, 8), "detail": 4}, target="drn22:nowhere.pth")
    save_net(net, tmp_path / "mask.safetensors", architecture="compact")
    with pytest.raises(DepthcueError) as caught:
        load_pair(str(tmp_path / "mask.safetensors"), None, "cpu")
    assert "--target takes a depth net, --weights a mask net" in str(caught.value.hint)
    assert "another with --target" in str(caught.value.hint)


def test_a_factory_that_knows_what_to_do_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    Path("factory_with_a_hint.py").write_text(
        "from depthcue.errors import DepthcueError\n\n\ndef net():\n"
        "    raise DepthcueError('no weights here', 'Run fetch.sh first.')\n")
    with pytest.raises(DepthcueError, match="no weights here\nRun fetch.sh first. The factory is called without"):
        load_depth_net("python:factory_with_a_hint:net")


class Refusing(DepthNet):
    """Works on no picture."""

    def forward(self, normalised: Tensor) -> Tensor:
        raise DepthcueError("no picture is good enough", "Clean the lens.")


def test_a_net_that_refuses_to_be_written_says_why(tmp_path: Path) -> None:
    picture = torch.zeros(32, 32, 3, dtype=torch.uint8).numpy()
    with pytest.raises(DepthcueError, match="no picture is good enough(.|\n)*Clean the lens."):
        export_onnx(Refusing(DepthDescription("refusing", 32, 32, 8)), tmp_path / "net.onnx", [picture])


@pytest.mark.parametrize(("address", "shown"), [
    ("rtsp://me:secret@cam.local:554/live?token=secret#secret", "rtsp://cam.local:554/live"),
    ("rtsp://me:se/secret@cam.local/live", "rtsp://cam.local/live"),
    ("rtsp://me:se@secret@cam.local/live", "rtsp://cam.local/live"),
    ("http://cam.local/a;secret=1/b", "http://cam.local/a"), ("s3://KEY:secret/x@bucket/p", "s3://bucket/p"),
    ("rtsp://me:a?secret@cam.local/live", "rtsp://…"), ("https://cam.local/x?mail=me@secret.org&k=secret", "https://…"),
    ("rtsp://me:secret", "rtsp://…"), ("rtsp://[secret/x", "rtsp://…"), ("http://cam.local:secret/x", "http://…"),
    ("rtsp:/me:secret@cam.local/live", "rtsp:…"), ("RTSP:me:secret@cam.local", "RTSP:…"),
    ("https:\\\\me:secret@cam.local\\x", "https:…"), ("//me:secret@cam.local/live", "…"),
    ("me:secret@cam.local:554/live", "…"), ("me:secret@[::1]/live", "…"), ("me:secret@localhost", "…"),
    ("folder:s3://KEY:secret@bucket/p", "folder:s3://bucket/p"),
    ("//server/photos/me@home.jpg", "//server/photos/me@home.jpg"), ("10:30.mp4", "10:30.mp4"),
    ("rtsp://[::1]:8554/live", "rtsp://[::1]:8554/live"), ("s3://bucket/a b.jpg", "s3://bucket/a b.jpg"),
    ("room@home.jpg", "room@home.jpg"), ("compact:/nets/a@b", "compact:/nets/a@b"), ("run:1", "run:1"), ("", ""),
])
def test_of_an_address_only_what_all_may_see(address: str, shown: str) -> None:
    assert without_password(address) == shown
    assert without_password(shown) == shown
    assert "secret" not in without_secrets(f"no answer from {address}", address) + argument(f"--out={address}")


def test_words_of_a_command_line() -> None:
    assert argument("rtsp://me:my pass word@cam.local/x") == "rtsp://cam.local/x"
    assert argument("--data=folder:/a/b") == "--data=folder:/a/b" and argument("a=b.png") == "a=b.png"


def test_what_a_library_says_of_an_address() -> None:
    said = without_secrets("cannot open key 'KEY:secret' of bucket", "s3://KEY:secret@bucket/p")
    assert "secret" not in said and "cannot open" in said


@pytest.mark.parametrize("unseen", ["\x1b[2J", "\r", "\x07", "\x9b31m", "\x7f", "\u202e", "\ud83d", "\u2028"])
def test_what_commands_a_terminal_is_written_out(unseen: str) -> None:
    for seen in (printable(f"a{unseen}.png"), one_line(f"a{unseen}.png"), printable_json(f'"a{unseen}.png"')):
        assert unseen[0] not in seen and f"{ord(unseen[0]):x}" in seen
        seen.encode()


def test_a_byte_of_a_name_that_is_not_utf8_is_written_out() -> None:
    name = "caf\udce9é.jpg"
    assert shown(name) == printable(name) == one_line(name) == "caf\\xe9é.jpg"


def test_a_name_makes_no_line_of_its_own() -> None:
    assert printable("a\nerror: b\tc") == "a\n  error: b\tc" and one_line("a\nb\tc") == "a\\nb\\tc"


@pytest.mark.parametrize("name", ["../../etc/x", "/etc/x", "a/b", "..", ".", "", "a\0b", "C:\\x", "\u202eexe.png",
                                  "a" * 999, "~", ".ssh"])
def test_a_name_from_a_card_stays_in_the_cache(name: str) -> None:
    label = file_label(name)
    assert label and "/" not in label and "\\" not in label and not label.startswith(".") and len(label) <= 80
    path = cached_file("graphs", "facts", name, ".onnx")
    assert path.parent == cache_folder() / "graphs" and path.resolve().parent == path.parent.resolve()
    assert path != cached_file("graphs", "other facts", name, ".onnx")
    assert file_label("compact-indoor_2.1") == "compact-indoor_2.1"
