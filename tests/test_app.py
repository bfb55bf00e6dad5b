"""`depthcue app` in headless Chromium: pictures go through, the slider moves them, nothing leaves the machine."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from test_architecture import PACKAGE, RECORDER

from depthcue.cli.main import main
from depthcue.nets import build_depth_net, build_mask_net
from depthcue.nets.checkpoint import save_net

pytest.importorskip("gradio", reason="gradio is not installed")
webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None or DRIVER is None,
                                                   reason="chromium and its driver are not installed")]
PATIENCE_S = 400
"""On a machine that is busy with other things."""


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Specs of a tiny mask net and the depth net that it names; neither has learned anything."""
    folder = tmp_path_factory.mktemp("nets")
    shape = {"height": 64, "width": 96, "config": {"widths": (4, 4, 8, 8, 8)}}
    depth, mask = folder / "n.safetensors", folder / "g.safetensors"
    save_net(build_depth_net("compact", **shape), depth, architecture="compact")
    save_net(build_mask_net("compact", lambda_range=(0.5, 6.0), target=str(depth), **shape), mask,
             architecture="compact")
    return str(mask), str(depth)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the command's process writes down whom it calls."""
    folder = tmp_path_factory.mktemp("record")
    (folder / "sitecustomize.py").write_text(RECORDER)
    return folder / "record"


@pytest.fixture(scope="module")
def address(nets: tuple[str, str], record: Path) -> Iterator[str]:
    """The page, served by the command."""
    environment = {**os.environ, "RECORD": str(record), "PYTHONUNBUFFERED": "1",
                   "PYTHONPATH": f"{record.parent}{os.pathsep}{PACKAGE.parent}"}
    command = [sys.executable, "-m", "depthcue.cli", "app", "--no-browser", "--weights", nets[0], "--device", "cpu"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()  # type: ignore[union-attr]
        words = [word for word in line.split() if word.startswith("http://127.0.0.1:")]
        assert words, f"the command said {line!r}"
        yield words[0]
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(60) == 0
        finally:
            process.kill()  # a test that fails ends all the same


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync",
                     "disable-background-networking", "disable-component-update", "disable-dev-shm-usage",
                     "window-size=1280,1400", f"user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(PATIENCE_S)
    driver.set_page_load_timeout(PATIENCE_S)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(browser: Any, address: str) -> Any:
    """The browser with the page open."""
    browser.get(address)
    _until(browser, lambda: _find(browser, "#share input[type=range]"))
    return browser


@pytest.fixture
def picture(tmp_path: Path) -> str:
    pixels = np.random.default_rng(3).integers(0, 256, (96, 144, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((288, 192)).save(tmp_path / "picture.png")
    return str(tmp_path / "picture.png")


def _find(browser: Any, selector: str) -> list[Any]:
    return browser.find_elements("css selector", selector)


def _until(browser: Any, true: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if answer := true():
            return answer
        time.sleep(0.2)
    raise AssertionError(f"waited in vain before: {_text(browser, 'body')[:2000]}")


def _text(browser: Any, selector: str) -> str:
    return str(browser.execute_script("return document.querySelector(arguments[0])?.innerText ?? ''", selector))


def _source(browser: Any, name: str) -> str:
    return str(browser.execute_script("return document.querySelector(`#${arguments[0]} img`)?.src ?? ''", name))


def _slide(browser: Any, name: str, value: float) -> None:
    browser.execute_script("""
        const slider = document.querySelector(`#${arguments[0]} input[type=range]`);
        slider.value = arguments[1];
        for (const kind of ["input", "change", "pointerup"]) slider.dispatchEvent(new Event(kind, { bubbles: true }));
        """, name, value)


def _tab(browser: Any, label: str) -> None:
    browser.execute_script("""
        [...document.querySelectorAll("button[role=tab]")].find(
          (tab) => tab.textContent.trim() === arguments[0]).click()""", label)


def _upload(browser: Any, name: str, path: str) -> None:
    _until(browser, lambda: _find(browser, f"#{name} input[type=file]"))[0].send_keys(path)


def _snapshot(browser: Any, name: str) -> None:
    """Keep a screenshot where DEPTHCUE_SCREENSHOTS names a folder."""
    if folder := os.environ.get("DEPTHCUE_SCREENSHOTS"):
        time.sleep(2)  # until all has been laid out
        browser.save_screenshot(str(Path(folder) / f"{name}.png"))


def test_a_picture_goes_through_and_the_slider_moves_it(page: Any, picture: str) -> None:
    _upload(page, "picture-input", picture)
    _until(page, lambda: "20.0% of the pixels are kept" in _text(page, "#sentence"))
    names = ("overlay", "mask", "shown", "depth", "seen", "difference")
    _until(page, lambda: all(_source(page, name) for name in names))
    before = {name: _source(page, name) for name in names}
    assert len(set(before.values())) == 6
    _snapshot(page, "picture")
    _slide(page, "share", 0.5)
    _until(page, lambda: "50.0% of the pixels are kept" in _text(page, "#sentence"))
    _until(page, lambda: _source(page, "shown") != before["shown"])
    # half of the pixels are as they were, the others have the one colour that hides
    pixels = np.asarray(page.execute_async_script("""
        const done = arguments[0], image = document.querySelector("#shown img");
        image.decode().then(() => {
          const canvas = document.createElement("canvas");
          [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
          const context = canvas.getContext("2d");
          context.drawImage(image, 0, 0);
          done([...context.getImageData(0, 0, canvas.width, canvas.height).data]);
        });""")).reshape(-1, 4)[:, :3]
    colours, counts = np.unique(pixels, axis=0, return_counts=True)
    assert len(pixels) == 288 * 192 and counts.max() / len(pixels) == pytest.approx(0.5, abs=0.02)
    assert colours[counts.argmax()] == pytest.approx([124, 116, 104], abs=1)
    page.execute_script("document.querySelector('#make-files').click()")
    _until(page, lambda: "depth_from_kept" in _text(page, "#files") and "overlay" in _text(page, "#files"))


def test_two_networks_side_by_side(page: Any, picture: str, nets: tuple[str, str]) -> None:
    _tab(page, "Two networks")
    _upload(page, "pair-input", picture)
    _until(page, lambda: "by chance it would be 20%" in _text(page, "#overlap"))
    tiles = [f"{side}-{name}" for side in ("left", "right") for name in ("kept", "depth", "seen")]
    _until(page, lambda: all(_source(page, name) for name in tiles))
    assert _source(page, "left-kept") != _source(page, "right-kept")
    _snapshot(page, "pair")


def test_a_video_is_masked(page: Any, tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "short.mp4"), "w") as file:
        stream = file.add_stream("libx264", rate=5, width=96, height=64, pix_fmt="yuv420p")
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 60 * number, np.uint8), format="rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    _tab(page, "Video")
    _upload(page, "video-input", str(tmp_path / "short.mp4"))
    _until(page, lambda: "short" in _text(page, "#video-input"))
    page.execute_script("document.querySelector('#video-start').click()")
    _until(page, lambda: "3 frames in" in _text(page, "#video-sentence"))
    _until(page, lambda: "overlay" in _text(page, "#video-files"))
    assert "20.0% of the pixels kept" in _text(page, "#video-sentence")


def test_a_profile_is_measured(page: Any) -> None:
    _tab(page, "Cue profile")
    _until(page, lambda: _find(page, "#experiments label"))
    page.execute_script("""
        for (const label of document.querySelectorAll("#experiments label")) {
          const box = label.querySelector("input");
          if (box.checked !== (label.textContent.trim() === "occlusion")) box.click();
        }""")
    _slide(page, "cases", 1)
    page.execute_script("document.querySelector('#probe-start').click()")
    _until(page, lambda: "compact-indoor" in _text(page, "#profile-sentences"))
    _until(page, lambda: "results" in _text(page, "#profile-files"))


def test_a_profile_from_a_file(page: Any) -> None:
    results = PACKAGE.parent / "benchmarks" / "results" / "probe-compact-indoor.json"
    _tab(page, "Cue profile")
    _upload(page, "probe-results", str(results))
    _until(page, lambda: len(_find(page, "#plots img")) > 5)
    assert "compact-indoor" in _text(page, "#profile-sentences")
    _snapshot(page, "profile")


def test_a_mistake_is_told_on_the_page(page: Any) -> None:
    _tab(page, "Cue profile")
    page.execute_script("""
        for (const box of document.querySelectorAll("#experiments input")) if (box.checked) box.click();
        document.querySelector("#probe-start").click()""")
    _until(page, lambda: "no experiment was chosen" in _text(page, "body"))


def test_it_was_silent_and_nothing_left_the_machine(page: Any, record: Path) -> None:
    """Last: over all that the other tests have done."""
    said = [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"]
    assert said == []
    asked = []
    for entry in page.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.append(message["params"]["request"]["url"])
    assert len(asked) > 20
    # the browser's own first page is chrome:// and no request to anywhere
    assert {urlsplit(url).hostname for url in asked if urlsplit(url).scheme in ("http", "https", "ws", "wss")} == {
        "127.0.0.1"}
    called = record.read_text().splitlines() if record.exists() else []
    assert [line for line in called if "127.0.0.1" not in line and "localhost" not in line] == []


def test_a_port_that_is_taken(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["app", "--no-browser", "--port", str(urlsplit(address).port)]) == 1
    assert "--port" in capsys.readouterr().err
