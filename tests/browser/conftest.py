"""A headless Chromium, and the app served to it; synthetic faces only."""

import contextlib
import functools
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

GRAPHICS = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
"""WebGL by the processor: the 3D face is drawn without a graphics card."""
PATIENCE = 180.0
"""Seconds a first page may take on a busy machine."""


def _module(path):
    spec = importlib.util.spec_from_file_location(f"browser_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TESTS = Path(__file__).parents[1]
scan_files = pytest.fixture(scope="session")(lambda: _module(TESTS / "scans" / "scan_files.py"))
model_folders = _module(TESTS / "app" / "conftest.py").model_folders


@pytest.fixture(scope="session")
def browser():
    """Chromium, as the system has it."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.fail("There is no Chromium: `make test-browser` installs it where apt can.")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", *GRAPHICS])
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def app(model_folders, tmp_path_factory):
    """Address of the app, with two untrained models to ask."""
    with _serve(model_folders, tmp_path_factory.mktemp("app")) as address:
        yield address


@pytest.fixture(scope="session")
def live_app(model_folders, tmp_path_factory):
    """Address of the app in live mode, and the folder that it watches."""
    folder = tmp_path_factory.mktemp("scans")
    with _serve(model_folders, tmp_path_factory.mktemp("live"), "--watch", str(folder)) as address:
        yield address, folder


@contextlib.contextmanager
def _serve(model_folders, folder, *words):
    port = _free_port()
    command = [sys.executable, "-m", "affect4d.app", "--server.headless=true", f"--server.port={port}", *words]
    told = os.environ | {"AFFECT4D_MODELS": os.pathsep.join(map(str, model_folders)), "TMPDIR": str(folder)}
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, cwd=folder, env=told, stdout=log, stderr=log) as app,
    ):
        try:
            _wait_for(f"http://127.0.0.1:{port}/_stcore/health", app, folder / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            app.terminate()


@pytest.fixture
def open_app(open_page, app):
    """Opens the page in a window of some size and waits for the first answer; fails on errors in the console."""
    return functools.partial(open_page, app, "Take it along")


@pytest.fixture
def open_page(browser):
    """Opens an address in a window of some size and waits for a text; fails on errors in the console."""
    errors, pages = [], []

    def open_page(address, shown, width=1280, height=900, scheme="light"):
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme, accept_downloads=True)
        page.set_default_timeout(PATIENCE * 1000)
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: _refuse_outside(request.url, errors))
        page.goto(address)
        page.get_by_text(shown).first.wait_for()
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert not errors


def _refuse_outside(url, errors):
    """Everything comes from this machine."""
    if not url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:", "about:")):
        errors.append(f"asked for {url}")


def _free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _wait_for(address, process, log):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None:
                break
            time.sleep(0.2)
    pytest.fail(f"The app does not answer:\n{log.read_text()[-2000:]}")
