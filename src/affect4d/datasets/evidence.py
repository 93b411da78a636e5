"""What earlier runs have left on disk about the claims, as a catalog entry."""

import json
import logging
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

LOGGER = logging.getLogger(__name__)
CLAIMS = "versions/claims.json"
CARRIED_OVER = "findings/claim_9.json"
"""Claim 9 is about another corpus than the claims beside it: one of micro-expressions."""


class EvidenceDataset(AbstractDataset[None, dict[str, Any]]):
    """Loads as a mapping of ``studies``, ``findings``, ``cross_validations``, ``robustness`` and ``answers``.

    Of each document it is the newest version that is whole: another run may be writing one. What is not there is left
    out: no run needs to have been made. Nothing is ever saved through it. What SMILE-VLM does with micro-expressions is
    found beside any corpus: of one that has none itself, on the corpus of micro-expressions that was run last. Every
    finding has the day it was ``made``. ``answers`` are those of the claims
    tables of every corpus, each with its ``day``.

    Args:
        filepath: Folder of one corpus's reports; a relative one is the project's, by this name for Kedro. It holds
            ``studies/NAME.json``, ``findings/claim_N.json``, ``cross_validation/PROTOCOL/CORPUS/scores.json`` and
            ``robustness.json``.
        metadata: Kedro's.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> dict[str, Any]:
        """Read what is there."""
        studies = sorted(self._folder.glob("studies/*.json"))
        validations = sorted(self._folder.glob("cross_validation/*/*/scores.json"))
        robustness = self._folder / "robustness.json"
        return {
            "studies": {path.stem: told for path in studies if (told := _newest(path)) is not None},
            "findings": self._findings(),
            "cross_validations": [told for path in validations if (told := _newest(path)) is not None],
            "robustness": _newest(robustness),
            "answers": {
                path.parents[1].name: answer
                for path in sorted(self._folder.parent.glob(f"*/{CLAIMS}"))
                if (answer := _answer(path)) is not None
            },
        }

    def _findings(self) -> dict[str, list[dict[str, Any]]]:
        """By the number of the claim."""
        newest = {path.stem.removeprefix("claim_"): path for path in self._folder.glob("findings/claim_*.json")}
        found = {claim: rows for claim, path in newest.items() if (rows := _made(path)[1])}
        elsewhere = max(
            map(_made, self._folder.parent.glob(f"*/{CARRIED_OVER}")), default=("", []), key=lambda one: one[0]
        )
        return {"9": elsewhere[1], **found} if elsewhere[1] else found

    def save(self, data: None) -> None:
        """Never: the pipelines that measure write their own documents."""
        raise DatasetError("Evidence is gathered from what other pipelines wrote, not saved.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}


def _made(path: Path) -> tuple[str, list[dict[str, Any]]]:
    """When findings were made, as the version's name has it, and they with the day; without a time where none are."""
    found = _newest_version(path)
    if found is None or not found[1]:
        return "", []
    version = found[0].parent.name if path.is_dir() else ""
    return version, [{**row, "made": row.get("made") or version[:10]} for row in found[1]]


def _answer(path: Path) -> dict[str, Any] | None:
    """A corpus's claims table, and the day it was made: a version's name begins with it."""
    found = _newest_version(path)
    return None if found is None else {"day": found[0].parent.name[:10], "claims": found[1]}


def _newest(path: Path) -> Any:
    """The document, or the newest version of it; None where there is none, or only its folder."""
    found = _newest_version(path)
    return None if found is None else found[1]


def _newest_version(path: Path) -> tuple[Path, Any] | None:
    """The newest version that is whole, and what it says."""
    versions = path.glob(f"*/{path.name}") if path.is_dir() else [path] if path.exists() else []
    for version in sorted(versions, reverse=True):
        try:
            return version, json.loads(version.read_text(encoding="utf-8"))
        except ValueError:
            LOGGER.warning("%s is not whole JSON: still being written, or damaged. It is left out.", version)
    return None
