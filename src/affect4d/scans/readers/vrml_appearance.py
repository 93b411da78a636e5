"""Which picture a face set of a VRML file wears: that of its own ``Shape``."""

import re
from dataclasses import dataclass
from pathlib import Path

from affect4d.scans.readers.texture import find_texture
from affect4d.scans.readers.vrml_outline import Item, Node

MAX_URLS = 16
"""So many of the names of one picture are looked for."""
_KINDS = ("Appearance", "ImageTexture", "TextureTransform")
_USED = re.compile(rb"(?<![\w.-])(appearance|texture)\s+USE(?![\w.-])")
_MOVED_ELSEWHERE = re.compile(rb"(?<![\w.-])textureTransform\s+USE(?![\w.-])")
_STAY = {"translation": (0.0, 0.0), "rotation": (0.0,), "scale": (1.0, 1.0)}
"""Fields of a ``TextureTransform`` that leave a picture where it is; its ``center`` alone moves nothing."""
_MAX_FIELD_BYTES = 2**16


@dataclass(slots=True)
class Look:
    """A node that says how a surface looks.

    Attributes:
        node: Itself.
        shape: The innermost ``Shape`` around it; None where there is none.
        urls: Where the names of its picture stand, the preferred first.
    """

    node: Node
    shape: Node | None
    urls: tuple[tuple[int, int], ...] = ()


def shape_of(around: tuple[Node, ...]) -> Node | None:
    """The innermost ``Shape`` among the nodes around something."""
    return next((node for node in reversed(around) if node.name == "Shape"), None)


def note_look(item: Item, looks: list[Look]) -> None:
    """Add to the list what an item of the outline says about looks."""
    if item.kind == "node" and item.name in _KINDS:
        looks.append(Look(item.around[-1], shape_of(item.around)))
    elif item.kind == "string" and item.inside("ImageTexture") and "url" in (item.name, item.around[-1].name):
        looks[-1].urls = (*looks[-1].urls, (item.start, item.end))[:MAX_URLS]


def looks_on(around: tuple[Node, ...], looks: list[Look]) -> list[Look]:
    """Those that concern a face set: of its own ``Shape``; all, where it has none, as some scanners write.

    Args:
        around: The nodes around the face set, itself the last.
        looks: All of the file, in its order.

    Returns:
        Of every kind the last before the face set, else the first after it.
    """
    shape, start = shape_of(around), around[-1].start
    chosen: dict[str, Look] = {}
    for look in looks:
        kind = look.node.name
        nameless = kind == "ImageTexture" and not look.urls
        mine = shape is None or look.shape is shape
        if mine and not nameless and (look.node.start < start or kind not in chosen):
            chosen[kind] = look
    return list(chosen.values())


def picture_named(looks: list[Look], raw: bytes, path: Path) -> str | None:
    """The name of the picture: of several, the first that is there; None where none is given."""
    spans = next((look.urls for look in looks if look.urls), ())
    names = [raw[start:end].decode("utf-8", "replace") for start, end in spans]
    for name in names if len(names) > 1 else ():
        place, _ = find_texture(path, name)
        if place is not None and place.name == Path(name).name:
            return name
    return names[0] if names else None


def written_elsewhere(around: tuple[Node, ...], looks: list[Look], raw: bytes) -> tuple[str, ...]:
    """What of a face set's looks is not followed, because it stands elsewhere in the file; in words."""
    shape = shape_of(around)
    nodes = [look.node for look in looks if look.node.name == "Appearance"] + ([] if shape is None else [shape])
    found = (_USED.search(node.words(raw)) for node in nodes)
    return tuple(f"{use[1].decode()} is written elsewhere (USE) and was not followed" for use in found if use)


def moves_picture(looks: list[Look], raw: bytes) -> bool:
    """Whether a ``TextureTransform`` moves the picture over the surface, or one that is written elsewhere may."""
    appearances = (look.node.words(raw) for look in looks if look.node.name == "Appearance")
    return any(_MOVED_ELSEWHERE.search(words) for words in appearances) or any(
        look.node.name == "TextureTransform" and not _stays(look.node, raw) for look in looks
    )


def _stays(transform: Node, raw: bytes) -> bool:
    words = transform.words(raw)[:_MAX_FIELD_BYTES].replace(b",", b" ").split()
    for name, still in _STAY.items():
        if name.encode() in words:
            start = words.index(name.encode()) + 1
            try:
                numbers = tuple(float(word) for word in words[start : start + len(still)])
            except ValueError:
                return False
            if numbers != still:
                return False
    return True
