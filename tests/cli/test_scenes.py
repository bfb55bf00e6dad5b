"""`depthcue scenes`."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from depthcue.cli.main import main
from depthcue.data import open_data
from depthcue.scenes import render


def test_a_set_on_disk_is_what_was_rendered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenes", "indoor", "--out", str(tmp_path), "--count", "3", "--size", "64x48", "--seed", "5",
                 "--truth", "--device", "cpu", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "scenes.json").read_text())
    assert (printed["kind"], printed["count"], printed["width"], printed["height"]) == ("indoor", 3, 64, 48)
    pairs = list(csv.reader((tmp_path / "indoor.csv").read_text().splitlines()))
    assert pairs[1] == ["indoor/000006.png", "indoor/000006_depth.png"] and len(pairs) == 3
    expected = render("indoor", [6], 48, 64)
    rgb, depth = np.asarray(Image.open(tmp_path / pairs[1][0])), np.asarray(Image.open(tmp_path / pairs[1][1]))
    assert rgb.shape == (48, 64, 3) and depth.dtype == np.uint16
    assert np.abs(rgb / 255 - expected.rgb[0].permute(1, 2, 0).numpy()).max() < 0.51 / 255
    assert np.abs(depth / 1000 - expected.depth_m[0, 0].numpy()).max() < 0.00051
    with np.load(tmp_path / "indoor" / "000006_truth.npz") as truth:
        assert np.array_equal(truth["depth_m"], expected.depth_m[0, 0].numpy())
        assert np.array_equal(truth["edge_crease"], expected.edges["crease"][0, 0].numpy())
        assert truth["object_names"][truth["object_id"][-1, 32]] == expected.objects[0][
            int(expected.object_id[0, 0, -1, 32])].name
        assert truth["vanishing_point"].shape == (2,) and truth["horizon_row"].shape == ()
    assert not list(tmp_path.rglob(".depthcue-*"))


def test_the_data_room_reads_it(tmp_path: Path) -> None:
    assert main(["scenes", "road", "--out", str(tmp_path), "--count", "2", "--size", "128x40", "-q"]) == 0
    assert len(open_data(f"nyu:{tmp_path / 'road.csv'}", "test")) == 2
    as_folder = open_data(f"folder:{tmp_path / 'road'}", "test", (40, 128))
    assert len(as_folder) == 2 and as_folder.has_depth
    frames = as_folder.frames([0])
    assert frames.valid is not None and not frames.valid.all()  # sky


@pytest.mark.parametrize(("arguments", "status", "words"), [
    (["garden", "--count", "1"], 1, "indoor, road"), (["indoor", "--count", "0"], 2, "--count"),
    (["indoor", "--count", "1", "--size", "64"], 2, "WIDTHxHEIGHT")])
def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int,
                  words: str) -> None:
    assert main(["scenes", *arguments, "--out", str(tmp_path / "new")]) == status
    assert words in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_file_in_place_of_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["scenes", "indoor", "--count", "1", "--size", "32x24", "--out", str(tmp_path / "file")]) == 1
    assert "is not a folder" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tmp_path.chmod(0o500)
    try:
        assert main(["scenes", "indoor", "--count", "1", "--size", "32x24", "--out", str(tmp_path / "new")]) == 1
    finally:
        tmp_path.chmod(0o700)
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="signals are Unix's")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_ended_by_a_signal_it_leaves_no_half_written_file(tmp_path: Path, number: int, status: int) -> None:
    # a runner may have been told to ignore the signal, which a command obeys
    code = (f"import signal, sys, time\nsignal.signal({int(number)}, signal.SIG_DFL)\n"
            "from depthcue.scenes import api\nfrom depthcue.cli.main import main\n"
            "class Slow:\n"
            "    @staticmethod\n"
            "    def fromarray(pixels):\n"
            "        return Slow()\n"
            "    def save(self, partial, **options):\n"
            "        partial.write_bytes(b'half'), print('writing', flush=True), time.sleep(60)\n"
            "api.Image = Slow\n"
            f"sys.exit(main(['scenes', 'indoor', '--out', {str(tmp_path / 'out')!r}, '--count', '2', '--size', '64x48',"
            " '--device', 'cpu']))\n")
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "writing\n"
    assert len(list((tmp_path / "out" / "indoor").iterdir())) == 1
    process.send_signal(number)
    assert process.wait(60) == status and list((tmp_path / "out" / "indoor").iterdir()) == []
