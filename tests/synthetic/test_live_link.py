"""Live Link Face recordings: what is read and refused, what names give, and the scans that the motion makes."""

import cloudpickle
import numpy as np
import pandas as pd
import pytest

from affect4d.scans.ingest import IngestOptions, ingest_source
from affect4d.scans.scan import ScanError
from affect4d.store import ContentStore
from affect4d.synthetic.action_units import ACTION_UNITS, ARKIT, ARKIT_UNITS, units_of_arkit
from affect4d.synthetic.generated_scan_source import open_source
from affect4d.synthetic.ict_facekit import SHAPES
from affect4d.synthetic.live_link_recordings import list_recordings, name_recording, read_recording
from affect4d.synthetic.live_link_source import ICT_SHAPES, LiveLinkSource, ict_shapes_of, write_recordings
from affect4d.synthetic.recipe import LiveLinkRecipe

COLUMNS = ["Timecode", "BlendShapeCount", *(name[0].upper() + name[1:] for name in ARKIT)]
COLUMNS += [
    "HeadYaw",
    "HeadPitch",
    "HeadRoll",
    *(f"{side}Eye{axis}" for side in ("Left", "Right") for axis in ("Yaw", "Pitch", "Roll")),
]


def timecode(frame: int, start: int = 13 * 3600 * 60) -> str:
    """Of a 60 fps clock."""
    seconds, rest = divmod(start + frame, 60)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{rest:02d}.250"


def take(frames: int = 90, step: int = 2, start: int = 13 * 3600 * 60, **moves: float) -> pd.DataFrame:
    """30 rows a second that rise to ``moves`` in the middle, over a resting face that frowns a little."""
    table = pd.DataFrame(0.0, index=range(frames), columns=COLUMNS, dtype=object)
    table["Timecode"] = [timecode(step * frame, start) for frame in range(frames)]
    table["BlendShapeCount"] = 61
    table[["MouthFrownLeft", "MouthFrownRight"]] = 0.2
    rise = np.sin(np.pi * np.arange(frames) / (frames - 1)) ** 2
    for name, height in moves.items():
        table[name] = table[name] + height * rise
    return table


def write(folder, name, table):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)
    return path


def test_a_recording_is_read_in_seconds_and_coefficients(tmp_path):
    recording = read_recording(write(tmp_path, "a.csv", take(JawOpen=0.8, HeadYaw=0.3)))
    np.testing.assert_allclose(recording.times, np.arange(90) / 30, atol=1e-9)
    assert recording.missing == 0
    jaw = recording.coefficients[:, ARKIT.index("jawOpen")]
    assert jaw.max() == pytest.approx(0.8, abs=1e-3)
    assert recording.head[:, 0].max() == pytest.approx(0.3, abs=1e-3)
    middle, _ = recording.at(np.array([recording.times[10:12].mean()]))
    assert middle[0, ARKIT.index("jawOpen")] == pytest.approx(jaw[10:12].mean())


def test_the_neutral_moment_is_the_least_active_one_whatever_the_gaze(tmp_path):
    table = take(MouthSmileLeft=0.9, MouthSmileRight=0.9).iloc[::-1].reset_index(drop=True)
    table["Timecode"] = take()["Timecode"]
    table["BrowDownLeft"] = np.linspace(1.0, 0.0, 90)
    table["EyeLookDownLeft"] = np.linspace(0.0, 1.0, 90)
    activation, second = read_recording(write(tmp_path, "a.csv", table)).rest
    assert second > 2.6
    assert activation < 1.0


def test_head_eyes_and_count_may_be_absent_and_case_is_free(tmp_path):
    table = take(JawOpen=0.5).drop(columns=[*COLUMNS[-9:], "BlendShapeCount"])
    recording = read_recording(write(tmp_path, "a.csv", table.rename(columns=str.lower)))
    assert (recording.head == 0).all()


def test_a_few_dropped_frames_are_counted_and_bridged(tmp_path):
    recording = read_recording(write(tmp_path, "a.csv", take().drop(index=[40, 41])))
    assert recording.missing == 2
    assert len(recording.times) == 88


def test_a_recording_goes_on_past_midnight(tmp_path):
    table = take()
    frames = 24 * 3600 * 60 - 60 + 2 * np.arange(90)
    table["Timecode"] = [timecode(int(frame % (24 * 3600 * 60)), 0) for frame in frames]
    assert read_recording(write(tmp_path, "a.csv", table)).times[-1] == pytest.approx(89 / 30)


def changed(row, column, value):
    table = take()
    table.loc[row, column] = value
    return table


REFUSED = {
    "another app": (
        lambda: take().drop(columns=["JawOpen", "CheekPuff"]),
        r"\(line 1\): it lacks the columns cheekPuff, jawOpen.*Live Link Face.*wrong-columns",
    ),
    "more columns": (lambda: take().assign(Pulse=1), r"\(line 1\): it has unknown columns Pulse"),
    "a word": (
        lambda: changed(4, "JawOpen", "open"),
        r"\(line 6, column jawOpen\): 'open' is no number from -0.5 to 1.5.*out-of-range",
    ),
    "an empty cell": (lambda: changed(4, "JawOpen", ""), r"\(line 6, column jawOpen\): '' is no number"),
    "percent": (
        lambda: changed(9, "MouthSmileLeft", 57.0),
        r"\(line 11, column mouthSmileLeft\): '57.0'.*of percent, a hundredth",
    ),
    "degrees": (lambda: changed(9, "HeadYaw", 20.0), r"\(line 11, column HeadYaw\): '20.0'.*give radians"),
    "no timecode": (lambda: changed(3, "Timecode", "0.31"), r"\(line 5, column Timecode\): '0.31' is no timecode"),
    "a gap": (
        lambda: take().drop(index=range(30, 60)),
        r"\(line 32, column Timecode\): 1.03 s are missing before .*cut the file there.*gap",
    ),
    "two takes in one": (
        lambda: pd.concat([take(), take()]),
        r"\(line 92, column Timecode\): .*does not come after.*one recording a file",
    ),
    "no rows": (lambda: take().head(0), r"0 rows below its header.*empty"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_bad_files_name_place_and_remedy(tmp_path, kind):
    make, words = REFUSED[kind]
    with pytest.raises(ScanError, match=rf"(?s)bad\.csv {words}" if words.startswith(r"\(") else words):
        read_recording(write(tmp_path, "bad.csv", make()))


@pytest.mark.parametrize(
    ("raw", "words"), [(b"", "empty"), (b"\x00\xff" * 90, "wrong-columns"), (b"a,b\n1,2\n", "wrong-columns")]
)
def test_what_is_no_recording_is_refused(tmp_path, raw, words):
    (tmp_path / "a.csv").write_bytes(raw)
    with pytest.raises(ScanError, match=words):
        read_recording(tmp_path / "a.csv")


def test_a_short_line_is_named(tmp_path):
    path = write(tmp_path, "a.csv", take())
    path.write_text(path.read_text().rsplit(",", 1)[0] + "\n")
    with pytest.raises(ScanError, match=r"line 91\): 62 cells for 63 columns"):
        read_recording(path)


@pytest.mark.parametrize(
    ("path", "subject", "label"),
    [
        ("happiness_01.csv", "corpus", "happiness"),
        ("anna/sad-2.csv", "anna", "sadness"),
        ("happy/ben_3.csv", "ben", "happiness"),
        ("alex_rom_3.csv", "alex", None),
        ("MySlate_4_iPhone_raw.csv", "iPhone", None),
        ("anna_angry_4_iPhone.csv", "anna", "anger"),
        ("20240731_MySlate_neutral_1_022/MySlate_11_iPhone.csv", "iPhone", "neutral"),
        ("ben/20240731_MySlate_3/MySlate_3_iPad.csv", "ben", None),
    ],
)  # fmt: skip
def test_names_give_subject_and_label(path, subject, label):
    name = name_recording(path, "corpus")
    assert (name.subject, name.label) == (subject, label)


def test_the_calibrated_one_of_two_counts_and_patterns_go_before_words(tmp_path):
    for name in ("MySlate_1_iPhone_raw.csv", "MySlate_1_iPhone_cal.csv", "p7/fear_x.csv", "sequences.csv"):
        write(tmp_path, name, take())
    assert [one.path for one in list_recordings(tmp_path)] == ["MySlate_1_iPhone_cal.csv", "p7/fear_x.csv"]
    (only,) = list_recordings(tmp_path, "{subject}/{expression}_{clip}.csv")
    assert (only.subject, only.label, only.sequence) == ("p7", "fear", "p7/fear_x")


def test_coefficients_are_units_as_strong_as_their_shapes():
    for unit, given in ARKIT_UNITS.items():
        shapes = SHAPES.get(unit, {})
        if unit.startswith("AU") and len(shapes) == len(given) == 1:
            (shape, strength), (name, factor) = *shapes.items(), *given.items()
            assert name == shape
            assert factor == pytest.approx(1.0 / strength, abs=0.006)
    full = units_of_arkit(np.eye(len(ARKIT)))
    assert full[ARKIT.index("mouthSmileLeft"), ACTION_UNITS.index("AU12_L")] > 1
    assert full[ARKIT.index("mouthSmileLeft"), ACTION_UNITS.index("AU12_R")] == 0
    assert full[ARKIT.index("jawRight"), ACTION_UNITS.index("jaw_left")] == -1
    assert (full[:, ACTION_UNITS.index("AU23")] == 0).all()
    assert (full.max(axis=1)[[ARKIT.index(name) for name in ("browInnerUp", "eyeBlinkRight", "cheekPuff")]] > 0.7).all()


def test_every_coefficient_but_the_tongue_has_shapes_of_its_own():
    shapes = [shape for name in ARKIT for shape in ict_shapes_of(name)]
    assert len(set(shapes)) == len(shapes) == len(ICT_SHAPES) == 53
    assert [name for name in ARKIT if not ict_shapes_of(name)] == ["tongueOut"]


def test_a_missing_folder_or_nothing_in_it_names_the_setting(tmp_path):
    for folder in (None, str(tmp_path / "nowhere")):
        with pytest.raises(FileNotFoundError, match=r"livelink_folder=/recordings"):
            write_recordings(LiveLinkRecipe(folder=folder), ContentStore(tmp_path))
    (tmp_path / "notes.txt").write_text("no recording")
    with pytest.raises(FileNotFoundError, match="no CSV file of Live Link Face"):
        write_recordings(LiveLinkRecipe(folder=str(tmp_path)), ContentStore(tmp_path))
    write(tmp_path, "a.csv", take())
    with pytest.raises(FileNotFoundError, match="fits the pattern"):
        write_recordings(LiveLinkRecipe(folder=str(tmp_path), pattern="{subject}/{clip}.csv"), ContentStore(tmp_path))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, ict_folder):
    """Two subjects, three takes; the raw corpus and its folder."""
    folder = tmp_path_factory.mktemp("recordings")
    write(folder, "anna/happiness_1.csv", take(MouthSmileLeft=0.9, MouthSmileRight=0.9, HeadYaw=0.2))
    write(folder, "anna/surprise_1.csv", take(JawOpen=0.9, BrowInnerUp=0.9))
    write(folder, "ben/rom.csv", take(frames=180, MouthLeft=0.8))
    recipe = LiveLinkRecipe(folder=str(folder), ict_folder=str(ict_folder), fps=5.0, clip_seconds=3.0)
    return write_recordings(recipe, ContentStore(tmp_path_factory.mktemp("store"))), folder


@pytest.mark.corpus
def test_recordings_are_sequences_that_begin_neutral(recorded):
    raw_corpus, _ = recorded
    table = open_source(raw_corpus).table()
    assert raw_corpus["sequences"] == 4
    assert (len(table), table["subject"].nunique()) == (raw_corpus["scans"], 2)
    labels = table.drop_duplicates("sequence").set_index("sequence")["expression"]
    assert labels["anna/happiness_1"] == "happiness"
    assert labels[["ben/rom/0", "ben/rom/1"]].isna().all()
    units = pd.read_parquet(f"{raw_corpus['root']}/actions.parquet")
    assert (units.loc[units["frame"] == 0, list(ACTION_UNITS)] == 0).all(axis=None)
    strongest = units.groupby("sequence")[["AU12_L", "AU15_L", "AU26", "mouth_left"]].max()
    assert strongest.loc["anna/happiness_1", "AU12_L"] > 0.8
    assert strongest["AU15_L"].max() < 0.01  # the frown at rest is no action
    assert strongest.loc["anna/surprise_1", "AU26"] > 0.8
    attributes = pd.read_parquet(f"{raw_corpus['root']}/attributes.parquet").set_index("sequence")
    assert attributes.loc["anna/surprise_1", "neutral_recording"].startswith("anna/")


@pytest.mark.corpus
def test_the_motion_moves_the_drawn_face(recorded):
    source = open_source(recorded[0])
    rows = source.table().query("sequence == 'anna/surprise_1'").to_dict("records")
    middle = rows[1 + len(rows) // 2]
    rest, open_mouth = (source.read(row).landmarks for row in (rows[0], middle))
    gap = [np.linalg.norm(marks[62] - marks[66]) for marks in (rest, open_mouth)]
    assert (
        abs(
            np.linalg.norm(open_mouth.max(axis=0) - open_mouth.min(axis=0))
            - np.linalg.norm(rest.max(axis=0) - rest.min(axis=0))
        )
        > 8
    )
    assert gap[0] != gap[1]
    again = LiveLinkSource(source.recipe).read(middle)
    np.testing.assert_array_equal(again.landmarks, open_mouth)
    assert len(cloudpickle.dumps(source)) < 4_000
    assert source.read(middle, landmarks=False).landmarks is None
    with pytest.raises(ScanError, match="not-in-recording"):
        source.read({**middle, "frame": 400})


@pytest.mark.corpus
def test_identity_and_checksum_depend_on_the_subject_alone(recorded, ict_folder, tmp_path):
    raw_corpus, folder = recorded
    write(tmp_path / "one", "ben/rom.csv", pd.read_csv(folder / "ben/rom.csv"))
    recipe = open_source(raw_corpus).recipe.model_copy(update={"folder": str(tmp_path / "one"), "files": None})
    alone = open_source(write_recordings(recipe, ContentStore(tmp_path / "store")))
    row = alone.table().iloc[3].to_dict()
    assert alone.checksum(row) == open_source(raw_corpus).checksum(row)
    assert alone.fingerprint() != open_source(raw_corpus).fingerprint()
    other = LiveLinkSource(alone.recipe.model_copy(update={"seed": 5}))
    assert other.checksum(row) != alone.checksum(row)
    before = alone.checksum(row)
    write(tmp_path / "one", "ben/rom.csv", take(frames=180, MouthLeft=0.7))
    louder = open_source(write_recordings(recipe, ContentStore(tmp_path / "store")))
    assert louder.checksum(row) != before


@pytest.mark.corpus
def test_tables_in_the_folder_label_sequences(recorded, ict_folder, tmp_path):
    write(tmp_path, "ben/rom.csv", take(frames=180))
    (tmp_path / "sequences.csv").write_text("sequence,expression\nben/rom/1,fear\n")
    recipe = LiveLinkRecipe(folder=str(tmp_path), ict_folder=str(ict_folder), clip_seconds=3.0)
    raw_corpus = write_recordings(recipe, ContentStore(tmp_path / "store"))
    units = pd.read_parquet(f"{raw_corpus['root']}/actions.parquet")
    assert units.groupby("sequence")["expression"].first().to_dict()["ben/rom/1"] == "fear"


@pytest.mark.corpus
@pytest.mark.slow
def test_ingest_takes_the_scans(recorded, tmp_path):
    ingest = ingest_source(open_source(recorded[0]), IngestOptions(), ContentStore(tmp_path))
    assert len(ingest.manifest) == recorded[0]["scans"]
    assert set(ingest.report["status"]) <= {"ok", "repaired"}


@pytest.mark.corpus
@pytest.mark.slow
def test_raw_files_are_scans_that_can_be_predicted(ict_folder, tmp_path):
    from affect4d.inference.find_recordings import find_recordings

    write(tmp_path / "in", "ben/rom.csv", take(JawOpen=0.9))
    recipe = LiveLinkRecipe(folder=str(tmp_path / "in"), ict_folder=str(ict_folder), fps=2.0)
    raw_corpus = write_recordings(recipe, ContentStore(tmp_path / "store"), raw_files=True)
    (found,) = [one for one in find_recordings(tmp_path / "store" / raw_corpus["key"]) if one.is_sequence]
    assert len(found.rows) == raw_corpus["scans"]
