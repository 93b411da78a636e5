"""A self-supervised tower on micro-expressions, beside what it must beat; one table, one set of scores a way."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from affect4d.evaluation.embed import ViewModel
from affect4d.evaluation.micro.clips import labelled_clips
from affect4d.evaluation.micro.features import ClipFeatures, difference_features, flow_features, tower_features
from affect4d.evaluation.micro.heads import Head, linear_head, temporal_head
from affect4d.evaluation.micro.leave_one_out import MicroScores, judge_left_out, score_clips
from affect4d.progress import track
from affect4d.scans.splits import SubjectSplit
from affect4d.views.bank import ViewBank
from affect4d.views.inputs import InputOptions

PROTOCOLS: Mapping[str, bool] = {"multi_label": False, "single_label": True}
"""All clips, each with every class it has; or the clips of one class, each told apart from four others."""


def examine_clips(
    model: ViewModel,
    untrained: ViewModel,
    bank: ViewBank,
    options: InputOptions,
    sequences: pd.DataFrame,
    split: SubjectSplit,
    seed: int,
) -> tuple[dict[str, MicroScores], pd.DataFrame]:
    """Judge the clips of the test side, one subject left out at a time, by four kinds of features.

    The tower learnt, without labels, from the training side alone; heads learn from everybody but the one left out.

    Args:
        model: The trained one.
        untrained: The same with the weights its training began from: training from scratch is the head's alone.
        bank: Pictures of all clips.
        options: Channels, motion and size of the models.
        sequences: See :func:`~affect4d.evaluation.micro.clips.labelled_clips`.
        split: Whose test side is judged.
        seed: Of the heads.

    Returns:
        Scores by ``way.protocol``, and the predictions of all of them.
    """
    clips = labelled_clips(sequences)
    rng = np.random.default_rng(0)
    scores, tables = {}, []
    for way, (features, head) in _ways(model, untrained, bank, options, clips).items():
        for protocol, one_class in track(list(PROTOCOLS.items()), f"leaving one subject out: {way}"):
            name = f"{way}.{protocol}"
            judged = judge_left_out(head, features, clips, split.test, name, one_class=one_class, seed=seed)
            scores[name] = score_clips(judged, rng)
            tables.append(judged)
    return scores, pd.concat(tables, ignore_index=True)


def _ways(
    model: ViewModel, untrained: ViewModel, bank: ViewBank, options: InputOptions, clips: pd.DataFrame
) -> dict[str, tuple[ClipFeatures, Head]]:
    kinds: dict[str, tuple[Any, Head]] = {
        "smile_vlm": (tower_features(model, bank, options, clips), temporal_head),
        "random_tower": (tower_features(untrained, bank, options, clips), temporal_head),
        "difference": (difference_features(bank, clips), linear_head),
        "optical_flow": (flow_features(bank, clips), linear_head),
    }
    return kinds
