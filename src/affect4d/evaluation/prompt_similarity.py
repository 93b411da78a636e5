"""Similarity of sequences and expression prompts by a pretrained vision-language model, without training."""

import pandas as pd

from affect4d.evaluation.sequence_embeddings import embed_sequences
from affect4d.evaluation.zero_shot import class_embeddings, expression_prompts
from affect4d.models import EncoderOptions, PretrainedModel
from affect4d.models.options import open_clip_source
from affect4d.pseudo_labels.options import ZeroShotOptions
from affect4d.pseudo_labels.rules import refuse_labels
from affect4d.store import ContentStore
from affect4d.views.bank import load_view_bank
from affect4d.views.input_options import FrameSampler, InputOptions


def prompt_similarities(
    views: pd.DataFrame, store: ContentStore, options: ZeroShotOptions, frames: FrameSampler
) -> tuple[pd.DataFrame, float]:
    """Cosine of every sequence with every expression's prompt ensemble, and the model's factor on cosines.

    Args:
        views: View manifest without labels.
        store: Where the images are.

    Returns:
        One row a sequence (the index), one column an expression; and the factor.

    Raises:
        ValueError: If the table has a label column, or the model has no weights.
        FileNotFoundError: If its file or folder of weights does not exist.
    """
    refuse_labels(views)
    source = open_clip_source(options.name)
    model = PretrainedModel(EncoderOptions(image=source, text=source, pretrained=options.pretrained))
    inputs = InputOptions(channels=(options.channel,), motion="none", frames=frames, size=model.size)
    embeddings = embed_sequences(model, load_view_bank(views, store, inputs), inputs)
    prompts = expression_prompts()
    cosines = embeddings.fused @ class_embeddings(model, prompts).T
    return pd.DataFrame(cosines, index=list(embeddings.sequences), columns=list(prompts)), model.scale
