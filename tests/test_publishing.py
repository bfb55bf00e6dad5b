"""A repository folder for the hub: complete, readable again, and without a path of this machine."""

import json
from pathlib import Path

import pytest
from PIL import Image
from tiny_nets import SHARES_OF_LAMBDAS, save_small_pair

import depthcue
from depthcue import DepthcueError
from depthcue.cli.main import main
from depthcue.nets import load_mask_net


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "mine"
    folder.mkdir(parents=True)
    save_small_pair(folder, keep_range=(0.05, 0.8), lambda_at=SHARES_OF_LAMBDAS)
    return folder


def front_matter(readme: str) -> dict[str, object]:
    _, matter, _ = readme.split("---\n", 2)
    return {key: json.loads(value) for key, value in (line.split(": ", 1) for line in matter.splitlines())}


def test_a_run_becomes_a_repository(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "repository"
    files = depthcue.publish(run, out, name="me/rooms", device="cpu")
    assert sorted(path for path in out.rglob("*") if path.is_file()) == sorted(files)
    assert {"mask.safetensors", "mask.json", "README.md", "LICENSE"} <= {file.name for file in files}
    examples = [file for file in files if file.suffix == ".png"]
    readme = (out / "README.md").read_text()
    assert len(examples) == 3 and all(f"(examples/{file.name})" in readme for file in examples)
    assert all(min(Image.open(file).size) > 100 for file in examples)
    assert front_matter(readme)["license"] == "mit" and front_matter(readme)["library_name"] == "depthcue"
    assert 'depthcue.load("me/rooms"' in readme and "hub:me/rooms" in readme
    for file in files:
        assert str(tmp_path).encode() not in file.read_bytes(), file
    net = load_mask_net(str(out / "mask.safetensors"))
    assert net.card["sha256"] == load_mask_net(str(run / "mask.safetensors")).card["sha256"]
    assert net.card["sha256"] in readme


def test_pictures_of_ones_own_are_shown(run: Path, tmp_path: Path) -> None:
    Image.new("RGB", (80, 60), (200, 90, 40)).save(tmp_path / "own.png")
    files = depthcue.publish(run, tmp_path / "out", pictures=[tmp_path / "own.png"], device="cpu")
    assert [file.name for file in files if file.suffix == ".png"] == ["1_panel.png"]
    assert "OWNER/NAME" in (tmp_path / "out" / "README.md").read_text()


def test_a_target_that_is_not_here_leaves_depths_out(run: Path, tmp_path: Path) -> None:
    (run / "depth.safetensors").unlink()
    files = depthcue.publish(run, tmp_path / "out", device="cpu")
    assert {file.name for file in files if file.suffix == ".png"} == {f"{n}_overlay.png" for n in (1, 2, 3)}


def test_a_licence_has_to_be_known(run: Path, tmp_path: Path) -> None:
    card = json.loads((run / "mask.json").read_text())
    card["description"]["licence"] = "unknown"
    (run / "mask.json").write_text(json.dumps(card))
    with pytest.raises(DepthcueError, match="licence"):
        depthcue.publish(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    for given, front in (("apache-2.0", "apache-2.0"), ("For research alone.", "other")):
        out = tmp_path / front
        depthcue.publish(run, out, licence=given, device="cpu")
        assert front_matter((out / "README.md").read_text())["license"] == front
        assert load_mask_net(str(out / "mask.safetensors")).description.licence.lower().startswith(given.lower())


@pytest.mark.parametrize(("made", "says"), [
    (lambda run: run.parent, "there is no"), (lambda run: run / "depth.safetensors", "mask net is published"),
    (lambda run: run / "mask.json", "no .safetensors"),
])
def test_what_cannot_be_published(run: Path, tmp_path: Path, made: object, says: str) -> None:
    with pytest.raises(DepthcueError, match=says):
        depthcue.publish(made(run), tmp_path / "out")  # type: ignore[operator]


def test_folders_with_files_and_wrong_names_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DepthcueError, match="already"):
        depthcue.publish(run, run)
    with pytest.raises(DepthcueError, match="OWNER/NAME"):
        depthcue.publish(run, tmp_path / "out", name="rooms")


def test_the_command(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["publish", str(run), "--out", str(tmp_path / "out"), "--name", "me/rooms", "--device", "cpu"])
    assert status == 0 and "hf upload me/rooms" in "".join(capsys.readouterr())
    assert (tmp_path / "out" / "README.md").exists()
    assert main(["publish", str(run), "--out", str(tmp_path / "out")]) == 1


def test_a_licence_given_takes_the_place_of_the_cards_with_a_warning(run: Path, tmp_path: Path,
                                                                     caplog: pytest.LogCaptureFixture) -> None:
    card = json.loads((run / "mask.json").read_text())
    card["description"]["licence"] = "CC BY-NC-SA 3.0, for research."
    (run / "mask.json").write_text(json.dumps(card))
    depthcue.publish(run, tmp_path / "out", licence="mit", device="cpu")
    assert "CC BY-NC-SA 3.0, for research." in caplog.text
    assert (tmp_path / "out" / "LICENSE").read_text().count("MIT")


@pytest.mark.parametrize("name", ["fastdepth", "general"])
def test_shipped_mask_nets_of_other_networks_are_published_without_a_placeholder(name: str, tmp_path: Path) -> None:
    depthcue.publish(name, tmp_path / "out", device="cpu", pictures=[Image.new("RGB", (96, 96), (200, 90, 40))])
    readme = (tmp_path / "out" / "README.md").read_text()
    assert ":PATH" not in readme
    if name == "fastdepth":
        assert "an ONNX graph (sha256 " in readme
        assert "--target onnx:FILE,takes=rgb,predicts=metric" in readme
