"""Predictor: a packaged model that takes raw scans, and gives expressions and their attributions to the face mesh."""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64
from torch.nn.functional import normalize

from affect4d.evaluation.attribution import STEPS, class_direction, empty_images, image_attribution, mesh_attribution
from affect4d.evaluation.sequence_embeddings_and_probabilities import FRAMES, mean_by_sequence, window_rows
from affect4d.evaluation.zero_shot import zero_shot_probabilities
from affect4d.inference.packaged_model_description import PackagedModel, find_packaged_model
from affect4d.inference.packaged_weights import LoadedModel, read_packaged_model, unknown_words
from affect4d.inference.preprocessing import NO_NEUTRAL, PreparedSequence, Preprocessor, ScanInput, refused_frame
from affect4d.inference.results import FramePrediction, Prediction
from affect4d.malloc_and_peak_memory import keep_freed_memory
from affect4d.views.batch_augmentation_and_motion import assemble_unaugmented

NEAREST = 3  # nearest prompts in a prediction
BATCH = 32  # frames that are embedded together


@dataclass(frozen=True)
class RecordingEmbedding:
    """Embeddings of a recording in the joint space."""

    frames: Float32[np.ndarray, "frames dim"]  # unit vector of every usable scan
    fused: Float32[np.ndarray, " dim"]  # normalised mean over the frames in the window
    view_weights: Float32[np.ndarray, "frames views"]
    in_window: tuple[bool, ...]
    action_units: Float32[np.ndarray, "frames units"] | None  # strengths, 0…1; None where the model gives none


class Predictor:
    """Packaged model in memory, in evaluation mode on the CPU; safe to call from any thread."""

    def __init__(self, loaded: LoadedModel) -> None:
        keep_freed_memory()
        self.description: PackagedModel = loaded.description
        self.model = loaded.model
        self.scale = loaded.scale  # factor on cosines before the softmax, calibration included
        self.preprocessor = Preprocessor(loaded.description)
        self._known, self._head = loaded.known, loaded.action_units
        self._sentences = [text for texts in loaded.description.prompts.values() for text in texts]
        self._prompts = np.concatenate(list(loaded.prompts.values()))
        means = np.stack([vectors.mean(axis=0) for vectors in loaded.prompts.values()])
        self._classes: np.ndarray = normalize(torch.from_numpy(means), dim=-1).numpy()

    @classmethod
    def load(cls, model: str | Path = "affect_vlm") -> "Predictor":
        """Model that comes with the package, by name, or the packaged model in a folder."""
        return cls(read_packaged_model(find_packaged_model(model)))

    @property
    def expressions(self) -> tuple[str, ...]:
        """Classes, in the order of probabilities."""
        return self.description.expressions

    @property
    def classes(self) -> Float32[np.ndarray, "expressions dim"]:
        """Unit vector of every expression in the joint space: the normalised mean of its prompts'."""
        return self._classes

    @property
    def action_units(self) -> tuple[str, ...]:
        """Names of the action units that predictions have; none for a model that gives none."""
        return self.description.action_unit_names

    @property
    def views(self) -> tuple[str, ...]:
        """Names of the model's views, motion views included."""
        return self.description.views

    def predict(
        self,
        scans: ScanInput | Sequence[ScanInput],
        *,
        neutral: ScanInput | None = None,
        name: str = "",
        answer_unsure: bool = False,
    ) -> Prediction:
        """Predict the expression of a face.

        Args:
            scans: A scan (its file, or in memory); several, as the frames of one sequence; or a folder of them.
            neutral: Neutral scan of the same face, the reference of movement; by default, a sequence's first frame.
            answer_unsure: Answer scans whose pose is doubtful, too, instead of refusing them.

        Raises:
            ScanError: If no scan is usable; of several, the first one's.
        """
        return self.classify(self.prepare(scans, neutral=neutral, name=name, answer_unsure=answer_unsure))

    def prepare(
        self,
        scans: ScanInput | Sequence[ScanInput],
        *,
        neutral: ScanInput | None = None,
        name: str = "",
        keep_faces: bool = False,
        answer_unsure: bool = False,
    ) -> PreparedSequence:
        """Read, align and render scans: the slow half.

        ``keep_faces`` keeps the canonical meshes with their landmarks, for display.
        """
        preprocessor = replace(
            self.preprocessor, keep_faces=keep_faces, find_landmarks=keep_faces, answer_unsure=answer_unsure
        )
        return preprocessor.prepare(scans, neutral=neutral, name=name)

    def accepts(self, prepared: PreparedSequence) -> bool:
        """Whether a recording was prepared with this model's options."""
        return prepared.made_for == self.preprocessor.image_options

    @torch.inference_mode()
    def embed(self, prepared: PreparedSequence) -> RecordingEmbedding:
        """Embed every usable scan of a recording.

        Raises:
            ValueError: If it was prepared for a model with other images.
        """
        if not self.accepts(prepared):
            raise ValueError(
                f"{prepared.name} was prepared for other images than {self.description.name} was trained on."
            )
        frames, weights, hidden = [], [], []
        for rows in torch.split(torch.tensor(prepared.rows), BATCH):
            images = assemble_unaugmented(prepared.bank, rows, self.description.inputs)
            embedding = self.model.embed_views(images)
            frames.append(embedding.fused)
            weights.append(self.model.image.fusion.weights(embedding.views))
            hidden.append(embedding.hidden.flatten(1))
        fused = torch.cat(frames)
        chosen = window_rows(prepared.bank, prepared.name, FRAMES)
        places = [prepared.rows.index(row) for row in chosen]
        mean = normalize(mean_by_sequence(fused[places], [len(places)]), dim=-1)[0]
        window = tuple(row in chosen for row in prepared.rows)
        units = None
        if self._head is not None:
            units = self._head.readout(prepared.has_neutral).predict(torch.cat(hidden).numpy())
        return RecordingEmbedding(fused.numpy(), mean.numpy(), torch.cat(weights).numpy(), window, units)

    def classify(self, prepared: PreparedSequence, embedding: RecordingEmbedding | None = None) -> Prediction:
        """Predict from a prepared recording; its ``embedding`` is computed unless given."""
        embedding = embedding or self.embed(prepared)
        probabilities = self.probabilities(embedding.fused[None])[0]
        window = np.array(embedding.in_window)
        weights = embedding.view_weights[window].mean(axis=0)
        strengths = None if embedding.action_units is None else embedding.action_units[window].mean(axis=0)
        return Prediction(
            model=self.description.name,
            name=prepared.name,
            subject=prepared.subject,
            expression=self.expressions[int(probabilities.argmax())],
            probabilities=self._by_name(probabilities),
            calibrated=self.description.calibration is not None,
            nearest_prompts=self._nearest(embedding.fused),
            view_weights=dict(zip(self.views, map(float, weights), strict=True)),
            frames=tuple(self._frames(prepared, embedding)),
            action_units=self._strengths(strengths),
            action_unit_errors=self._expected_errors(prepared),
            **_remarks(prepared),
        )

    def probabilities(
        self, fused: Float32[np.ndarray, "recordings dim"]
    ) -> Float64[np.ndarray, "recordings expressions"]:
        """Class probabilities of unit vectors of the joint space."""
        probabilities: np.ndarray = zero_shot_probabilities(fused, self._classes, self.scale)
        return probabilities

    def similarity(self, prepared: PreparedSequence, sentences: Sequence[str]) -> Float32[np.ndarray, " sentences"]:
        """Cosine between a recording and each sentence, −1…1; :meth:`remarks` come as warnings."""
        cosines: np.ndarray = self.embed_sentences(sentences) @ self.embed(prepared).fused
        return cosines

    def similarities(
        self, prepared: PreparedSequence, sentences: Sequence[str]
    ) -> Float32[np.ndarray, "frames sentences"]:
        """Cosine between every usable scan of a recording and each sentence, −1…1; with the same warnings."""
        cosines: np.ndarray = self.embed(prepared).frames @ self.embed_sentences(sentences).T
        return cosines

    def embed_sentences(self, sentences: Sequence[str]) -> Float32[np.ndarray, "sentences dim"]:
        """:meth:`embed_texts`, with :meth:`remarks` as warnings."""
        for remark in dict.fromkeys(remark for sentence in sentences for remark in self.remarks(sentence)):
            warnings.warn(remark, stacklevel=3)
        return self.embed_texts(sentences)

    @torch.inference_mode()
    def embed_texts(self, sentences: Sequence[str]) -> Float32[np.ndarray, "sentences dim"]:
        """Unit vectors of sentences in the joint space.

        Raises:
            ValueError: If a sentence is empty.
            PretrainedModelMissingError: If the model's sentence encoder is not installed.
        """
        return self.model.embed_texts(self.model.preprocess_texts(list(sentences))).numpy()

    def unknown_words(self, sentence: str) -> tuple[str, ...]:
        """Words of a sentence that are not in the model's vocabulary, and have no effect."""
        return () if self._known is None else unknown_words(sentence, self._known)

    def remarks(self, sentence: str) -> tuple[str, ...]:
        """Warnings about a sentence: words without effect, an end that is not read, another language than English."""
        unknown = ", ".join(f"“{word}”" for word in self.unknown_words(sentence))
        words = (f"{unknown} not in the vocabulary of {self.description.name}: without effect.",) if unknown else ()
        return (*words, *self.model.text.preprocess.remarks(sentence))

    def _nearest(self, fused: Float32[np.ndarray, " dim"]) -> tuple[tuple[str, float], ...]:
        cosines = self._prompts @ fused
        order = np.argsort(-cosines, kind="stable")[:NEAREST]
        return tuple((self._sentences[place], float(cosines[place])) for place in order)

    def _by_name(self, probabilities: Float64[np.ndarray, " expressions"]) -> dict[str, float]:
        return dict(zip(self.expressions, map(float, probabilities), strict=True))

    def _strengths(self, values: Float32[np.ndarray, " units"] | None) -> dict[str, float] | None:
        return None if values is None else dict(zip(self.action_units, map(float, values), strict=True))

    def _expected_errors(self, prepared: PreparedSequence) -> Mapping[str, float] | None:
        known = self.description.action_units
        if known is None:
            return None
        return known.with_neutral if prepared.has_neutral else known.alone

    def _frames(self, prepared: PreparedSequence, embedding: RecordingEmbedding) -> Iterator[FramePrediction]:
        units: Iterable[Any] = [None] * len(prepared.rows)
        if embedding.action_units is not None:
            units = embedding.action_units
        usable = iter(zip(self.probabilities(embedding.frames), embedding.in_window, units, strict=True))
        for scan in prepared.scans:
            if not scan.usable:
                yield refused_frame(scan)
                continue
            probabilities, in_window, strengths = next(usable)
            expression = self.expressions[int(probabilities.argmax())]
            status = (scan.file, scan.frame, scan.status, scan.code, scan.reason)
            answer = expression, self._by_name(probabilities), in_window, scan.activity
            yield FramePrediction(*status, *answer, self._strengths(strengths))


def attribution_on_mesh(
    predictor: Predictor, prepared: PreparedSequence, place: int, expression: str, steps: int = STEPS
) -> Float32[np.ndarray, " vertices"]:
    """Attribution of an expression's score, less the mean of the others', to every vertex of a usable scan's face.

    Positive is in favour. The baseline is the recording's neutral frame; an empty image where there is none, and for
    the neutral frame itself. ValueError if the recording was not prepared with ``keep_faces``.
    """
    face = prepared.usable[place].face
    if face is None:
        raise ValueError("The meshes of this recording were not kept: prepare it with keep_faces=True.")
    if expression not in predictor.expressions:
        raise ValueError(f"{expression!r} is none of {', '.join(predictor.expressions)}.")
    inputs, row = predictor.description.inputs, prepared.rows[place]
    neutral = int(prepared.bank.neutral[row])
    images = assemble_unaugmented(prepared.bank, torch.tensor([row]), inputs)
    if prepared.has_neutral and neutral != row:
        baseline = assemble_unaugmented(prepared.bank, torch.tensor([neutral]), inputs)
    else:
        baseline = empty_images(images, inputs)
    direction = class_direction(predictor.classes, predictor.expressions.index(expression))
    maps = image_attribution(predictor.model, images, baseline, direction, steps)[0]
    return mesh_attribution(maps, face, predictor.description.render)


def _remarks(prepared: PreparedSequence) -> dict[str, Any]:
    """Status, code and reason of a recording; of a sequence, frame numbers of onset, apex and offset."""
    noted = [scan for scan in prepared.scans if scan.status != "ok"]
    status: dict[str, Any] = {"status": "repaired" if noted else "ok", "code": noted[0].code if noted else ""}
    moments = prepared.moments
    if moments is None:
        notes = [*(scan.reason for scan in noted), *([] if prepared.has_neutral else [NO_NEUTRAL])]
        return {**status, "reason": "; ".join(notes)}
    refused = sum(not scan.usable for scan in noted)
    counts = {"refused": refused, "repaired": len(noted) - refused}
    notes = [f"{count} of {len(prepared.scans)} scans {word}" for word, count in counts.items() if count]
    frames = {name: prepared.usable[getattr(moments, name)].frame for name in ("onset", "apex", "offset")}
    return {**status, "reason": "; ".join([*notes, *(scan.reason for scan in noted[:1])]), **frames}
