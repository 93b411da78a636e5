"""Draw the methods, both on one drawing and each by itself, and what the packaged AffectVLM predicts for a face.

python scripts/draw_figures.py          # docs/pictures/method.png, affect_vlm.png, smile_vlm.png, prediction.png
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

import affect4d
from affect4d.app.figures import ACTIONS, EXPRESSION_COLOURS
from affect4d.inference import Prediction
from affect4d.inference.preprocessing import PreparedSequence

FOLDER = Path(__file__).parents[1] / "docs/pictures"
EXAMPLE, FRAMES = "happiness", 24
UNITS = 12  # action units shown
BRIGHTNESS = 0.65  # exponent
INK, SHARED, AFFECT, SMILE, DATA = "#2b2b2b", "#e9edf2", "#f6dfd0", "#d9e8dc", "#ffffff"

Boxes = Mapping[str, tuple[float, float, float, float, str, str]]  # left, bottom, width, height, colour, text
Arrows = Sequence[tuple[str, str]]

BOTH: Boxes = {
    "views": (0.0, 3.1, 2.0, 1.3, DATA, "\n\n\nviews and motion"),
    "mixed": (2.5, 3.1, 1.9, 1.3, SHARED, "mixed view\naugmentation"),
    "image": (4.9, 3.1, 1.9, 1.3, SHARED, "image encoder\nfor each view"),
    "fusion": (7.3, 3.1, 1.9, 1.3, SHARED, "weighted sum\nof the views"),
    "joint": (9.7, 1.55, 1.5, 2.85, SHARED, "joint\nspace"),
    "labels": (0.0, 1.55, 2.0, 1.15, AFFECT, "AffectVLM\nexpression labels,\naction units"),
    "geometry": (0.0, 0.0, 2.0, 1.15, SMILE, "SMILE-VLM\nlandmark movement,\nno labels"),
    "prompts": (2.5, 1.55, 1.9, 1.15, AFFECT, "augmented\nprompts, captions"),
    "pseudo": (2.5, 0.0, 1.9, 1.15, SMILE, "pseudo-labeled\nprompts"),
    "text": (4.9, 0.75, 1.9, 1.15, SHARED, "sentence encoder\nMiniLM, frozen"),
    "projection": (7.3, 0.75, 1.9, 1.15, SHARED, "projection"),
    "affect_loss": (11.7, 3.1, 3.3, 1.3, AFFECT, "AffectVLM's training loss\nL_align  image–text contrast\n"
        "L_mc  pairs with a margin\nL_mt  triplets with a margin"),
    "smile_loss": (11.7, 1.55, 3.3, 1.3, SMILE, "SMILE-VLM's training loss\nL_MV  decorrelation of views\n"
        "L_VL  image–text alignment\nL_CM  cross-modal redundancy"),
    "answer": (11.7, 0.0, 3.3, 1.15, DATA, "prediction: expression by the\n"
        "nearest prompts, action units,\nfree text, search"),
}  # fmt: skip
BOTH_ARROWS: Arrows = (
    ("views", "mixed"), ("mixed", "image"), ("image", "fusion"), ("fusion", "joint"), ("labels", "prompts"),
    ("geometry", "pseudo"), ("prompts", "text"), ("pseudo", "text"), ("text", "projection"), ("projection", "joint"),
    ("joint", "affect_loss"), ("joint", "smile_loss"), ("joint", "answer"),
)  # fmt: skip

IMAGES: Boxes = {  # of either method
    "views": (0.0, 2.2, 2.0, 1.3, DATA, "\n\n\n3 views and motion"),
    "mixed": (2.5, 2.2, 1.9, 1.3, SHARED, "mixed view\naugmentation"),
    "image": (4.9, 2.2, 1.9, 1.3, SHARED, "image encoder\nresidual, 0.45 M\nh[v] for each view"),
    "fusion": (7.3, 2.2, 2.5, 1.3, SHARED, "projection, view fusion\nz = normalise(Σ w[v] z[v])\nweights w trained"),
    "text": (4.9, 0.0, 1.9, 1.3, SHARED, "sentence encoder\nMiniLM, frozen"),
    "projection": (7.3, 0.0, 2.5, 1.3, SHARED, "projection\nt"),
}  # fmt: skip
IMAGE_ARROWS: Arrows = (("views", "mixed"), ("mixed", "image"), ("image", "fusion"), ("text", "projection"))

AFFECT_VLM: Boxes = {
    **IMAGES,
    "labels": (0.0, 0.0, 2.0, 1.3, AFFECT, "expression label,\naction units"),
    "prompts": (2.5, 0.0, 1.9, 1.3, AFFECT, "augmented\nprompts, captions"),
    "align": (10.6, 2.2, 4.4, 1.3, AFFECT, "L_align: z and each z[v] against t\n"
        "image–text contrast between expressions"),
    "pairs": (10.6, 0.0, 4.4, 1.3, AFFECT, "½ L_mc + ½ L_mt: pairs and triplets of z[v], t\n"
        "batch-normalised; the margin α is trained"),
}  # fmt: skip
AFFECT_ARROWS: Arrows = (
    *IMAGE_ARROWS, ("labels", "prompts"), ("prompts", "text"), ("fusion", "align"), ("fusion", "pairs"),
    ("projection", "align"), ("projection", "pairs"),
)  # fmt: skip

SMILE_VLM: Boxes = {
    **IMAGES,
    "geometry": (0.0, 0.0, 2.0, 1.3, SMILE, "movement of\nlandmarks,\nno labels"),
    "pseudo": (2.5, 0.0, 1.9, 1.3, SMILE, "pseudo-labeled\nprompts, by rules"),
    "projector": (7.3, 3.9, 2.5, 0.9, SMILE, "projector\n(in training alone)"),
    "views_loss": (10.6, 3.9, 4.4, 0.9, SMILE, "L_MV: cross-correlation of every two views\ntowards the identity"),
    "align": (10.6, 2.2, 4.4, 1.3, SMILE, "β L_VL: z and each z[v] against t\n"
        "image–text contrast between pseudo-labels"),
    "redundancy": (10.6, 0.0, 4.4, 1.3, SMILE, "γ L_CM: cross-correlation of z and t\nwithout off-diagonal terms"),
}  # fmt: skip
SMILE_ARROWS: Arrows = (
    *IMAGE_ARROWS, ("geometry", "pseudo"), ("pseudo", "text"), ("image", "projector"), ("projector", "views_loss"),
    ("fusion", "align"), ("fusion", "redundancy"), ("projection", "align"), ("projection", "redundancy"),
)  # fmt: skip


def draw_method(boxes: Boxes, arrows: Arrows, strip: np.ndarray, path: Path) -> None:
    """Boxes and arrows from views (``strip``: an image of them side by side) to losses."""
    right, top = (max(box[side] + box[side + 2] for box in boxes.values()) for side in (0, 1))
    figure, axes = plt.subplots(figsize=(right, top + 0.2))
    for left, bottom, width, height, colour, text in boxes.values():
        style = "round,pad=0,rounding_size=0.12"
        axes.add_patch(FancyBboxPatch((left, bottom), width, height, style, facecolor=colour, edgecolor=INK, lw=1.1))
        axes.text(left + width / 2, bottom + height / 2, text, ha="center", va="center", color=INK, fontsize=10)
    left, bottom, width, height, *_ = boxes["views"]
    place = (left + 0.13, left + width - 0.13, bottom + height - 0.68, bottom + height - 0.1)
    axes.imshow(strip, extent=place, zorder=3, aspect="auto")
    for start, end in arrows:
        (left, bottom, width, height, *_), (right_of, low, _, tall, *_) = boxes[start], boxes[end]
        target = np.clip(bottom + height / 2, low + 0.25, low + tall - 0.25)
        origin = np.clip(target, bottom + 0.25, bottom + height - 0.25)
        arrow = {"arrowstyle": "-|>", "color": INK, "lw": 1.2, "shrinkA": 1, "shrinkB": 1}
        axes.annotate("", (right_of, target), (left + width, origin), arrowprops=arrow)
    axes.set_xlim(-0.1, right + 0.1)
    axes.set_ylim(-0.1, top + 0.1)
    axes.axis("off")
    _save(figure, path)


def draw_prediction(prepared: PreparedSequence, answer: Prediction, path: Path) -> None:
    """Views of a sequence, its probabilities, its action units and its timeline."""
    figure = plt.figure(figsize=(13, 6), layout="constrained")
    grid = figure.add_gridspec(2, 3, width_ratios=(1.5, 1, 1.3), height_ratios=(1, 1.1))
    faces = figure.add_subplot(grid[0, :2])
    faces.imshow(np.concatenate([strip_of(prepared, 0), strip_of(prepared, answer.apex)]))
    faces.set_title(f"neutral frame, and the apex (frame {answer.apex}): texture and surface normals")
    faces.axis("off")
    _draw_timeline(figure.add_subplot(grid[1, 0]), answer)
    _draw_bars(figure.add_subplot(grid[1, 1]), answer.probabilities)
    _draw_units(figure.add_subplot(grid[:, 2]), answer.action_units)
    _save(figure, path)


def strip_of(prepared: PreparedSequence, frame: int) -> np.ndarray:
    """The views of a frame side by side: textures, then surface normals."""
    images = [view for name in ("texture", "normals") for view in prepared.images[name][frame]]
    return lightened(np.concatenate(images, axis=1))


def lightened(image: np.ndarray) -> np.ndarray:
    """The image, brighter, on white: 0 is the background of textures, 128 that of normals."""
    bright = 255 * (image / 255) ** BRIGHTNESS
    background = (image == 0).all(axis=-1) | (abs(image.astype(int) - 128) <= 1).all(axis=-1)
    return np.where(background[..., None], 255, bright).astype(np.uint8)


def _draw_bars(axes: Axes, values: Mapping[str, float]) -> None:
    """Probabilities, the largest on top."""
    names = sorted(values, key=lambda name: values[name])
    axes.barh(names, [values[name] for name in names], color=[EXPRESSION_COLOURS[name] for name in names])
    axes.set_xlim(0, 1)
    axes.set_title("probability of the sequence")
    axes.spines[["top", "right"]].set_visible(False)


def _draw_timeline(axes: Axes, answer: Prediction) -> None:
    """Probabilities of every frame."""
    timeline = answer.timeline()
    for name, colour in EXPRESSION_COLOURS.items():
        axes.plot(timeline["frame"], timeline[f"prob_{name}"], color=colour, lw=2, label=name)
    axes.axvspan(answer.onset, answer.offset, color="#8a8580", alpha=0.15, lw=0)
    axes.set_xlabel("frame; shaded: from onset to offset")
    axes.set_title("probability of each frame")
    axes.legend(loc="center", fontsize=9)
    axes.set_ylim(0, 1.02)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_units(axes: Axes, strengths: Mapping[str, float]) -> None:
    """The stronger action units; left and right are the subject's."""
    strongest = sorted(sorted(strengths, key=lambda name: -strengths[name])[:UNITS], reverse=True)
    sides = {"l": ", left", "r": ", right"}
    labels = [f"{ACTIONS[name[:4]]}{sides.get(name[5:], '')}  {name[:4]}" for name in strongest]
    axes.barh(labels, [strengths[name] for name in strongest], color="#3b6ea5")
    axes.set_xlim(0, 1)
    axes.set_title("strength of action units")
    axes.spines[["top", "right"]].set_visible(False)


def _save(figure: "plt.Figure", path: Path) -> None:
    figure.savefig(path, dpi=100, bbox_inches="tight", facecolor="white", pil_kwargs={"optimize": True})
    plt.close(figure)


def main() -> None:
    """Draw all."""
    predictor = affect4d.load("affect_vlm")
    prepared = predictor.prepare(affect4d.example(EXAMPLE, frames=FRAMES))
    answer = predictor.classify(prepared)
    textures = np.concatenate(list(prepared.images["texture"][answer.apex]), axis=1)
    strip = lightened(textures)
    draw_method(BOTH, BOTH_ARROWS, strip, FOLDER / "method.png")
    draw_method(AFFECT_VLM, AFFECT_ARROWS, strip, FOLDER / "affect_vlm.png")
    draw_method(SMILE_VLM, SMILE_ARROWS, strip, FOLDER / "smile_vlm.png")
    draw_prediction(prepared, answer, FOLDER / "prediction.png")


if __name__ == "__main__":
    main()
