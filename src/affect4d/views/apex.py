"""The one picture that shows a sequence: the face at its apex, from the front."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from affect4d.store import ContentStore
from affect4d.store.shards import open_shard
from affect4d.views.moments import locate
from affect4d.views.shown import shown_picture


def apex_picture(row: Mapping[Any, Any], store: ContentStore) -> Image.Image:
    """The face of a rendered sequence at its apex, from the front; from the first view where there is no front.

    Args:
        row: Of the view manifest.
        store: Where its shard is.
    """
    shard = open_shard(store.path(str(row["shard"])), str(row["checksum"]))
    views = list(np.asarray(row["views"]))
    apex = locate(np.asarray(row["activity"], dtype=np.float64)).apex
    return Image.fromarray(shown_picture(shard, apex, views.index("front") if "front" in views else 0))
