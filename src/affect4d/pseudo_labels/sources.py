"""The sources of pseudo-labels behind one interface: unlabelled tables in, a table of prompts out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import pandas as pd

from affect4d.prompts.pseudo_labels.clusters import cluster_findings
from affect4d.prompts.pseudo_labels.geometry import (
    UNLABELLED,
    geometric_findings,
    measured_by_rules,
    refuse_labels,
    subject_of,
)
from affect4d.prompts.pseudo_labels.options import PseudoLabelOptions, Source
from affect4d.prompts.pseudo_labels.sentences import prompts_of
from affect4d.prompts.pseudo_labels.zero_shot import zero_shot_findings
from affect4d.pseudo_labels.refresh import Refreshing, embed_after_training
from affect4d.store import ContentStore
from affect4d.views.inputs import FrameSampler


@dataclass(frozen=True)
class Unlabelled:
    """What pseudo-labels may be made from.

    Attributes:
        scans: One row a scan: ``sequence``, ``subject``, ``frame``, ``landmarks``.
        views: View manifest without its labels; only the sources that look at pictures read it.
        store: Where the pictures are.
        train: Training subjects; whatever is fitted is fitted on them.
        refreshing: How clusters are refreshed; None where they are not.
        frames: Which frames a pretrained model looks at: those that the model to be taught is trained on.

    Raises:
        ValueError: If a table has a label column.
    """

    scans: pd.DataFrame
    views: pd.DataFrame
    store: ContentStore
    train: Sequence[str]
    refreshing: Refreshing | None = None
    frames: FrameSampler = field(default_factory=FrameSampler)

    def __post_init__(self) -> None:
        """Refuse labels."""
        refuse_labels(self.scans)
        refuse_labels(self.views)

    @classmethod
    def of(
        cls,
        scan_manifest: pd.DataFrame,
        view_manifest: pd.DataFrame,
        store: ContentStore,
        train: Sequence[str],
        refreshing: Refreshing | None = None,
        frames: FrameSampler | None = None,
    ) -> "Unlabelled":
        """The unlabelled part of two manifests."""
        views = view_manifest.drop(columns=["expression", "label"], errors="ignore")
        scans = scan_manifest[list(UNLABELLED)]
        return cls(scans, views, store, train, refreshing, frames or FrameSampler())


def write_pseudo_prompts(data: Unlabelled, options: PseudoLabelOptions) -> pd.DataFrame:
    """Say in words, for every sequence, what its face shows.

    Args:
        data: What may be looked at; no labels.
        options: Which source, how many prompts, how sure to be.

    Returns:
        One row a prompt: ``sequence``, ``prompt``, ``pseudo_label`` (an expression, or a pattern as in "AU1+AU4"),
        ``confidence`` (0…1, see the source), ``source``. Sequences the source cannot judge have no row;
        ``attrs["unmeasured"]`` lists them.

    Raises:
        ValueError: If a source lacks what it needs; the message says what would help.
    """
    table = prompts_of(SOURCES[options.source](data, options), options)
    named = set(table["sequence"])
    table.attrs["unmeasured"] = [name for name in subject_of(data.scans).index if name not in named]
    return table


def by_geometry(data: Unlabelled, options: PseudoLabelOptions) -> pd.DataFrame:
    """Findings of the rules on landmarks."""
    return geometric_findings(data.scans, data.train, options)


def by_pretrained_model(data: Unlabelled, options: PseudoLabelOptions) -> pd.DataFrame:
    """Findings of a pretrained vision-language model."""
    from affect4d.pseudo_labels.pretrained import compare_with_prompts  # open_clip costs seconds

    similarities, scale = compare_with_prompts(data.views, data.store, options.zero_shot, data.frames)
    train = subject_of(data.views)[similarities.index].isin(list(data.train))
    return zero_shot_findings(similarities, train, scale, options)


def by_clusters(data: Unlabelled, options: PseudoLabelOptions) -> pd.DataFrame:
    """Findings of clusters: first of what the landmarks did, then, each refresh, of a model trained on those before.

    Raises:
        ValueError: If clusters are to be refreshed, and nobody said how a model is trained.
    """
    rules, scores = measured_by_rules(data.scans, data.train, options)
    train = subject_of(data.scans)[scores.index].isin(list(data.train))
    found = cluster_findings(scores, train, rules, scores, options)
    for number in range(1, options.cluster.refreshes + 1):
        if data.refreshing is None:
            raise ValueError("Clusters are refreshed by training a model: hand over how, or set refreshes to 0.")
        prompts = prompts_of(found, options)
        embeddings = embed_after_training(data.views, data.store, prompts, train, data.refreshing, number)
        found = cluster_findings(embeddings, train[embeddings.index], rules, scores, options)
    return found


SOURCES: Mapping[Source, Callable[[Unlabelled, PseudoLabelOptions], pd.DataFrame]] = MappingProxyType(
    {"geometry": by_geometry, "zero_shot": by_pretrained_model, "cluster": by_clusters}
)
"""Source → its findings, one row a sequence; see :data:`affect4d.prompts.pseudo_labels.naming.FINDING_COLUMNS`."""
