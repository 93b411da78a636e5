"""One thread that draws: OpenGL wants all of a window's work done in one, whoever asks.

An app answers each visitor in another thread. The thread and its windows live as long as the process.
"""

import functools
import queue
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from affect4d.rendering.cameras import RenderOptions
from affect4d.rendering.canary import as_text, check_canary
from affect4d.rendering.sequences import Pictures, draw_face
from affect4d.scans.scan import FaceScan

if TYPE_CHECKING:
    from affect4d.rendering.rasteriser import Rasteriser

Order = tuple[str, FaceScan, str, "Future[Pictures]"]


def draw(options: RenderOptions, face: FaceScan, name: str) -> "Future[Pictures]":
    """Have a canonical face drawn from every side; the window of these options is kept for the next one.

    Args:
        options: What to draw.
        face: In the canonical frame.
        name: Of the scan, for messages.

    Returns:
        The pictures when they are done, channel → ``[views, height, width, components]``; or a ``RenderError`` where a
        view shows no face or nothing can be drawn here.
    """
    result: Future[Pictures] = Future()
    _orders().put((as_text(options), face, name, result))
    return result


@functools.cache
def _orders() -> "queue.SimpleQueue[Order]":
    """The thread's letter box; the thread starts with it, and ends with the process."""
    orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
    threading.Thread(target=_work, args=(orders,), name="drawing", daemon=True).start()
    return orders


def _work(orders: "queue.SimpleQueue[Order]") -> None:
    rasterisers: dict[str, Rasteriser] = {}
    while True:
        options, face, name, result = orders.get()
        try:
            if options not in rasterisers:
                rasterisers[options] = _open(options)
            result.set_result(draw_face(rasterisers[options], face, name))
        except Exception as error:
            result.set_exception(error)


def _open(options: str) -> "Rasteriser":
    """A window that was tried on a picture that is known."""
    from affect4d.rendering.rasteriser import Rasteriser  # VTK costs a second

    rasteriser = Rasteriser(RenderOptions.model_validate_json(options))
    check_canary(rasteriser)
    return rasteriser
