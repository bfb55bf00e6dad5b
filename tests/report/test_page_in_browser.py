"""The page in headless Chromium: it loads in silence, its sliders move its pictures, and it fits a phone."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gallery_results import MEANS, SIZE, results_folder
from PIL import Image

from depthcue.report.page import SECTIONS, write_page
from depthcue.report.section import Picture, Section
from depthcue.report.tables import Table

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="chromium and its driver are not installed")

PHONE = (390, 844)
DESKTOP = (1100, 900)
WIDE = 1800


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync",
                     "disable-background-networking", "disable-component-update", "disable-dev-shm-usage",
                     f"user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(20)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two comparisons with galleries, and of a command with a wide picture and a wide table."""
    folder = tmp_path_factory.mktemp("page")
    long_name = "a_picture_with_a_name_that_no_phone_is_wide_enough_to_show_in_one_line_0001.png"
    folders = [results_folder(folder / "rooms", stills=2),
               results_folder(folder / "roads", long_name, f"folder:/somewhere/{long_name}")]
    folders.append(folder / "bake")
    folders[-1].mkdir()
    (folders[-1] / "results.json").write_text('{"schema": 1, "command": "bake"}')
    Image.new("RGB", (WIDE, 100)).save(folders[-1] / "wide.png")
    table = Table("Loaves", tuple(f"column {number}" for number in range(30)), (("1.000",) * 30,))
    short = Table("Rolls", ("kind", "weight"), (("rye", "1"),))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SECTIONS, "bake", lambda results, place: Section(
            "Baking", ("Bread rises.",), (table, short), pictures=(Picture("wide.png", "A wide picture"),)))
        write_page(folders, folder / "page.html", mixed=True)
    for part in folders:
        shutil.rmtree(part)  # the page has to do without them
    return folder / "page.html"


def _open(browser: Any, page: Path, size: tuple[int, int] = DESKTOP, dark: bool = False) -> None:
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
        "features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})
    browser.get_log("browser")  # what was said of earlier pages
    browser.get(page.as_uri())
    _settled(browser)


def _settled(browser: Any) -> None:
    """Wait until the first gallery has drawn what it was asked for."""
    drawn = """
        const done = arguments[0], started = performance.now();
        const look = () => {
          const gallery = document.querySelector(".gallery");
          const ready = gallery.querySelector(".readout").textContent.includes(
            JSON.parse(gallery.querySelector("script").textContent).stills[
              [...gallery.querySelectorAll(".stills button")].findIndex(
                (button) => button.getAttribute("aria-pressed") === "true")
            ].steps[gallery.querySelector(".setting").value].setting);
          if (ready || performance.now() - started > 10000) setTimeout(done, 150); else setTimeout(look, 20);
        };
        look();"""
    browser.execute_async_script(drawn)


def _set(browser: Any, slider: str, value: float) -> None:
    browser.execute_script("""
        const slider = document.querySelector(".gallery ." + arguments[0]);
        slider.value = arguments[1];
        slider.dispatchEvent(new Event("input", { bubbles: true }));""", slider, value)
    _settled(browser)


def _switch(browser: Any, pane: int, view: str) -> None:
    browser.execute_script("document.querySelectorAll('.gallery .pane')[arguments[0]]"
                           ".querySelector(`[value=${arguments[1]}]`).click()", pane, view)
    _settled(browser)


def _colour(browser: Any, pane: int, x: float, y: float = 0.5) -> list[int]:
    """Red, green and blue of a pane at a place in [0, 1]."""
    return browser.execute_script("""
        const canvas = document.querySelectorAll(".gallery .pane canvas")[arguments[0]];
        return [...canvas.getContext("2d").getImageData(
          arguments[1] * canvas.width, arguments[2] * canvas.height, 1, 1).data].slice(0, 3);""", pane, x, y)


def _text(browser: Any, selector: str) -> str:
    return browser.execute_script("return document.querySelector(arguments[0]).textContent", selector)


def _lit(browser: Any, pane: int) -> float:
    """The share of a pane that is brighter than black."""
    return browser.execute_script("""
        const canvas = document.querySelectorAll(".gallery .pane canvas")[arguments[0]];
        const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        let lit = 0;
        for (let at = 0; at < data.length; at += 4) lit += data[at] > 128;
        return lit / (canvas.width * canvas.height);""", pane)


def test_it_loads_in_silence_and_opens_at_the_sparse_masks(browser: Any, page: Path) -> None:
    _open(browser, page)
    assert browser.get_log("browser") == []
    readout = _text(browser, ".readout")
    assert "λ = 2" in readout and "the mean of M is 24%" in readout and "off by 0.20 m" in readout
    assert browser.execute_script("const canvas = document.querySelector('canvas'); "
                                  "return [canvas.height, canvas.width]") == list(SIZE)
    assert browser.execute_script("return [...document.images].every((image) => image.naturalWidth > 0)")


def test_the_slider_moves_mask_and_depth(browser: Any, page: Path) -> None:
    _open(browser, page)
    _switch(browser, 0, "mask")
    seen = []
    for step, (lam, mean) in enumerate(MEANS.items()):
        _set(browser, "setting", step)
        assert f"λ = {lam:g}" in _text(browser, ".readout")
        # the depth of step k is green 80 k, jpeg or png aside
        assert _colour(browser, 1, 0.5) == [0, 80 * step, 0]
        # a ramp of masks: the lighter, the more is kept
        seen.append((mean, sum(_colour(browser, 0, 0.9))))
    assert [light for _, light in sorted(seen)] == sorted(light for _, light in seen)
    assert len({light for _, light in seen}) == 3


def test_the_threshold_cuts_the_mask_where_it_says(browser: Any, page: Path) -> None:
    _open(browser, page)
    _set(browser, "setting", 1)
    _switch(browser, 0, "mask")
    _switch(browser, 1, "edges")
    for threshold in (0.025, 0.12, 0.36):
        _set(browser, "threshold", threshold)
        # M rises from 0 to 0.48 from left to right
        expected = 1 - threshold / (2 * MEANS[2.0])
        assert _lit(browser, 0) == pytest.approx(expected, abs=0.02)
        # as many edges as the mask keeps
        assert _lit(browser, 1) == pytest.approx(expected, abs=0.02)
        assert f"M > {threshold}" in _text(browser, ".readout")
    _switch(browser, 1, "seen")
    assert "not through the binary one" in _text(browser, ".pane:nth-of-type(2) figcaption")
    _set(browser, "threshold", 0)
    assert "soft mask M" in _text(browser, ".pane figcaption") and "M > " not in _text(browser, ".readout")


def test_every_view_shows_its_own(browser: Any, page: Path) -> None:
    _open(browser, page)
    plain = {"depth": [200, 0, 0], "seen": [0, 80, 0], "depth_truth": [0, 0, 200]}
    for view, colour in plain.items():
        _switch(browser, 0, view)
        assert _colour(browser, 0, 0.3) == colour
        assert not browser.execute_script("return document.querySelector('.pane .legend').hidden")
    appearances = []
    for view in ("picture", "edges", "mask", "overlay"):
        _switch(browser, 0, view)
        appearances.append(browser.execute_script("return document.querySelector('.pane canvas').toDataURL()"))
        assert browser.execute_script("return document.querySelector('.pane .legend').hidden")
    assert len(set(appearances)) == 4
    # under the mask, nothing glows at the left and everything at the right
    assert _lit(browser, 0) > 0
    _set(browser, "setting", 0)
    assert sum(_colour(browser, 0, 0.97)) > sum(_colour(browser, 0, 0.01))


def test_another_picture_and_the_keyboard(browser: Any, page: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    _open(browser, page)
    _switch(browser, 0, "picture")
    before = browser.execute_script("return document.querySelector('.pane canvas').toDataURL()")
    browser.execute_script("document.querySelectorAll('.gallery .stills button')[1].click()")
    _settled(browser)
    assert browser.execute_script("return document.querySelector('.pane canvas').toDataURL()") != before
    browser.find_element("css selector", ".gallery .setting").send_keys(Keys.ARROW_RIGHT)
    _settled(browser)
    assert "λ = 6" in _text(browser, ".readout")
    chosen = browser.find_element("css selector", ".gallery .pane input:checked")
    chosen.send_keys(Keys.ARROW_RIGHT)
    _settled(browser)
    assert "edges" in _text(browser, ".pane figcaption")


@pytest.mark.parametrize("size", [PHONE, (320, 640), DESKTOP])
def test_no_page_scrolls_sideways(browser: Any, page: Path, size: tuple[int, int]) -> None:
    _open(browser, page, size)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= size[0]
    assert browser.get_log("browser") == []


def test_a_phone_folds_what_a_desk_shows(browser: Any, page: Path) -> None:
    _open(browser, page, PHONE)
    folded = "return [...document.querySelectorAll('details[data-wide]')].map((details) => details.open)"
    assert len(browser.execute_script(folded)) > 3 and not any(browser.execute_script(folded))
    height = browser.execute_script("return document.documentElement.scrollHeight")
    _open(browser, page)
    assert all(browser.execute_script(folded))
    # three sections, two of them with a gallery of two screens
    assert height < 9 * PHONE[1]


def test_plots_on_a_phone_are_drawn_anew_and_whole(browser: Any, page: Path) -> None:
    plot = """
        const image = document.querySelector(".plot img"), box = image.getBoundingClientRect();
        return [image.currentSrc, image.naturalWidth / image.naturalHeight, box.left, box.right];"""
    _open(browser, page)
    wide, ratio, _, _ = browser.execute_script(plot)
    _open(browser, page, PHONE)
    narrow, narrow_ratio, left, right = browser.execute_script(plot)
    # axes that stood side by side stand one above the other, and none is cut
    assert narrow != wide and narrow_ratio < 1 < ratio
    assert 0 <= left < right <= PHONE[0]


def test_a_command_is_read_whole_on_a_phone(browser: Any, page: Path) -> None:
    _open(browser, page, PHONE)
    assert browser.execute_script("""
        const command = document.createElement("pre");
        command.textContent = "depthcue compare-edges --data folder:MY_PICTURES --out my-comparison";
        document.querySelector("main").append(command);
        return command.scrollWidth <= command.clientWidth;""")


def test_a_table_that_goes_on_at_the_side_says_so(browser: Any, page: Path) -> None:
    _open(browser, page, PHONE)
    browser.execute_script("document.querySelectorAll('details.fold').forEach((details) => { details.open = true; })")
    hints = """
        const done = arguments[0];
        setTimeout(() => done([...document.querySelectorAll(".hint")].map((hint) => [
          hint.parentElement.querySelector("summary").textContent, hint.hidden])), 300);"""
    found = dict(browser.execute_async_script(hints))
    assert found["Loaves"] is False and found["Rolls"] is True


def test_a_wide_picture_opens_to_its_own_size_inside_the_page(browser: Any, page: Path) -> None:
    _open(browser, page, PHONE)
    browser.execute_script("document.querySelector('.zoom').closest('details').open = true")
    width = "return document.querySelector('.zoom img').getBoundingClientRect().width"
    assert browser.execute_script(width) < PHONE[0]
    browser.find_element("css selector", ".zoom").click()
    assert browser.execute_script(width) == WIDE
    assert browser.execute_script("return document.documentElement.scrollWidth") <= PHONE[0]
    browser.find_element("css selector", ".zoom").click()
    assert browser.execute_script(width) < PHONE[0]


def test_figures_follow_the_colour_of_the_page(browser: Any, page: Path) -> None:
    grounds, plots = [], []
    for dark in (False, True):
        _open(browser, page, dark=dark)
        grounds.append(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))
        plots.append(browser.execute_script("return document.querySelector('.plot img').currentSrc"))
    assert grounds[0] != grounds[1] and plots[0] != plots[1]
    assert all(plot.startswith("data:image/svg+xml") for plot in plots)
