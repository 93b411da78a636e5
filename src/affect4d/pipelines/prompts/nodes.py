"""Text for both models: augmented prompts from labels, pseudo-labeled prompts from geometry alone."""

from typing import Any

import pandas as pd

from affect4d.prompts.compose import PromptOptions, compose_prompts
from affect4d.prompts.pseudo_labels import PseudoPromptOptions, write_pseudo_prompts

UNLABELLED = ["sequence", "subject", "frame", "landmarks"]
DESCRIBED = ["sequence", "expression", "gender", "age_group"]


def write_augmented_prompts(scan_manifest: pd.DataFrame, options: PromptOptions) -> pd.DataFrame:
    """Templates filled with the expression's many words and the attributes the corpus itself gives."""
    sequences = scan_manifest[DESCRIBED].drop_duplicates("sequence").dropna(subset=["expression"])
    return compose_prompts(sequences.reset_index(drop=True), options)


def write_geometric_prompts(
    scan_manifest: pd.DataFrame, subject_split: dict[str, Any], options: PseudoPromptOptions
) -> pd.DataFrame:
    """Prompts made without labels: the frame handed over has no label column."""
    return write_pseudo_prompts(scan_manifest[UNLABELLED], tuple(subject_split["train"]), options)
