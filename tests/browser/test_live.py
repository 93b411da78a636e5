"""Live mode end to end: the page follows the scans that are written into the watched folder."""

import functools
import os
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
SHOTS = os.environ.get("AFFECT4D_SHOTS")
HEIGHT = "() => document.querySelector('[data-testid=stMain]').scrollHeight"


@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_follows_the_folder(open_live, live_app, scan_files, width):
    folder, raw = live_app[1], scan_files.ply_bytes(scan_files.synthetic_face())
    page = open_live(width)
    (folder / f"a{width}.ply").write_bytes(raw)
    page.get_by_text(f"a{width}.ply · ").wait_for()
    (folder / f"b{width}.ply").write_bytes(raw[:3000])
    page.get_by_text(f"b{width}.ply cannot be used").wait_for()
    page.get_by_text(f"a{width}.ply · ").wait_for()
    (folder / f"c{width}.ply").write_bytes(raw)
    page.get_by_text(f"c{width}.ply · ").wait_for()
    page.locator(".gl-container canvas").first.wait_for()
    page.get_by_text("−20 s").first.wait_for()  # the timeline, on a phone, too
    overhang = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overhang <= 0
    if SHOTS:
        page.set_viewport_size({"width": width, "height": page.evaluate(HEIGHT)})
        page.wait_for_timeout(3000)
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(SHOTS) / f"live-{width}.png")


@pytest.fixture
def open_live(open_page, live_app):
    """Opens the page in live mode."""
    return functools.partial(open_page, live_app[0], "A watched folder")
