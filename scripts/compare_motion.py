"""Timing and co-activation of action units: recordings of Live Link Face beside the generator, as a table.

python scripts/compare_motion.py FOLDER_OF_RECORDINGS [BENCHMARK]         # nothing is rendered; seconds
"""

import itertools
import sys
from collections.abc import Iterator

import numpy as np

from affect4d.synthetic import generate_scans as corpus
from affect4d.synthetic.action_units import ACTION_UNITS, BILATERAL, ActionTrack, units_of_arkit
from affect4d.synthetic.frozen_benchmarks import benchmark
from affect4d.synthetic.live_link_source import clips, coefficients_of
from affect4d.synthetic.recipe import LiveLinkRecipe
from affect4d.synthetic.subject_appearance_and_expressive_style import LEFT, RIGHT

FPS = 30.0
SUBJECTS = 30  # generated
ACTIVE, MOVED = 0.3, 0.2  # weights from which a unit counts as shown, and its sides are compared
UNITS = [*BILATERAL, *(unit for unit in ACTION_UNITS if unit.startswith("AU") and not unit.endswith(("_L", "_R")))]
UNRECORDED = ("AU23",)  # no coefficient of ARKit's shows it
REGIONS = {"brows": ("AU1", "AU2", "AU4"), "mouth corners": ("AU12", "AU15", "AU20"), "jaw": ("AU26",)}
PAIRS = (
    ("AU1", "AU2"), ("AU1", "AU5"), ("AU4", "AU7"), ("AU4", "AU9"), ("AU9", "AU10"), ("AU6", "AU12"), ("AU12", "AU25"),
    ("AU25", "AU26"), ("AU15", "AU17"), ("AU18", "AU22"),
)  # fmt: skip


def recorded(folder: str) -> list[ActionTrack]:
    """Tracks of whole recordings, 30 frames a second, without the neutral frame before them."""
    recipe = LiveLinkRecipe(folder=folder, fps=FPS, clip_seconds=600.0)
    return [units_of_arkit(coefficients_of(recipe, clip))[1:] for clip in clips(recipe).values()]


def generated(name: str) -> list[ActionTrack]:
    """Tracks of all takes of a benchmark's first subjects, 30 frames a second."""
    recipe = benchmark(name).recipe
    performances = recipe.performances.model_copy(update={"fps": FPS, "frames": None})
    changes = {"face": "procedural", "identity_modes": None, "subjects": SUBJECTS, "performances": performances}
    recipe = recipe.model_copy(update=changes)
    return [corpus.perform(recipe, take)[0] for take in corpus.takes(recipe)]


def joined_sides(track: ActionTrack) -> ActionTrack:
    """One column a unit, the mean of both sides, in the order of ``UNITS``."""
    names = [[n for n, unit in enumerate(ACTION_UNITS) if unit in (name, f"{name}_L", f"{name}_R")] for name in UNITS]
    return np.stack([track[:, columns].mean(axis=1) for columns in names], axis=1)


def rises(column: np.ndarray) -> Iterator[tuple[float, float]]:
    """Seconds from 10 to 90 % of every peak above ``ACTIVE``, and the greatest speed on the way, 1/s."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], column > 0.1, [0]]).astype(int)))
    for begin, end in edges.reshape(-1, 2):
        top = begin + int(column[begin:end].argmax())
        if column[top] > ACTIVE and begin > 0 and end < len(column):
            before = column[: top + 1]
            low = int(np.flatnonzero(before <= 0.1 * column[top])[-1]) if (before <= 0.1 * column[top]).any() else begin
            high = low + int(np.flatnonzero(before[low:] >= 0.9 * column[top])[0])
            if high > low:
                yield (high - low) / FPS, float(np.diff(column[low : high + 1]).max() * FPS)


def blinks(tracks: list[ActionTrack]) -> tuple[float, float]:
    """Closures of both lids a minute, and the median of their seconds above half."""
    lids = [joined_sides(track)[:, UNITS.index("AU45")] > 0.5 for track in tracks]
    edges = [np.flatnonzero(np.diff(np.concatenate([[0], lid, [0]]).astype(int))).reshape(-1, 2) for lid in lids]
    lengths = np.concatenate([np.diff(one, axis=1)[:, 0] for one in edges]) / FPS
    short = lengths[lengths < 0.5]
    return 60.0 * FPS * len(short) / sum(map(len, lids)), float(np.median(short)) if len(short) else float("nan")


def asymmetry(tracks: list[ActionTrack]) -> float:
    """Median of |left − right| over their sum, of bilateral units where one side is shown; blinks left out."""
    left, right = (np.concatenate([track[:, side] for track in tracks])[:, :-1] for side in (LEFT, RIGHT))
    shown = np.maximum(left, right) > MOVED
    return float(np.median((np.abs(left - right) / np.maximum(left + right, 1e-9))[shown]))


def correlations(tracks: list[ActionTrack]) -> np.ndarray:
    """Correlation of every two units over all frames; NaN where one never moves."""
    values = np.concatenate([joined_sides(track) for track in tracks])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.corrcoef(values.T)


def describe(tracks: list[ActionTrack]) -> dict[str, float]:
    """Every figure of the table, by its name."""
    sides = [joined_sides(track) for track in tracks]
    figures = {"minutes": sum(map(len, tracks)) / FPS / 60.0}
    for region, units in REGIONS.items():
        found = [rise for track in sides for unit in units for rise in rises(track[:, UNITS.index(unit)])]
        seconds, speeds = np.array(found).reshape(-1, 2).T
        figures[f"rise of the {region}, 10 to 90 %, median s"] = float(np.median(seconds)) if len(found) else np.nan
        figures[f"greatest speed of the {region}, median 1/s"] = float(np.median(speeds)) if len(found) else np.nan
    figures["blinks a minute"], figures["blink, median s above half"] = blinks(tracks)
    shown = np.concatenate(sides) > ACTIVE
    figures["units shown at once, mean where any is"] = float(shown.sum(axis=1)[shown.any(axis=1)].mean())
    figures["asymmetry of what is shown, median"] = asymmetry(tracks)
    matrix = correlations(tracks)
    for one, other in PAIRS:
        figures[f"correlation {one}, {other}"] = float(matrix[UNITS.index(one), UNITS.index(other)])
    return figures


def main(folder: str, name: str = "open-4dfer-m") -> None:
    """Print the table, and how alike the two correlation matrices are."""
    real, made = recorded(folder), generated(name)
    columns = describe(real), describe(made)
    kept = [n for n, unit in enumerate(UNITS) if unit not in UNRECORDED]
    pairs = [[matrix[a, b] for a, b in itertools.combinations(kept, 2)] for matrix in map(correlations, (real, made))]
    for column, own in zip(columns, pairs, strict=True):
        column["mean absolute correlation of two units"] = float(np.abs(own).mean())
    rows = [f"| {figure} | {columns[0][figure]:.2f} | {columns[1][figure]:.2f} |" for figure in columns[0]]
    last = f"The correlations of {len(pairs[0])} pairs correlate by {np.corrcoef(pairs)[0, 1]:.2f}."
    sys.stdout.write("\n".join([f"| | recorded | {name} |", "|---|---|---|", *rows, "", last, ""]))


if __name__ == "__main__":
    main(*sys.argv[1:])
