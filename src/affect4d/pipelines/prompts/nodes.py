"""Text for both models: augmented prompts from labels, pseudo-labeled prompts from geometry alone."""

from typing import Any

import pandas as pd

from affect4d.content import ContentStore, code_version, content_key, table_digest
from affect4d.prompts.compose import PromptOptions, compose_prompts
from affect4d.prompts.pseudo_labels import PseudoPromptOptions, write_pseudo_prompts

UNLABELLED = ["sequence", "subject", "frame", "landmarks"]


def write_augmented_prompts(
    sequences: pd.DataFrame, options: PromptOptions, prompt_store: ContentStore
) -> pd.DataFrame:
    """Templates filled with the expression's many words and the attributes the corpus itself gives."""
    labelled = sequences.dropna(subset=["expression"]).reset_index(drop=True)
    key = content_key(sequences=table_digest(labelled), options=options, code=code_version("prompts"))
    return prompt_store.table(f"augmented-{key}", lambda: compose_prompts(labelled, options))


def write_geometric_prompts(
    scan_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    options: PseudoPromptOptions,
    prompt_store: ContentStore,
) -> pd.DataFrame:
    """Prompts made without labels: the frame handed over has no label column."""
    unlabelled, subjects = scan_manifest[UNLABELLED], tuple(subject_split["train"])
    key = content_key(scans=table_digest(unlabelled), subjects=subjects, options=options, code=code_version("prompts"))
    return prompt_store.table(f"pseudo-{key}", lambda: write_pseudo_prompts(unlabelled, subjects, options))
