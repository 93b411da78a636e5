import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from affect4d.datasets import ContactSheetDataset
from affect4d.datasets.contact_sheet import PREVIEW_RATIO


def previewed(tmp_path, size, **options):
    dataset = ContactSheetDataset(filepath=str(tmp_path / "sheet.png"), **options)
    dataset.save(Image.new("RGB", size, (200, 0, 0)))
    return Image.open(BytesIO(base64.b64decode(dataset.preview())))


@pytest.mark.parametrize("size", [(940, 268), (268, 940), (458, 300)])
def test_a_preview_has_kedro_viz_own_proportions_and_is_not_stretched(tmp_path, size):
    shown = previewed(tmp_path, size, preview=True)
    assert shown.width / shown.height == pytest.approx(PREVIEW_RATIO, rel=0.01)
    red = (np.asarray(shown) == (200, 0, 0)).all(axis=-1)
    assert (red.any(axis=0).sum(), red.any(axis=1).sum()) == size
    assert (np.asarray(shown)[~red] == 255).all()


def test_faces_of_real_people_are_not_previewed(tmp_path):
    assert np.unique(np.asarray(previewed(tmp_path, (60, 40)))).tolist() == [255]
