"""What a newcomer types wrong: each is told with an exit status, what is allowed, and no traceback."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from depthcue.cli.main import _unlisted, main


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a photograph, and with what is none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (64, 96, 3), np.uint8)).save("room.jpg")
    Image.fromarray(rng.integers(500, 9000, (64, 96)).astype(np.uint16)).save("far.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "pictures").mkdir()
    for number in range(3):
        Image.open("room.jpg").save(f"pictures/{number}.png")
    (tmp_path / "words.txt").write_text("no picture")
    (tmp_path / "words.mp4").write_text("no video")
    torch.save(torch.nn.Linear(2, 2), "whole.pth")
    torch.save({"a.weight": torch.zeros(3)}, "foreign.pth")
    return tmp_path


@pytest.mark.parametrize(("typed", "status", "named"), [
    ("msk room.jpg --out o", 2, ["mask"]),
    ("mask room.jpg --otu o", 2, ["--out"]),
    ("mask room.jpg", 2, ["--out", "DIR", "older"]),
    ("mask --out o", 2, ["SOURCE", "ictures", "ideos"]),
    ("mask room.jpg --weights compact-indor --out o", 1, ["Did you mean compact-indoor?", "compact-road"]),
    ("mask room.jpg --target nosuch --out o", 1, ["nosuch", "compact-indoor", "hf:", "python:"]),
    ("mask room.jpg --target hf:./nothere --out o", 1, ["./nothere", "config.json"]),
    ("mask room.jpg --weights foreign.pth --out o", 1, ["foreign.pth", "NAME:PATH"]),
    ("mask room.jpg --target whole.pth --out o", 1, ["whole.pth", "state_dict()", "python:"]),
    ("mask nothere.jpg --out o", 1, ["nothere.jpg"]),
    ("mask empty --out o", 1, ["empty", ".jpg", ".mp4"]),
    ("mask words.txt --out o", 1, ["words.txt", ".jpg", ".mp4"]),
    ("mask words.mp4 --out o", 1, ["words.mp4", "mp4"]),
    ("mask room.jpg --keep 20 --out o", 1, ["--keep 0.2"]),
    ("mask room.jpg --keep 20% --out o", 2, ["--keep", "'20%'", "above 0 and below 1"]),
    ("mask room.jpg --keep=20% --out o", 2, ["--keep", "'20%'", "above 0 and below 1"]),
    ("mask room.jpg --batch-size 0 --out o", 2, ["--batch-size", "'0'", "1"]),
    ("mask room.jpg --save overlay,panle --out o", 1, ["Did you mean panel?", "points"]),
    ("mask room.jpg --style heet --out o", 1, ["Did you mean heat?", "contour"]),
    ("mask room.jpg --backend cuda --out o", 1, ["--device cuda", "torch"]),
    ("compare-edges --data scene:indoor --out o", 1, ["Did you mean scenes:indoor?", "nyu:", "kitti:", "folder:"]),
    ("compare-edges --data folder:room.jpg --share 20 --out o", 2, ["--share"]),
    ("compare-edges --data folder:pictures --keep 20 --out o", 1, ["--keep 0.2"]),
    ("probe shadng --target compact-road --out o", 1, ["Did you mean shading?"]),
    ("train --data folder:empty", 2, ["--target", "NET", "hf:", "python:"]),
    ("train --target compact-indoor --data folder:empty --steps few --out o", 2, ["--steps", "'few'"]),
    ("guide maks", 1, ["Did you mean masks?", "training"]),
])
def test_a_mistake_is_an_error_with_what_is_allowed(typed, status, named, here, capsys):
    assert main(typed.split()) == status
    captured = capsys.readouterr()
    printed = " ".join((captured.err + captured.out).replace("│", " ").split())
    assert "Traceback" not in printed and "Input should" not in printed
    assert [word for word in named if word not in printed] == []
    assert not list(here.glob("o/*_mask.png"))


def test_a_comma_of_a_folder_that_is_there_parts_no_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "we,ird").mkdir()
    given = ["--data", "folder:we,ird,size=64x48", "--data=folder:a,folder:b"]
    assert _unlisted(given, {"--data"}) == ["--data", "folder:we,ird,size=64x48", "--data", "folder:a", "--data",
                                            "folder:b"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_stdout_is_an_error_in_one_sentence() -> None:
    for words in (["guide", "masks"], ["probe", "--list"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run([sys.executable, "-m", "depthcue", *words], stdout=full, stderr=subprocess.PIPE,
                                  text=True, timeout=120)
        assert done.returncode == 1 and "Traceback" not in done.stderr and "No space left" in done.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_an_error(here, capsys):
    assert main("mask room.jpg --device cuda --out o".split()) == 1
    printed = capsys.readouterr().err
    assert "--device cpu" in printed and "doctor" in printed


def test_a_depth_map_is_masked_with_a_warning_and_left_out_beside_its_photograph(here, capsys):
    assert main("mask far.png --out o".split()) == 0
    assert "far.png is grey with 16 bits" in capsys.readouterr().err and (here / "o" / "far_mask.png").exists()
    (here / "nyu").mkdir()
    (here / "room.jpg").rename(here / "nyu" / "1.jpg")
    (here / "far.png").rename(here / "nyu" / "1.png")
    assert main("mask nyu --out p".split()) == 0
    assert [path.name for path in (here / "p").glob("*_mask.png")] == ["1_mask.png"]
    printed = capsys.readouterr().err
    assert "1.png" in printed and "16 bits" in printed


def test_weights_for_another_net_are_errors_with_the_remedy(here, capsys):
    assert main("mask room.jpg --weights compact-road --target compact-indoor --out o".split()) == 0
    printed = " ".join(capsys.readouterr().err.split())
    assert "compact-road" in printed and "--weights compact-indoor" in printed
