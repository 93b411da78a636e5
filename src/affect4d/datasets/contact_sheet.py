"""A contact sheet of views, with a preview in Kedro-Viz."""

import base64
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractVersionedDataset, Version
from kedro_datasets._typing import ImagePreview
from PIL import Image

PREVIEW_RATIO = 458 / 300
"""Width to height of Kedro-Viz's preview, which stretches a picture to it."""


class ContactSheetDataset(AbstractVersionedDataset[Image.Image, Image.Image]):
    """A PNG picture, versioned.

    Faces are personal: only a corpus of synthetic faces may set ``preview: true``, which shows the sheet in Kedro-Viz.
    """

    def __init__(
        self,
        *,
        filepath: str,
        preview: bool = False,
        version: Version | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(filepath=PurePosixPath(filepath), version=version)
        self._preview = preview
        self.metadata = metadata

    def load(self) -> Image.Image:
        """The picture, fully read."""
        with Image.open(str(self._get_load_path()), formats=["PNG"]) as picture:
            picture.load()
            return picture

    def save(self, data: Image.Image) -> None:
        """Write it as PNG."""
        path = Path(str(self._get_save_path()))
        path.parent.mkdir(parents=True, exist_ok=True)
        data.save(path, format="PNG", compress_level=1)

    def preview(self) -> ImagePreview:
        """The newest sheet, base64-encoded; an empty picture for faces of real people."""
        picture = self.load() if self._preview else Image.new("RGB", (1, 1), "white")
        buffer = BytesIO()
        _on_paper(picture).save(buffer, format="PNG")
        return ImagePreview(base64.b64encode(buffer.getvalue()).decode())

    def _exists(self) -> bool:
        return Path(str(self._get_load_path())).exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}


def _on_paper(picture: Image.Image) -> Image.Image:
    """The picture in the middle of white paper of the preview's proportions, so that faces keep theirs."""
    width = max(picture.width, round(picture.height * PREVIEW_RATIO))
    height = max(picture.height, round(picture.width / PREVIEW_RATIO))
    paper = Image.new("RGB", (width, height), "white")
    paper.paste(picture.convert("RGB"), ((width - picture.width) // 2, (height - picture.height) // 2))
    return paper
