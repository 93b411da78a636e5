import numpy as np
import pytest

from affect4d.views.contact_sheet import LABEL_HEIGHT, MARGIN, augmentation_sheet, contact_sheet
from affect4d.views.inputs import InputOptions
from affect4d.views.mixing import MixedViewOptions, plan_mixed_views


def test_pictures_stand_in_rows_in_their_order():
    pictures = [np.full((10, 20), 40 * number, np.uint8) for number in range(5)]
    sheet = np.asarray(contact_sheet(pictures, columns=3))
    assert sheet.shape == (2 * (10 + MARGIN) + MARGIN, 3 * (20 + MARGIN) + MARGIN, 3)
    assert (sheet[MARGIN + 10 + MARGIN, MARGIN] == 120).all(), "the fourth picture begins the second row"


def test_labels_are_written_below_and_stay_within_their_picture():
    sheet = np.asarray(contact_sheet([np.zeros((10, 20), np.uint8)], 1, ["a label far too long for it"]))
    below = sheet[MARGIN + 10 :]
    assert below.shape[0] == LABEL_HEIGHT + MARGIN
    assert below.min() < 255
    assert (below[:, MARGIN + 20 + 1 :] == 255).all()


@pytest.mark.parametrize(
    ("pictures", "columns", "labels"),
    [
        ([], 3, []),
        ([np.zeros((4, 4), np.uint8)], 0, []),
        ([np.zeros((4, 4), np.uint8)], 1, ["one", "two"]),
        ([np.zeros((4, 4), np.uint8), np.zeros((5, 4), np.uint8)], 2, []),
    ],
)
def test_what_makes_no_sheet_is_refused(pictures, columns, labels):
    with pytest.raises(ValueError, match=r"sheet"):
        contact_sheet(pictures, columns, labels)


def test_an_augmentation_sheet_shows_samples_before_and_after(bank):
    plan = plan_mixed_views(
        bank.index(), MixedViewOptions(), epochs=1, batch_size=4, samples_per_sequence=2, seed=0, views=bank.views
    )
    sheet = augmentation_sheet(bank, plan, InputOptions(size=16), samples=3)
    assert sheet.size == (18 * (16 + MARGIN) + MARGIN, 6 * (16 + MARGIN + LABEL_HEIGHT) + MARGIN)
