"""The pipelines as Kedro-Viz shows them to a stranger: a static build, opened in Chromium."""

import functools
import http.server
import json
import shutil
import subprocess
import sys
import threading

import pytest
from PIL import Image

pytestmark = pytest.mark.browser

STAGES = {"data", "model_input", "affect_vlm", "smile_vlm", "cross_entropy", "evaluation", "reporting"}
LAYERS = ["raw", "intermediate", "primary", "feature", "model_input", "models", "model_output", "reporting"]
SHEET = "data/08_reporting/open-4dfer-s/view_contact_sheet.png/2026-01-01T00.00.00.000Z/view_contact_sheet.png"


@pytest.fixture(scope="module")
def built(project_root, tmp_path_factory):
    """`kedro viz build` of the project, with a contact sheet to preview."""
    folder = tmp_path_factory.mktemp("viz")
    shutil.copytree(project_root / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
    (folder / "conf" / "local").mkdir()
    shutil.copytree(project_root / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for file in ("pyproject.toml", ".telemetry"):
        shutil.copy(project_root / file, folder)
    (folder / SHEET).parent.mkdir(parents=True)
    Image.new("RGB", (300, 200), "teal").save(folder / SHEET)
    command = [sys.executable, "-m", "kedro", "viz", "build", "--include-previews"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=500, check=False)
    assert "Success" in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]
    return folder / "build"


@pytest.fixture(scope="module")
def address(built):
    """Where the build is served."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=built)
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_stages_are_folded_up_and_layers_in_order(built):
    shown = json.loads((built / "api" / "main").read_text())
    assert set(shown["modular_pipelines"]) == STAGES | {"__root__"}
    assert shown["layers"] == LAYERS


def test_a_stranger_sees_the_stages_the_layers_and_a_picture(browser, address):
    page, errors = browser.new_page(viewport={"width": 1700, "height": 1300}), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    chart = page.locator("#pipeline-graph")
    for stage in STAGES:
        chart.get_by_text(stage, exact=True).first.wait_for(timeout=60_000)
    assert chart.get_by_text("train_model", exact=True).count() == 0
    for layer in LAYERS:
        page.locator(".pipeline-layer-name").get_by_text(layer, exact=True).wait_for(timeout=60_000)
    page.get_by_text("view_contact_sheet", exact=True).first.dispatch_event("click")
    page.locator("img[src^='data:image']").wait_for(timeout=60_000)
    page.close()
    assert not errors
