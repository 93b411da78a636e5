"""What a pretrained vision-language model says of every sequence: the source ``zero_shot``."""

import pandas as pd

from affect4d.evaluation.embed import embed_sequences
from affect4d.evaluation.zero_shot import class_embeddings, expression_prompts
from affect4d.models import TowerOptions
from affect4d.models.pretrained import PretrainedPair
from affect4d.prompts.pseudo_labels.options import ZeroShotOptions
from affect4d.store import ContentStore
from affect4d.views.bank import load_view_bank
from affect4d.views.inputs import FrameSampler, InputOptions

CONTEXT_LENGTH = 32


def compare_with_prompts(
    views: pd.DataFrame, store: ContentStore, options: ZeroShotOptions, frames: FrameSampler
) -> tuple[pd.DataFrame, float]:
    """Cosine of every sequence with the prompt ensemble of every expression, and the model's factor on it.

    Args:
        views: View manifest without labels.
        store: Where the pictures are.
        options: Which model, which pictures.
        frames: Which frames of a sequence it looks at.

    Returns:
        One row a sequence (the index), one column an expression; and the scale.

    Raises:
        ValueError: If the model has no weights, or its text tower does not read CLIP's tokens.
        FileNotFoundError: If its file or folder of weights does not exist.
    """
    towers = TowerOptions(name=options.name, pretrained=options.pretrained, context_length=CONTEXT_LENGTH)
    model = PretrainedPair(towers)
    seen = InputOptions(channels=(options.channel,), motion="none", frames=frames, size=model.size)
    embeddings = embed_sequences(model, load_view_bank(views, store, seen), seen)
    prompts = expression_prompts()
    cosines = embeddings.fused @ class_embeddings(model, prompts).T
    return pd.DataFrame(cosines, index=list(embeddings.sequences), columns=list(prompts)), model.scale
