"""Our prediction of scans. ``python our_predictions.py one MODEL FILE…`` or ``… many MODEL FOLDER``.

``one`` prints the seconds each file took, the first one not counted; then the processor seconds of the middle one.
``many`` prints the seconds a whole folder took, start left out, how many scans it was, and the most memory the process
held, in MB.
"""

import statistics
import sys
import time
from pathlib import Path

from affect4d.inference import Predictor
from affect4d.inference.batch import predict_recordings
from affect4d.inference.find_recordings import find_recordings
from affect4d.inference.results import ResultTables
from affect4d.malloc_and_peak_memory import peak_memory


def one(model: str, files: list[str]) -> None:
    """Predict every file by the Python call's own method."""
    predictor = Predictor.load(model)
    taken, busy = [], []
    for name in files:
        start, before = time.perf_counter(), time.process_time()
        predictor.predict(name)
        taken.append(time.perf_counter() - start)
        busy.append(time.process_time() - before)
    print(*taken[1:])
    print(statistics.median(busy[1:]))


def many(model: str, folder: str) -> None:
    """Predict a folder as the pipeline does, in this process; the first scan pays the start."""
    recordings = find_recordings(Path(folder), grouping="single")
    list(predict_recordings(recordings[:1], Path(model)))
    predictor = Predictor.load(model)
    tables = ResultTables(predictor.expressions, predictor.views)
    start = time.perf_counter()
    for prediction, _ in predict_recordings(recordings, Path(model), images=60):
        tables.add(prediction)
    scans = len(tables.tables()[0])
    print(time.perf_counter() - start, scans, peak_memory() / 2**20)


if __name__ == "__main__":
    {"one": lambda: one(sys.argv[2], sys.argv[3:]), "many": lambda: many(sys.argv[2], sys.argv[3])}[sys.argv[1]]()
