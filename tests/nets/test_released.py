"""Mask nets of the hub, fetched from a stand-in on this machine that answers as the hub does."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from tiny_nets import SHARES_OF_LAMBDAS, save_small_pair

import depthcue
from depthcue.cli.main import main
from depthcue.errors import DepthcueError
from depthcue.nets import load_depth_net, load_mask_net
from depthcue.nets.released import names_repository

COMMIT = {"main": "a" * 40, "v1": "b" * 40}


class Hub:
    """Repositories as folders: ROOT/OWNER/NAME/REVISION/FILE; what was asked for is noted."""

    def __init__(self, root: Path) -> None:
        self.root, self.asked = root, []  # type: ignore[var-annotated]
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                hub.answer(self, body=False)

            def do_GET(self) -> None:
                hub.answer(self, body=True)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler, body: bool) -> None:
        owner, name, _, revision, file = request.path.lstrip("/").split("/", 4)
        self.asked.append(f"{owner}/{name}@{revision}:{file}")
        repository = self.root / owner / name
        branch = next((key for key, commit in COMMIT.items() if revision in (key, commit)), None)
        path = repository / str(branch) / file
        missing = ("RepoNotFound" if not repository.is_dir() else "RevisionNotFound"
                   if branch is None or not path.parent.is_dir() else "EntryNotFound" if not path.is_file() else None)
        if missing is not None:
            request.send_response(404)
            request.send_header("X-Error-Code", missing)
            request.send_header("X-Repo-Commit", COMMIT.get(str(branch), "c" * 40))
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        content = path.read_bytes()
        request.send_response(200)
        request.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        request.send_header("X-Repo-Commit", COMMIT[str(branch)])
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if body:
            request.wfile.write(content)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    from huggingface_hub import constants

    hub = Hub(tmp_path / "hub")
    address = f"http://127.0.0.1:{hub.server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE",
                        address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield hub
    hub.server.shutdown()
    hub.server.server_close()


def put(hub: Hub, name: str, revision: str = "main", seed_card: dict[str, object] | None = None) -> Path:
    """Put a small mask net into a repository of the stand-in."""
    folder = hub.root / name / revision
    folder.mkdir(parents=True)
    save_small_pair(folder, keep_range=(0.05, 0.8), lambda_at=SHARES_OF_LAMBDAS)
    card = json.loads((folder / "mask.json").read_text()) | (seed_card or {})
    (folder / "mask.json").write_text(json.dumps({key: value for key, value in card.items() if value is not None}))
    return folder


def test_a_published_net_is_fetched_once_with_its_card(hub: Hub, tmp_path: Path) -> None:
    folder = put(hub, "somebody/rooms")
    net = load_mask_net("hub:somebody/rooms")
    assert net.description.name == "small" and net.card["sha256"] == json.loads(
        (folder / "mask.json").read_text())["sha256"]
    assert hub.asked and all(COMMIT["main"] in each for each in hub.asked if each.endswith("mask.safetensors"))
    hub.server.shutdown()
    hub.server.server_close()  # no connection any more: what was fetched is there
    picture = np.zeros((40, 50, 3), np.uint8)
    masker = depthcue.load("somebody/rooms", device="cpu")
    np.testing.assert_array_equal(masker(picture, keep=0.2).mask,
                                  depthcue.load(net, device="cpu")(picture, keep=0.2).mask)


def test_a_revision_is_the_one_asked_for(hub: Hub) -> None:
    put(hub, "somebody/rooms")
    old = put(hub, "somebody/rooms", "v1", {"licence": "old"})
    assert load_mask_net("hub:somebody/rooms@v1").card.get("licence") == "old"
    assert load_mask_net("hub:somebody/rooms").card.get("licence") != "old" and old.exists()


@pytest.mark.parametrize(("spec", "says"), [
    ("hub:somebody/nothing", "no repository"), ("hub:somebody/rooms@v7", "no revision v7"),
    ("hub:somebody/empty", "no mask net"), ("hub:rooms", "OWNER/NAME"), ("hub:somebody/rooms:entry", "torch.hub"),
    ("hub:", "OWNER/NAME"), ("hub:../../etc/passwd", "OWNER/NAME"),
])
def test_what_is_not_there_is_told_apart(hub: Hub, spec: str, says: str) -> None:
    put(hub, "somebody/rooms")
    (hub.root / "somebody/empty/main").mkdir(parents=True)
    with pytest.raises(DepthcueError, match=says):
        load_mask_net(spec)


def test_weights_that_are_not_the_cards_are_refused(hub: Hub) -> None:
    folder = put(hub, "somebody/changed")
    weights = folder / "mask.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\1\0")
    with pytest.raises(DepthcueError, match="sha256"):
        load_mask_net("hub:somebody/changed")
    put(hub, "somebody/unstated", seed_card={"sha256": None})
    with pytest.raises(DepthcueError, match="sha256"):
        load_mask_net("hub:somebody/unstated")


def test_without_a_connection_it_is_said(hub: Hub) -> None:
    hub.server.shutdown()
    hub.server.server_close()
    with pytest.raises(DepthcueError, match="cannot be"):
        load_mask_net("hub:somebody/rooms")


def test_a_published_net_is_no_depth_net() -> None:
    with pytest.raises(DepthcueError, match="entry of torch.hub") as refused:
        load_depth_net("hub:somebody/rooms")
    assert "--weights" in str(refused.value.hint)


def test_names_of_repositories_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "there").mkdir(parents=True)
    assert names_repository("somebody/rooms") and names_repository("somebody/rooms@v1")
    for path in ("runs/there", "compact-indoor", "runs/mask.safetensors", "/a/b", "a/b/c", "drn22:a/b", "a/b.onnx"):
        assert not names_repository(path), path


def test_the_command_takes_it(hub: Hub, tmp_path: Path) -> None:
    from PIL import Image

    put(hub, "somebody/rooms")
    Image.new("RGB", (50, 40), (90, 120, 40)).save(tmp_path / "one.png")
    status = main(["mask", str(tmp_path / "one.png"), "--weights", "hub:somebody/rooms", "--out", str(tmp_path / "out"),
                   "--save", "mask", "--device", "cpu", "--quiet"])
    assert status == 0 and (tmp_path / "out" / "one_mask.png").exists()
