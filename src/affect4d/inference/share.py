"""A bundle as a folder to hand on.

It loads with ``affect4d.load``, and with plain open_clip where that built the towers.
"""

import csv
import shutil
from pathlib import Path

from safetensors.torch import save_file

from affect4d.inference.bundle import BUNDLE_FILE, CARD_FILE, WEIGHTS_FILE, Bundle, read_description
from affect4d.inference.open_clip_folder import write_open_clip
from affect4d.inference.weights import read_weights

PROMPTS_FILE, README = "prompts.csv", "README.md"

OURS = """## Load it

    import affect4d
    model = affect4d.load("path/to/{name}")
    print(model.predict("smile.ply", neutral="at_rest.ply").probabilities)   # what has moved is seen

`prompts.csv` holds the sentences that stand for each expression.
"""
OPEN_CLIP = """
Both towers load with plain open_clip too:

    import open_clip
    towers = open_clip.create_model("local-dir:path/to/{name}")
    tokeniser = open_clip.get_tokenizer("local-dir:path/to/{name}")

A picture's three channels are {channels}, each drawn from a scan as `bundle.json` says; views are fused, and answers
calibrated, only by `affect4d`.
"""


def share_bundle(source: Path, target: Path) -> Path:
    """Write a bundle's folder to hand on: the bundle, its prompts as a table, a page to read, open_clip's two files.

    Args:
        source: A bundle.
        target: Where to; it is made. Files of an earlier folder are written over.

    Returns:
        The target.

    Raises:
        BundleError: If the source is no bundle.
    """
    bundle = read_description(source)
    target.mkdir(parents=True, exist_ok=True)
    for name in (BUNDLE_FILE, CARD_FILE):
        shutil.copyfile(source / name, target / name)
    weights = read_weights(source)
    if bundle.options.towers.architecture is not None:
        weights = write_open_clip(target, bundle, weights)
    save_file(weights, target / WEIGHTS_FILE)
    _write_prompts(bundle, target / PROMPTS_FILE)
    (target / README).write_text(_read_me(bundle, target), encoding="utf-8")
    return target


def _write_prompts(bundle: Bundle, file: Path) -> None:
    """As ``prompts.file`` takes them."""
    with file.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerow(("expression", "prompt"))
        writer.writerows((expression, text) for expression, texts in bundle.prompts.items() for text in texts)


def _read_me(bundle: Bundle, folder: Path) -> str:
    """The card, and how the folder is loaded."""
    text = OURS if bundle.options.towers.architecture is None else OURS + OPEN_CLIP
    card = (folder / CARD_FILE).read_text(encoding="utf-8").rstrip() or f"# {bundle.name}"
    return f"{card}\n\n{text.format(name=bundle.name, channels=', '.join(bundle.inputs.channels))}"
