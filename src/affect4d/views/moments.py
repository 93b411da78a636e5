"""Which frames of a sequence lie round its apex, found from how far the face moves: no label, no picture, no torch."""

import numpy as np
import pandas as pd

WINDOW_SHARE = 0.5
"""A frame whose activity is at least this share of its sequence's greatest is in the window round the apex."""


def find_moments(view_manifest: pd.DataFrame) -> pd.DataFrame:
    """Every frame of every sequence, in the order of the manifest; all a mixing plan needs.

    Args:
        view_manifest: Columns ``sequence``, ``frames`` and ``activity`` (lists of equal length).

    Returns:
        One row a frame: ``sequence``, ``frame``, ``in_window``.
    """
    counts = view_manifest["frames"].map(len).to_numpy()
    activity = [np.asarray(values, float) for values in view_manifest["activity"]]
    return pd.DataFrame(
        {
            "sequence": np.repeat(view_manifest["sequence"].to_numpy(dtype=object), counts),
            "frame": np.concatenate([np.asarray(frames, np.int64) for frames in view_manifest["frames"]]),
            "in_window": np.concatenate([values >= WINDOW_SHARE * values.max() for values in activity]),
        }
    )
