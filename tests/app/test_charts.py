import base64
import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from affect4d.app.charts import IMAGE_SIDE, sheet_rows, view_sheet
from affect4d.rendering.options import RenderOptions
from affect4d.views.input_options import InputOptions

SIDE = 16


def answered(drawn, channels):
    """What :func:`view_sheet` needs of an answer: one frame, three views."""
    rng = np.random.default_rng(0)
    depth = {"depth": rng.integers(1, 2**16, (1, 3, SIDE, SIDE, 1), dtype=np.uint16)}
    pictures = {name: rng.integers(0, 256, (1, 3, SIDE, SIDE, 3), dtype=np.uint8) for name in drawn if name != "depth"}
    description = SimpleNamespace(
        render=RenderOptions(size=SIDE, channels=drawn), inputs=InputOptions(channels=channels)
    )
    pictures |= depth if "depth" in drawn else {}
    return SimpleNamespace(
        predictor=SimpleNamespace(description=description), prepared=SimpleNamespace(pictures=pictures)
    )


@pytest.mark.parametrize(
    ("drawn", "channels", "rows"),
    [
        (("texture", "normals"), ("grey", "shading", "curvature"), ["skin", "shading", "curvature"]),
        (("texture", "normals"), ("grey",), ["skin"]),
        (("normals",), ("shading",), ["shading"]),
        (("depth",), ("depth",), ["depth"]),
    ],
)
def test_the_sheet_shows_what_the_model_sees_whatever_was_drawn(drawn, channels, rows):
    answer = answered(drawn, channels)
    assert sheet_rows(answer) == rows
    picture = Image.open(io.BytesIO(base64.b64decode(view_sheet(answer, 0).partition(",")[2])))
    assert picture.size == (3 * IMAGE_SIDE, len(rows) * IMAGE_SIDE)
