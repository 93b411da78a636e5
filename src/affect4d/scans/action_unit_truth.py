"""True strengths of action units: the generator's own weights, or a corpus's FACS coding, where a shown unit has 1.

Units are named ``AU01_l``: left and right are the subject's.
"""

import re

import pandas as pd

from affect4d.left_out import MissingInputError
from affect4d.scans.expression import split_labels

SIDED: frozenset[int] = frozenset((1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 16, 20, 34, 45))
"""Units with a left and a right half; coded without a side, both are shown."""
PRESENT = 0.2  # strength from which a unit counts as shown


def action_unit_truth(true_action_units: pd.DataFrame, scan_manifest: pd.DataFrame) -> pd.DataFrame:
    """True strengths, 0…1, by (sequence, frame); NaN where a unit is not coded.

    Args:
        true_action_units: Weights of a synthetic corpus, columns ``sequence``, ``frame``, ``AU1_L`` …; else empty.
        scan_manifest: Columns ``sequence``, ``frame``, ``actions`` and ``apex``. Of a clip that is coded as a whole (it
            has an apex), the coding counts for the apex frame alone. Units that a corpus never codes are not columns.

    Raises:
        MissingInputError: If there is neither.
    """
    tables = [_coded_actions(scan_manifest)]
    if len(true_action_units):
        known = true_action_units.set_index(["sequence", "frame"]).filter(regex=r"^AU\d")
        tables.append(known.rename(columns=unit_name).clip(0.0, 1.0))
    truth = pd.concat([table for table in tables if len(table)] or [pd.DataFrame()])
    if truth.empty:
        raise MissingInputError(
            "No action units are learnt: no frame has them. Synthetic corpora do, and corpora with FACS coding "
            "(docs/data.md)."
        )
    truth = truth[~truth.index.duplicated(keep="last")]
    return truth.reindex(columns=sorted(truth.columns)).astype("float32")


def unit_name(name: str) -> str:
    """Our name of a unit.

    >>> unit_name("AU1_L"), unit_name("AU17")
    ('AU01_l', 'AU17')
    """
    number, _, side = name.removeprefix("AU").partition("_")
    return f"AU{int(number):02d}{f'_{side.lower()}' if side else ''}"


def coded_units(actions: str) -> set[str]:
    """Names of the units in a cell of the manifest's ``actions``; one that is held counts as shown.

    >>> sorted(coded_units("AU1_L+AU4(k)+AU26"))
    ['AU01_l', 'AU04_l', 'AU04_r', 'AU26']
    """
    names: set[str] = set()
    for part in split_labels(actions):
        found = re.fullmatch(r"AU(\d+)(?:_([LR]))?(?:\(k\))?", part)
        if found is None:
            raise ValueError(f"The action {part!r} in {actions!r} is not written as AU12, AU12_L or AU12(k).")
        number, side = int(found[1]), found[2]
        sides = (side,) if side else ("L", "R") if number in SIDED else ("",)
        names |= {unit_name(f"AU{number}_{one}" if one else f"AU{number}") for one in sides}
    return names


def _coded_actions(scan_manifest: pd.DataFrame) -> pd.DataFrame:
    """Coded presence, 0 or 1, of every unit that the corpus codes anywhere."""
    columns = scan_manifest.reindex(columns=["sequence", "frame", "actions", "apex"])
    coded = columns[columns["actions"].notna() & (columns["apex"].isna() | (columns["apex"] == columns["frame"]))]
    shown = [coded_units(actions) for actions in coded["actions"]]
    names = sorted(set().union(*shown))
    if not names:
        return pd.DataFrame()
    index = pd.MultiIndex.from_frame(coded[["sequence", "frame"]])
    return pd.DataFrame([[float(name in units) for name in names] for units in shown], index=index, columns=names)


def strengths_at_peak(truth: pd.DataFrame) -> pd.DataFrame:
    """Strengths of every sequence in the frame whose strengths sum highest; NaN where a unit is not coded.

    Args:
        truth: :func:`action_unit_truth`.
    """
    peaks = truth.sum(axis=1).groupby(level="sequence").idxmax()
    return truth.loc[peaks].droplevel("frame")
