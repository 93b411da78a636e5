import numpy as np
import pandas as pd
import pytest
from generated_surface import write_shard

from affect4d.store import ContentStore, file_digest
from affect4d.views import contact_sheets
from affect4d.views.augmentation import MixedViewOptions
from affect4d.views.contact_sheets import (
    LABEL_HEIGHT,
    MARGIN,
    _columns,
    amplify,
    apex_image,
    augmentation_sheet,
    contact_sheet,
    corpus_sheet,
    has_micro,
    micro_sheet,
)
from affect4d.views.input_options import InputOptions
from affect4d.views.mixed_view_sampling import sample_schedule

SIZE, FRAMES = 24, 9


def test_images_stand_in_rows_in_their_order():
    images = [np.full((10, 20), 40 * number, np.uint8) for number in range(5)]
    sheet = np.asarray(contact_sheet(images, columns=3))
    assert sheet.shape == (2 * (10 + MARGIN) + MARGIN, 3 * (20 + MARGIN) + MARGIN, 3)
    assert (sheet[MARGIN + 10 + MARGIN, MARGIN] == 120).all(), "the fourth image begins the second row"


def test_labels_are_written_below_and_stay_within_their_image():
    sheet = np.asarray(contact_sheet([np.zeros((10, 20), np.uint8)], 1, ["a label far too long for it"]))
    below = sheet[MARGIN + 10 :]
    assert below.shape[0] == LABEL_HEIGHT + MARGIN
    assert below.min() < 255
    assert (below[:, MARGIN + 20 + 1 :] == 255).all()


@pytest.mark.parametrize(
    ("images", "columns", "labels"),
    [
        ([], 3, []),
        ([np.zeros((4, 4), np.uint8)], 0, []),
        ([np.zeros((4, 4), np.uint8)], 1, ["one", "two"]),
        ([np.zeros((4, 4), np.uint8), np.zeros((5, 4), np.uint8)], 2, []),
    ],
)
def test_what_makes_no_sheet_is_refused(images, columns, labels):
    with pytest.raises(ValueError, match=r"sheet"):
        contact_sheet(images, columns, labels)


def test_an_augmentation_sheet_shows_samples_before_and_after(bank):
    schedule = sample_schedule(
        bank.index(), MixedViewOptions(), epochs=1, batch_size=4, samples_per_sequence=2, seed=0, views=bank.views
    )
    sheet = augmentation_sheet(bank, schedule, InputOptions(size=16), samples=3)
    assert sheet.size == (18 * (16 + MARGIN) + MARGIN, 6 * (16 + MARGIN + LABEL_HEIGHT) + MARGIN)


@pytest.mark.parametrize(("of_a_subject", "cells"), [(18, 72), (18, 18), (3, 12), (7, 70), (1, 5), (18, 60 * 18)])
def test_a_subject_fills_whole_rows(of_a_subject, cells):
    assert of_a_subject % _columns(of_a_subject, cells) == 0


def test_a_sheet_is_neither_a_strip_nor_a_column():
    columns = _columns(18, 72)
    assert 0.7 < columns / (72 / columns) < 2.2


def drawn(channel):
    """A patch that brightens, or comes nearer, towards frame 4."""
    shape, kind, step = ((1,), np.uint16, 256) if channel == "depth" else ((3,), np.uint8, 1)
    images = np.full((FRAMES, 1, SIZE, SIZE, *shape), 100 * step, kind)
    images[:, 0, 8:12, 8:12] += (step * (5 - np.abs(np.arange(FRAMES) - 4))).astype(kind)[:, None, None, None]
    return images


@pytest.fixture(params=["texture", "normals", "depth"])
def rendered(request, tmp_path):
    """Two clips of such a patch, and one without times; of each, one kind of image."""
    rows = []
    for number, name in enumerate(("F001/micro-1", "F001/micro-2", "F001/talk-1")):
        path = tmp_path / f"{number}.safetensors"
        write_shard(path, {request.param: drawn(request.param)}, {})
        rows.append(
            {"sequence": name, "frames": list(range(FRAMES)), "shard": path.name, "checksum": file_digest(path)}
        )
    sequences = pd.DataFrame(
        {
            "sequence": [row["sequence"] for row in rows],
            "expression": pd.Series([None] * 3, dtype="str"),
            "label": ["negative", "surprise", "talk"],
            **{name: pd.array([at, at, None], "Int64") for name, at in (("onset", 1), ("apex", 4), ("offset", 8))},
        }
    )
    return pd.DataFrame(rows), sequences, ContentStore(tmp_path)


def test_a_clip_is_a_row_and_takes_without_times_are_left_out(rendered):
    sheet = micro_sheet(*rendered, frames=4)
    assert sheet.size == (5 * (SIZE + MARGIN) + MARGIN, 2 * (SIZE + MARGIN + LABEL_HEIGHT) + MARGIN)


def test_the_last_image_shows_where_something_moved(rendered):
    sheet = np.asarray(micro_sheet(*rendered, frames=4)).astype(int)
    left = MARGIN + 4 * (SIZE + MARGIN)
    difference = sheet[MARGIN : MARGIN + SIZE, left : left + SIZE]
    assert difference[9, 9, 0] > 140
    assert np.abs(difference[0, 0] - 128).max() <= 8


def test_no_movement_is_grey_and_small_movements_are_amplified():
    before = np.full((2, 8, 8, 3), 50, np.uint8)
    moved = before.copy()
    moved[:, 0, 0] += 4
    assert (amplify(before, before) == 128).all()
    assert amplify(before, moved)[0, 0, 0] == pytest.approx(128 + 8 * 4, abs=4)


def test_a_change_of_all_light_is_no_movement():
    before = np.full((2, 8, 8, 3), 50, np.uint8)
    assert np.abs(amplify(before, before + np.uint8(20)).astype(int) - 128).max() <= 1


def test_a_posed_corpus_is_not_taken_for_a_micro_one(rendered):
    _, sequences, _ = rendered
    assert has_micro(sequences)
    assert not has_micro(sequences.assign(expression="anger"))
    assert not has_micro(sequences.assign(apex=pd.array([None] * 3, "Int64")))


def test_clips_without_times_are_refused(rendered):
    views, sequences, store = rendered
    with pytest.raises(ValueError, match="no micro-expression"):
        micro_sheet(views, sequences[sequences["label"] == "talk"], store)


@pytest.mark.parametrize("rendered", ["depth"], indirect=True)
def test_the_image_of_a_face_of_which_only_depth_was_drawn_is_not_white(rendered):
    views, _, store = rendered
    row = {**views.iloc[0], "views": ["front"], "activity": [4 - abs(frame - 4) for frame in range(FRAMES)]}
    image = np.asarray(apex_image(row, store))
    assert image.dtype == np.uint8
    assert (image[0, 0], image[9, 9]) == (100, 105)


def test_labels_of_a_mixture_leave_out_the_part(rendered, monkeypatch):
    views, _, store = rendered
    views = views.assign(
        sequence="open-4dfer-s:" + views["sequence"], views=[["front"]] * 3, activity=[[0.0, 1.0, 0.0]] * 3
    )
    monkeypatch.setattr(contact_sheets, "contact_sheet", lambda images, columns, labels: labels)
    assert corpus_sheet(views.assign(subject="open-4dfer-s:F001"), store)[0] == "F001/micro-1 front"
