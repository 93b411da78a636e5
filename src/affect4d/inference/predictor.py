"""A trained vision-language model at work: raw scans in, expressions out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64
from torch.nn.functional import normalize

from affect4d.evaluation.embed import FRAMES, mean_by_sequence, window_rows
from affect4d.evaluation.zero_shot import zero_shot_probabilities
from affect4d.inference.bundle import Bundle
from affect4d.inference.packaged import bundle_folder
from affect4d.inference.preparation import NO_NEUTRAL, PreparedScan, PreparedSequence, Preparer, Scan
from affect4d.inference.reading import FrameReading, Prediction
from affect4d.inference.weights import Opened, read_bundle
from affect4d.inference.words import unknown_words
from affect4d.memory import keep_freed_memory
from affect4d.models import tokenise
from affect4d.views.augment import assemble_plain

NEAREST = 3
"""Prompts that an answer names."""
AT_ONCE = 32
"""Frames that are embedded in one batch."""


@dataclass(frozen=True)
class Seen:
    """What a model makes of a recording.

    Attributes:
        frames: Unit vector of the joint space of every usable scan.
        fused: Of the recording: the mean over the scans that speak for it.
        view_weights: Share of each view in every scan's vector.
        in_window: Whether a scan speaks for the recording.
    """

    frames: Float32[np.ndarray, "frames dim"]
    fused: Float32[np.ndarray, " dim"]
    view_weights: Float32[np.ndarray, "frames views"]
    in_window: tuple[bool, ...]


class Predictor:
    """A bundle that answers; safe to ask from any thread.

    Attributes:
        bundle: What it says of itself.
        model: In evaluation mode, on the CPU.
        preparer: From raw scans to what the model looks at.
    """

    def __init__(self, opened: Opened) -> None:
        keep_freed_memory()
        self.bundle: Bundle = opened.bundle
        self.model = opened.model
        self.preparer = Preparer(self.bundle.render, self.bundle.inputs, self.bundle.crop_radius)
        self._known = opened.known
        self._sentences = [text for texts in self.bundle.prompts.values() for text in texts]
        self._prompts = np.concatenate(list(opened.prompts.values()))
        means = np.stack([vectors.mean(axis=0) for vectors in opened.prompts.values()])
        self._classes: np.ndarray = normalize(torch.from_numpy(means), dim=-1).numpy()

    @classmethod
    def load(cls, model: str | Path = "affect_vlm") -> "Predictor":
        """A packaged model by name, or the bundle in a folder.

        Raises:
            BundleError: If there is no such model, or its folder is damaged.
        """
        return cls(read_bundle(bundle_folder(model)))

    @property
    def expressions(self) -> tuple[str, ...]:
        """What can be answered."""
        return self.bundle.expressions

    @property
    def classes(self) -> Float32[np.ndarray, "expressions dim"]:
        """Unit vector of every expression in the joint space: the normalised mean of its prompts'."""
        return self._classes

    @property
    def views(self) -> tuple[str, ...]:
        """What is looked at, motion views included."""
        return self.bundle.views

    @property
    def scale(self) -> float:
        """Factor on cosines before the softmax, calibration included."""
        calibration = self.bundle.calibration
        with torch.inference_mode():
            return float(self.model.temperature()) / (calibration.temperature if calibration else 1.0)

    def predict(self, scans: Scan | Sequence[Scan], *, neutral: Scan | None = None, name: str = "") -> Prediction:
        """Name the expression of a face.

        Args:
            scans: A scan (its file, or read already); several, as the frames of one sequence; or a folder of them.
            neutral: The same face at rest, which the model tells movement from; by default, a sequence's first frame.
            name: What to call the recording; by default its file or folder.

        Raises:
            ScanError: If no scan is usable; of several, the first one's.
        """
        return self.answer(self.prepare(scans, neutral=neutral, name=name))

    def prepare(
        self, scans: Scan | Sequence[Scan], *, neutral: Scan | None = None, name: str = "", keep_faces: bool = False
    ) -> PreparedSequence:
        """The slow half of an answer: read, align and draw; ``keep_faces`` keeps the canonical faces, to show them."""
        return replace(self.preparer, keep_faces=keep_faces).prepare(scans, neutral=neutral, name=name)

    def accepts(self, prepared: PreparedSequence) -> bool:
        """Whether what another predictor prepared is what this one would have prepared."""
        return prepared.made_for == (self.preparer.render, self.preparer.inputs, self.preparer.crop_radius)

    @torch.inference_mode()
    def look(self, prepared: PreparedSequence) -> Seen:
        """Embed every usable scan of a recording.

        Raises:
            ValueError: If it was prepared for a model that sees other pictures.
        """
        if not self.accepts(prepared):
            raise ValueError(f"{prepared.name} was prepared for other pictures than {self.bundle.name} was trained on.")
        frames, weights = [], []
        for rows in torch.split(torch.tensor(prepared.rows), AT_ONCE):
            images = assemble_plain(prepared.bank, rows, self.bundle.inputs)
            embedding = self.model.embed_views(images)
            frames.append(embedding.fused)
            weights.append(self.model.image.fusion.weights(embedding.views))
        fused = torch.cat(frames)
        chosen = window_rows(prepared.bank, prepared.name, FRAMES)
        places = [prepared.rows.index(row) for row in chosen]
        mean = normalize(mean_by_sequence(fused[places], [len(places)]), dim=-1)[0]
        window = tuple(row in chosen for row in prepared.rows)
        return Seen(fused.numpy(), mean.numpy(), torch.cat(weights).numpy(), window)

    def answer(self, prepared: PreparedSequence, seen: Seen | None = None) -> Prediction:
        """The quick half of an answer: what the model makes of the pictures.

        Args:
            prepared: A recording.
            seen: What :meth:`look` made of it, where somebody looked already.
        """
        seen = seen or self.look(prepared)
        by_frame = self.probabilities(seen.frames)
        shares = self.probabilities(seen.fused[None])[0]
        chosen = seen.view_weights[np.array(seen.in_window)].mean(axis=0)
        return Prediction(
            model=self.bundle.name,
            name=prepared.name,
            subject=prepared.subject,
            expression=self.expressions[int(shares.argmax())],
            probabilities=self._named(shares),
            calibrated=self.bundle.calibration is not None,
            nearest_prompts=self._nearest(seen.fused),
            view_weights=dict(zip(self.views, map(float, chosen), strict=True)),
            frames=tuple(self._readings(prepared, by_frame, seen.in_window)),
            **_told(prepared),
        )

    def probabilities(
        self, fused: Float32[np.ndarray, "recordings dim"]
    ) -> Float64[np.ndarray, "recordings expressions"]:
        """Shares of the expressions, of unit vectors of the joint space."""
        shares: np.ndarray = zero_shot_probabilities(fused, self._classes, self.scale)
        return shares

    def embedding(self, prepared: PreparedSequence) -> Float32[np.ndarray, " dim"]:
        """Unit vector of a recording in the joint space."""
        return self.look(prepared).fused

    def similarity(self, prepared: PreparedSequence, sentences: Sequence[str]) -> Float32[np.ndarray, " sentences"]:
        """Cosine between a recording and each sentence, −1…1."""
        cosines: np.ndarray = self.embed_texts(sentences) @ self.look(prepared).fused
        return cosines

    def similarities(
        self, prepared: PreparedSequence, sentences: Sequence[str]
    ) -> Float32[np.ndarray, "frames sentences"]:
        """Cosine between every usable scan of a recording and each sentence, −1…1."""
        cosines: np.ndarray = self.look(prepared).frames @ self.embed_texts(sentences).T
        return cosines

    @torch.inference_mode()
    def embed_texts(self, sentences: Sequence[str]) -> Float32[np.ndarray, "sentences dim"]:
        """Unit vectors of sentences in the joint space."""
        tokens = tokenise(list(sentences), int(self.model.options.towers.context_length))
        return self.model.embed_texts(tokens).numpy()

    def unknown_words(self, sentence: str) -> tuple[str, ...]:
        """Words of a sentence that the model never saw, and that say nothing to it."""
        return () if self._known is None else unknown_words(sentence, self._known)

    def _nearest(self, fused: Float32[np.ndarray, " dim"]) -> tuple[tuple[str, float], ...]:
        cosines = self._prompts @ fused
        order = np.argsort(-cosines, kind="stable")[:NEAREST]
        return tuple((self._sentences[place], float(cosines[place])) for place in order)

    def _named(self, shares: Float64[np.ndarray, " expressions"]) -> dict[str, float]:
        return dict(zip(self.expressions, map(float, shares), strict=True))

    def _readings(
        self, prepared: PreparedSequence, shares: Float64[np.ndarray, "frames expressions"], window: Sequence[bool]
    ) -> list[FrameReading]:
        answers = iter(zip(shares, window, strict=True))
        return [
            self._reading(scan, *next(answers)) if scan.usable else refused_reading(scan) for scan in prepared.scans
        ]

    def _reading(self, scan: PreparedScan, shares: Float64[np.ndarray, " expressions"], chosen: bool) -> FrameReading:
        likeliest = self.expressions[int(shares.argmax())]
        told = (scan.file, scan.frame, scan.status, scan.code, scan.reason)
        return FrameReading(*told, likeliest, self._named(shares), chosen, scan.activity)


def refused_reading(scan: PreparedScan) -> FrameReading:
    """What can be said of a scan that is not usable."""
    return FrameReading(scan.file, scan.frame, scan.status, scan.code, scan.reason, None, {}, False, 0.0)


def _told(prepared: PreparedSequence) -> dict[str, Any]:
    """Status, code and reason of a recording; of a sequence, frame numbers of onset, apex and offset."""
    noted = [scan for scan in prepared.scans if scan.status != "ok"]
    told: dict[str, Any] = {"status": "repaired" if noted else "ok", "code": noted[0].code if noted else ""}
    moments = prepared.moments
    if moments is None:
        notes = [*(scan.reason for scan in noted), *([] if prepared.has_neutral else [NO_NEUTRAL])]
        return {**told, "reason": "; ".join(notes)}
    refused = sum(not scan.usable for scan in noted)
    counts = {"refused": refused, "repaired": len(noted) - refused}
    notes = [f"{count} of {len(prepared.scans)} scans {word}" for word, count in counts.items() if count]
    frames = {name: prepared.usable[getattr(moments, name)].frame for name in ("onset", "apex", "offset")}
    return {**told, "reason": "; ".join([*notes, *(scan.reason for scan in noted[:1])]), **frames}
