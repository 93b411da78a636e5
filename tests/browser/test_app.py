"""The app end to end: upload, type, switch models, play, bad files; wide and on a phone, light and dark."""

import io
import os
import socket
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
SHOTS = os.environ.get("AFFECT4D_SHOTS")
"""A folder for screenshots, to look at."""
HEIGHT = "() => document.querySelector('[data-testid=stMain]').scrollHeight"
MOVED = "start => (document.querySelector('[data-testid=stSlider] input') || {value: start}).value !== start"


def keep(page, name):
    """The whole page as a picture, in a window as high as the page; kept where a folder is named."""
    size = page.viewport_size
    page.set_viewport_size({**size, "height": page.evaluate(HEIGHT)})
    page.wait_for_timeout(1500)
    raw = page.screenshot()
    page.set_viewport_size(size)
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        (Path(SHOTS) / f"{name}.png").write_bytes(raw)
    return np.asarray(Image.open(io.BytesIO(raw)).convert("RGB")).astype(int)


def settle(page):
    """Wait until the app has nothing more to draw."""
    page.wait_for_function("() => !document.querySelector('[data-testid=stStatusWidget], [data-testid=stSkeleton]')")
    page.wait_for_timeout(500)


def send(page, *files):
    if not page.get_by_text("with their textures").is_visible():
        page.get_by_text("Your own scan", exact=True).click()
    page.get_by_text("with their textures").wait_for()
    sent = [{"name": name, "mimeType": "application/octet-stream", "buffer": raw} for name, raw in files]
    page.locator('input[type="file"]').first.set_input_files(sent)


def alerts(page):
    return page.locator('[data-testid="stAlert"]')


def mesh_colours(page):
    """Distinct colours that are drawn of the face."""
    raw = page.locator(".js-plotly-plot:has(.gl-container canvas)").first.screenshot()
    return len(np.unique(np.asarray(Image.open(io.BytesIO(raw)).convert("RGB")).reshape(-1, 3), axis=0))


def test_the_first_page_shows_a_face_and_both_answers(open_app):
    page = open_app()
    settle(page)
    page.locator(".gl-container canvas").first.wait_for()
    page.wait_for_timeout(2000)
    assert mesh_colours(page) > 1000
    assert page.get_by_text("Probabilities are not calibrated").count() == 2
    keep(page, "wide-light")


def test_the_face_turns_when_it_is_dragged(open_app):
    page = open_app()
    settle(page)
    scene = page.locator(".js-plotly-plot:has(.gl-container canvas)").first
    scene.scroll_into_view_if_needed()
    page.wait_for_timeout(2000)
    before, box = scene.screenshot(), scene.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 120, y + 20, steps=6)
    page.mouse.up()
    page.wait_for_timeout(2000)
    assert scene.screenshot() != before


def test_likeness_changes_as_a_sentence_is_typed(open_app):
    page = open_app()
    settle(page)
    field = page.get_by_label("Sentence 4")
    field.scroll_into_view_if_needed()
    field.press_sequentially("a sad zyzzyva", delay=20)  # neither Enter nor Tab
    page.get_by_text("“zyzzyva”").first.wait_for()
    assert page.get_by_text("a sad zyzzyva").count() >= 1


def test_models_are_switched(open_app):
    page = open_app()
    settle(page)
    page.get_by_test_id("stMultiSelect").get_by_role("button", name="AffectVLM").first.click()
    page.wait_for_function(
        "() => (document.body.innerText.match(/Probabilities are not calibrated/g) || []).length === 1"
    )
    assert page.get_by_text("Attribution of SMILE-VLM").count() == 1
    assert page.get_by_text("Attribution of AffectVLM").count() == 0


def test_a_sequence_plays_and_stops(open_app):
    page = open_app()
    settle(page)
    thumb = page.get_by_test_id("stSlider").locator("input")
    start = thumb.input_value()
    page.get_by_role("button", name="Play").click()
    page.wait_for_function(MOVED, arg=start)
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Play").wait_for()


def test_where_a_model_looks_is_painted(open_app):
    page = open_app()
    settle(page)
    page.get_by_text("Attribution of AffectVLM").click()
    page.get_by_text("Red speaks for the answer").wait_for()
    settle(page)
    page.wait_for_timeout(2000)
    keep(page, "where-it-looks")


def test_an_upload_is_answered_and_its_tables_come_along(open_app, scan_files, tmp_path):
    page = open_app()
    send(page, ("face.wrl", scan_files.wrl_text(scan_files.synthetic_face()).encode()), ("face.png", picture()))
    page.get_by_text("no neutral frame given").first.wait_for()
    settle(page)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Answers (CSV)").click()
    table = Path(waiting.value.path()).read_text().splitlines()
    assert table[0].startswith("recording,")
    assert len(table) == 3
    keep(page, "upload")


def test_a_bad_file_is_a_message_and_a_good_one_is_read_after_it(open_app, scan_files):
    page = open_app()
    send(page, ("face.ply", b"ply\nformat ascii 1.0\nelement vertex 9"))
    alerts(page).first.wait_for()
    assert "face.ply cannot be used" in alerts(page).first.inner_text()
    keep(page, "bad-file")
    page.reload()
    page.get_by_text("Take it along").wait_for()
    send(page, ("bomb.zip", bomb()))
    alerts(page).first.wait_for()
    assert "larger than 64 MB" in alerts(page).first.inner_text()
    page.reload()
    page.get_by_text("Take it along").wait_for()
    send(page, ("face.ply", scan_files.ply_bytes(scan_files.synthetic_face())))
    page.get_by_text("no neutral frame given").first.wait_for()


@pytest.mark.parametrize(("width", "scheme"), [(400, "light"), (400, "dark"), (1280, "dark")])
def test_every_width_and_scheme_is_legible(open_app, width, scheme):
    page = open_app(width, 800, scheme)
    settle(page)
    page.wait_for_timeout(2000)
    overhang = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overhang <= 0
    colours = keep(page, f"{'phone' if width < 500 else 'wide'}-{scheme}")
    background = np.median(colours.reshape(-1, 3), axis=0)
    assert (background > 200).all() if scheme == "light" else (background < 60).all()


def test_only_this_machine_is_answered(app):
    port = int(app.rsplit(":", 1)[1])
    others = {entry[4][0] for entry in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {"127.0.0.1"}
    for address in others:
        if address.startswith("127."):
            continue
        with socket.socket() as stranger:
            stranger.settimeout(5)
            assert stranger.connect_ex((address, port)) != 0


def picture():
    file = io.BytesIO()
    Image.effect_noise((64, 64), 60).convert("RGB").save(file, "PNG")
    return file.getvalue()


def bomb():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("face.ply", bytes(70 * 2**20))
    return file.getvalue()
