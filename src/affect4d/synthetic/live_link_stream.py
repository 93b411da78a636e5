"""Live Link Face over the network: a phone's motion on a generated face, as scans in a folder.

The app sends one UDP packet a frame to port 11111. A packet, big-endian: version (1 byte), the device's and the
subject's name (4 bytes of length and as many of text), frame (4), fraction of a frame (float), rate and its denominator
(4, 4), the number of values (1), and as many floats: ARKit's 52 coefficients, then yaw, pitch and roll of the head and
of both eyes, rad. The format is not published; it was put together from receivers that are. They agree but for jaw and
mouth, whose left comes before the right here, as in Unreal Engine's ``EARFaceBlendShape``.
"""

import logging
import socket
import struct
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from affect4d.scans.readers import READERS
from affect4d.synthetic.action_units import ARKIT, units_of_arkit
from affect4d.synthetic.live_link_recordings import HEAD, HIGHEST, LARGEST_ANGLE, LOWEST, ArkitWeights
from affect4d.synthetic.live_link_source import load_face, over_neutral, play, turns_of_head
from affect4d.synthetic.recipe import LiveLinkRecipe
from affect4d.synthetic.scan_file_writers import image_bytes, write_file, wrl_bytes
from affect4d.synthetic.scanner import draw_conditions

LOGGER = logging.getLogger(__name__)
PORT = 11111
VERSION, VALUES = 6, 61
LARGEST_PACKET = 65_535
WAIT = 0.2  # seconds between looks at whether to stop
MOST_WAITING = 256  # packets that are looked at together
KEPT = 300  # newest scans in the folder, beside the neutral one; older ones are removed

_SIDES = ("Left", "Right")
_EYE = ("eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide")
_MOUTH = ("mouthSmile", "mouthFrown", "mouthDimple", "mouthStretch")
SENT: tuple[str, ...] = (
    *(f"{name}{side}" for side in _SIDES for name in _EYE),
    "jawForward", "jawLeft", "jawRight", "jawOpen",
    "mouthClose", "mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight",
    *(f"{name}{side}" for name in _MOUTH for side in _SIDES),
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
    *(f"{name}{side}" for name in ("mouthPress", "mouthLowerDown", "mouthUpperUp", "browDown") for side in _SIDES),
    "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    *(f"{name}{side}" for name in ("cheekSquint", "noseSneer") for side in _SIDES),
    "tongueOut",
)  # fmt: skip
"""ARKit's coefficients in the order of a packet."""
_ORDER = [SENT.index(name) for name in ARKIT]


class LiveLinkFrame(NamedTuple):
    """One packet."""

    device: str
    subject: str
    frame: int
    coefficients: ArkitWeights  # 0…1
    head: Float64[np.ndarray, "3"]  # yaw, pitch, roll; rad


def read_packet(packet: bytes) -> LiveLinkFrame:
    """Read a packet; a ValueError says how it is none of Live Link Face's."""
    try:
        (version,) = struct.unpack_from(">B", packet)
        device, place = _text(packet, 1)
        subject, place = _text(packet, place)
        frame, _, _, _, count = struct.unpack_from(">IfIIB", packet, place)
        place += struct.calcsize(">IfIIB")
        if (version, count) != (VERSION, VALUES):
            raise ValueError(f"version {version} with {count} values, where {VERSION} with {VALUES} is read")
        values = np.array(struct.unpack_from(f">{VALUES}f", packet, place), dtype=np.float64)
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"{len(packet)} bytes are no packet of Live Link Face (ARKit mode)") from error
    coefficients, head = values[_ORDER], values[len(SENT) : len(SENT) + len(HEAD)]
    if not ((coefficients >= LOWEST) & (coefficients <= HIGHEST)).all() or not (np.abs(head) <= LARGEST_ANGLE).all():
        raise ValueError("values are no coefficients and angles")
    return LiveLinkFrame(device, subject, frame, np.clip(coefficients, 0.0, 1.0), head)


def _text(packet: bytes, place: int) -> tuple[str, int]:
    (length,) = struct.unpack_from(">I", packet, place)
    begin = place + 4
    if begin + length > len(packet):
        raise struct.error("the text ends after the packet")
    return packet[begin : begin + length].decode("utf-8"), begin + length


def open_port(host: str = "", port: int = PORT) -> socket.socket:
    """A UDP port of this machine; an OSError names it where it is in use."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise OSError(
            f"Port {port} cannot be opened ({error.strerror}): end what uses it, or name another one."
        ) from error
    listening.settimeout(WAIT)
    return listening


def receive_frames(listening: socket.socket, stop: Event | None = None) -> Iterator[LiveLinkFrame]:
    """The newest frame of the first phone each time one is asked for; those in between are passed over.

    The first packet that is none, and the first of another phone, are warned of.
    """
    stop, told, phone = stop or Event(), set[str](), None
    while not stop.is_set():
        newest = None
        for packet in _waiting(listening):
            try:
                frame = read_packet(packet)
            except ValueError as error:
                _warn_once(told, "packet", f"A packet is not read: {error}. Others are not mentioned.")
                continue
            phone = phone or (frame.device, frame.subject)
            if (frame.device, frame.subject) == phone:
                newest = frame
            else:
                _warn_once(told, "phone", f"{frame.subject} is another face than {phone[1]}: it is not read.")
        if newest is not None:
            yield newest


def _warn_once(told: set[str], kind: str, message: str) -> None:
    if kind not in told:
        LOGGER.warning("%s", message)
    told.add(kind)


def _waiting(listening: socket.socket) -> list[bytes]:
    """All packets that wait, or the next one; none after ``WAIT`` seconds."""
    packets = []
    try:
        packets.append(listening.recv(LARGEST_PACKET))
        listening.setblocking(False)
        while len(packets) < MOST_WAITING:
            packets.append(listening.recv(LARGEST_PACKET))
    except (TimeoutError, BlockingIOError):
        pass
    finally:
        listening.settimeout(WAIT)
    return packets


def write_frames(frames: Iterable[LiveLinkFrame], folder: Path, recipe: LiveLinkRecipe) -> Iterator[Path]:
    """Write each frame as a scan, ``000000.wrl`` with ``000000.jpg``, and yield its path.

    The first frame is the neutral face, over which the others move. The newest ``KEPT`` scans and the neutral one stay.

    Args:
        folder: Made where there is none.
        recipe: Of the face; a subject's face follows from the name in the app.

    Raises:
        FileExistsError: If the folder holds scans already.
        FileNotFoundError: If there is no clone of ICT-FaceKit.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(path.suffix.lower() in READERS for path in folder.iterdir()):
        raise FileExistsError(f"{folder} holds scans already: name an empty folder.")
    load_face(recipe.ict_folder)  # a missing one is named before anything is awaited
    neutral, written, rng = None, deque[Path](), np.random.default_rng(recipe.seed)
    conditions = draw_conditions(np.zeros(1), rng, recipe.sensor)
    for number, frame in enumerate(frames):
        neutral = frame if neutral is None else neutral
        coefficients = over_neutral(frame.coefficients[None], neutral.coefficients)
        turns = conditions.turns + turns_of_head((frame.head - neutral.head)[None])
        posed, units = replace(conditions, turns=turns), units_of_arkit(coefficients)
        scan = play(recipe, frame.subject, coefficients[0], units[0], posed, 0, rng)
        path = folder / f"{number:06d}.wrl"
        write_file(path.with_suffix(".jpg"), image_bytes(scan, "JPEG"))
        write_file(path, wrl_bytes(scan, path.with_suffix(".jpg").name))
        yield path
        if number > 0:
            written.append(path)
        if len(written) > KEPT:
            _remove(written.popleft())


def _remove(scan: Path) -> None:
    for path in (scan, scan.with_suffix(".jpg")):
        path.unlink(missing_ok=True)
