"""Names to rows: every corpus on trees of empty files, whole and in part."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from affect4d.scans.corpora import CORPORA, corpus_named
from affect4d.scans.corpora import file_patterns_and_label_sheets as corpus_files
from affect4d.scans.corpora.bosphorus import GROUPS
from affect4d.scans.corpora.bp4d import SUBJECTS as BP4D_SUBJECTS
from affect4d.scans.corpora.bp4d import TASKS, read_occurrence
from affect4d.scans.corpora.bu3dfe import CODES, ETHNICITIES
from affect4d.scans.corpora.bu3dfe import SUBJECTS as BU3DFE_SUBJECTS
from affect4d.scans.corpora.corpus_class_and_scan_table import SCAN_COLUMNS, completeness
from affect4d.scans.corpora.file_patterns_and_label_sheets import (
    ListedFile,
    compile_pattern,
    parse_actions,
    whole_number,
)
from affect4d.scans.expression import EXPRESSIONS, join_labels, split_labels
from affect4d.scans.ingest import IngestOptions, ingest_source
from affect4d.scans.protocols import PROTOCOLS, draw, protocol_named, protocol_table, protocols_of
from affect4d.scans.readers import READERS
from affect4d.scans.readers.range_image import Intrinsics
from affect4d.scans.scan_source_and_corpus_folder import FileSource
from affect4d.scans.splits import check_disjoint
from affect4d.store import ContentStore


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def bu3dfe_names() -> list[str]:
    stems = []
    for number, subject in enumerate(BU3DFE_SUBJECTS):
        shown = [f"{code}{level:02d}" for code in CODES for level in (1, 2, 3, 4)] + ["NE00"]
        stems += [f"{subject}/{subject}_{one}{ETHNICITIES[number % 6]}" for one in shown]
    return [
        name for stem in stems for name in (f"{stem}_F3D.wrl", f"{stem}_F3D.bnd", f"{stem}_F2D.bmp", f"{stem}_RAW.wrl")
    ]


def bosphorus_stems() -> list[str]:
    """4,666 scans of 105 people, of whom 65 show all six expressions."""
    words = ("ANGER", "DISGUST", "FEAR", "HAPPY", "SADNESS", "SURPRISE")
    stems = []
    for number in range(105):
        subject = f"bs{number:03d}"
        shown = words if number < 65 else words[: number % 6]
        stems += [f"{subject}/{subject}_{one}_0" for one in ("N_N", *(f"E_{word}" for word in shown))]
    people = [f"bs{number:03d}" for number in range(105)]
    others = [f"{group}_{code}" for group in GROUPS[2:] for code in ("12", "22L", "A12A15", "R10", "EYE", "34")]
    extra = [f"{subject}/{subject}_{one}_0" for one in others for subject in people]
    return stems + extra[: 4_666 - len(stems)]


def bp4d_names(frames: int) -> list[str]:
    names = []
    for number, subject in enumerate(BP4D_SUBJECTS):
        for task in TASKS:
            digits = 3 + number % 2
            for frame in range(frames):
                stem = f"Sequences(2D+3D)/{subject}/{task}/{frame:0{digits}d}"
                names += [f"{stem}.obj", f"{stem}.mtl", f"{stem}.jpg"]
                names.append(f"3DFeatures/{subject}/{task}/{frame:04d}.tbnd")
    return names


def bu4dfe_names(frames: int) -> list[str]:
    names = ["BU_WrlViewer_V2/F001/Angry.wrl"]
    for sequence in CORPORA["bu4dfe"].whole.sequence_names:
        for frame in range(frames):
            names += [f"{sequence}/{frame:03d}.wrl", f"{sequence}/{frame:03d}.jpg"]
            names.append(f"BU4DFE_BND_V1.1/{sequence}/{frame:03d}.bnd")
    return names


@pytest.fixture
def pretend(monkeypatch):
    """A folder that holds these names, without making it."""

    def show(name: str, names: list[str]) -> pd.DataFrame:
        listed = tuple(ListedFile(path, 0, 0) for path in sorted(names))
        monkeypatch.setattr(corpus_files, "list_files", lambda _root: listed)
        return CORPORA[name].find_scans(Path("/nowhere"))

    return show


# ------------------------------------------------------------------------------------------------ whole corpora


def test_a_whole_bu3dfe_has_2500_scans_of_100_people(tmp_path):
    table = CORPORA["bu3dfe"].find_scans(touch(tmp_path, *bu3dfe_names()))
    assert (len(table), table["subject"].nunique(), table["sequence"].nunique()) == (2_500, 100, 2_500)
    assert table["label"].value_counts().to_dict() == {"neutral": 100, **dict.fromkeys(EXPRESSIONS, 400)}
    assert table["level"].value_counts().to_dict() == {0: 100, 1: 600, 2: 600, 3: 600, 4: 600}
    assert table["expression"].isna().sum() == 100
    assert table.drop_duplicates("subject")["gender"].value_counts().to_dict() == {"F": 56, "M": 44}
    assert set(table["ethnicity"]) == set(ETHNICITIES)
    row = table.set_index("sequence").loc["F0001/AN01"]
    assert row["texture"] == "F0001/F0001_AN01WH_F2D.bmp"
    assert row["landmark_file"] == "F0001/F0001_AN01WH_F3D.bnd"
    assert completeness(CORPORA["bu3dfe"], table)["missing"].sum() == 0
    protocols = protocol_table("bu3dfe", table).set_index("protocol")
    assert protocols.loc["P1", ["subjects", "scans", "folds", "train", "test"]].tolist() == [60, 720, 10, "54", "6"]
    assert protocols.loc["P2", ["subjects", "scans", "folds", "train", "test"]].tolist() == [60, 720, 10, "54", "6"]
    assert protocols.loc["subset_I", ["subjects", "scans"]].tolist() == [60, 720]
    assert protocols.loc["subset_II", ["subjects", "scans", "train", "test"]].tolist() == [60, 1_440, "54", "6"]
    assert protocols.loc["subset_II_all", ["subjects", "scans", "train", "test"]].tolist() == [100, 2_400, "90", "10"]


def test_a_whole_bosphorus_gives_60_of_65_people_and_360_scans(tmp_path):
    stems = bosphorus_stems()
    names = [f"{stem}{suffix}" for stem in stems for suffix in (".bnt", ".png", ".lm3", ".lm2")]
    table = CORPORA["bosphorus"].find_scans(touch(tmp_path, *names))
    assert (len(table), table["subject"].nunique()) == (4_666, 105)
    shown = table.dropna(subset=["expression"]).groupby("subject")["expression"].nunique()
    assert (shown == 6).sum() == 65
    assert completeness(CORPORA["bosphorus"], table)["missing"].sum() == 0
    row = protocol_table("bosphorus", table).set_index("protocol").loc["60_of_65"]
    assert row[["subjects", "scans", "folds", "train", "test"]].tolist() == [60, 360, 10, "54", "6"]
    actions = table.set_index("sequence")["actions"]
    assert actions["bs000/LFAU_22L_0"] == "AU22_L"
    assert actions["bs000/LFAU_A12A15_0"] == "AU12+AU15"
    assert pd.isna(actions["bs000/E_HAPPY_0"])


def test_a_whole_bu4dfe_has_606_sequences(pretend):
    table = pretend("bu4dfe", bu4dfe_names(frames=3))
    assert (table["sequence"].nunique(), table["subject"].nunique()) == (606, 101)
    assert completeness(CORPORA["bu4dfe"], table)["missing"].sum() == 0
    protocols = protocol_table("bu4dfe", table).set_index("protocol")
    assert protocols.loc["ten_fold_60", ["subjects", "sequences", "train", "test"]].tolist() == [60, 360, "54", "6"]
    assert protocols.loc["ten_fold_all", ["subjects", "sequences", "test"]].tolist() == [101, 606, "10–11"]


def test_a_whole_bp4d_has_41_people_in_eight_tasks(pretend):
    table = pretend("bp4d", bp4d_names(frames=2))
    assert (table["sequence"].nunique(), table["subject"].nunique()) == (328, 41)
    assert table["label"].nunique() == 8
    assert set(table["expression"].dropna()) == {"happiness", "sadness", "fear", "anger", "disgust"}
    assert table["landmark_file"].notna().all()
    protocols = protocol_table("bp4d", table).set_index("protocol")
    assert protocols.loc["cross_dataset", ["subjects", "sequences", "folds"]].tolist() == [41, 82, 0]
    assert protocols.loc["cross_dataset", "trained_on"] == "bu4dfe"
    assert protocols.loc["ten_fold_tasks", ["sequences", "test"]].tolist() == [328, "4–5"]


@pytest.mark.slow
def test_bp4d_at_its_full_count_of_frames(pretend):
    names = bp4d_names(frames=1123)[: 4 * 368_036]
    table = pretend("bp4d", names)
    found = completeness(CORPORA["bp4d"], table).set_index("item")
    assert found.loc["scans", ["found", "expected", "missing"]].tolist() == [368_036, 368_036, 0]


# ------------------------------------------------------------------------------------------------ copies in part


def test_what_a_partial_copy_lacks_is_counted_and_named(pretend):
    names = [name for name in bu4dfe_names(frames=4) if not name.startswith(("F001/", "M002/Happy/"))]
    gone = {"F002/Angry/001.wrl", "F002/Angry/002.wrl", "F003/Sad/000.jpg", "BU4DFE_BND_V1.1/F003/Sad/001.bnd"}
    table = pretend("bu4dfe", [name for name in names if name not in gone])
    found = completeness(CORPORA["bu4dfe"], table).set_index("item")
    assert found.loc["subjects", ["found", "expected", "missing", "examples"]].tolist() == [100, 101, 1, "F001"]
    assert found.loc["sequences", "missing"] == 7
    assert "F001/Angry" in found.loc["sequences", "examples"]
    assert pd.isna(found.loc["scans", "missing"])
    frames = found.loc["frames of these sequences"]
    assert (frames["missing"], frames["examples"]) == (2, "F002/Angry: 1, 2")
    assert found.loc["textures", ["missing", "examples"]].tolist() == [1, "F003/Sad/000.wrl"]
    assert found.loc["landmark files", ["missing", "examples"]].tolist() == [1, "F003/Sad/001.wrl"]


def test_a_protocol_that_a_copy_cannot_serve_says_why(tmp_path):
    few = [name for name in bu3dfe_names() if name.startswith(("F0001", "F0002"))]
    rows = protocol_table("bu3dfe", CORPORA["bu3dfe"].find_scans(touch(tmp_path, *few))).set_index("protocol")
    assert rows.loc["P1", ["subjects", "scans", "folds", "train"]].tolist() == [2, 24, 0, ""]
    assert "needs 10 subjects; 2 take part" in rows.loc["P1", "description"]
    assert "10-fold of bu3dfe needs" in rows.loc["10-fold", "description"]


@pytest.mark.parametrize("name", ["bu3dfe", "bosphorus", "bp4d", "casme3"])
def test_a_folder_of_something_else_gives_no_rows(tmp_path, name):
    table = CORPORA[name].find_scans(touch(tmp_path, "readme.txt", "Viewer/000.wrl", "Viewer/x/001.obj"))
    assert tuple(table.columns) == SCAN_COLUMNS
    assert table.empty
    assert completeness(CORPORA[name], table)["found"].sum() == 0
    assert (protocol_table(name, table)["folds"] == 0).all()


def test_bosphorus_scans_of_actions_and_poses_lack_no_label(tmp_path):
    touch(tmp_path, "bs000/bs000_LFAU_12_0.bnt", "bs000/bs000_YR_R90_0.bnt", "bs000/bs000_E_HAPPY_0.bnt")
    corpus = CORPORA["bosphorus"]
    row = completeness(corpus, corpus.find_scans(tmp_path)).set_index("item").loc["labels"]
    assert row[["found", "expected", "missing"]].tolist() == [1, 1, 0]


def test_only_bosphorus_group_e_shows_expressions(tmp_path):
    touch(tmp_path, "bs000/bs000_IGN_HAPPY_0.bnt", "bs000/bs000_E_HAPPY_1.bnt", "bs000/bs000_N_N_0.bnt")
    table = CORPORA["bosphorus"].find_scans(tmp_path).set_index("task")
    assert table["label"].fillna("").to_dict() == {"IGN": "", "E": "happiness", "N": "neutral"}
    assert table["expression"].notna().to_dict() == {"IGN": False, "E": True, "N": False}


def test_links_that_lead_nowhere_and_folders_that_loop_are_passed_over(tmp_path):
    touch(tmp_path, "F001/Happy/000.wrl")
    (tmp_path / "F001/Happy/001.wrl").symlink_to("001.wrl")
    (tmp_path / "F001/Happy/002.wrl").symlink_to("gone.wrl")
    (tmp_path / "F001/again").symlink_to(tmp_path / "F001", target_is_directory=True)
    assert CORPORA["bu4dfe"].find_scans(tmp_path)["scan"].tolist() == ["F001/Happy/000.wrl"]


def test_a_link_to_a_folder_above_gives_no_scan_twice(tmp_path):
    """Else every person would be there again as the subject "all"."""
    touch(tmp_path, "anna/0.obj", "bob/0.obj")
    (tmp_path / "all").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "anna/parent").symlink_to("..", target_is_directory=True)
    assert CORPORA["folder"].find_scans(tmp_path)["scan"].tolist() == ["anna/0.obj", "bob/0.obj"]


def test_one_stray_number_is_a_gap_and_no_list_of_a_thousand_million_frames(tmp_path):
    touch(tmp_path, "F001/Angry/000.wrl", "F001/Angry/002.wrl", "F001/Angry/999999999.wrl")
    found = completeness(CORPORA["bu4dfe"], CORPORA["bu4dfe"].find_scans(tmp_path)).set_index("item")
    frames = found.loc["frames of these sequences", ["found", "missing", "examples"]]
    assert frames.tolist() == [3, 999_999_997, "F001/Angry: 1, 3, 4"]


def test_suffixes_and_names_may_be_in_any_case(tmp_path):
    touch(tmp_path, "f0001/f0001_an01wh_f3d.WRL", "f0001/F0001_AN01WH_F2D.BMP")
    row = CORPORA["bu3dfe"].find_scans(tmp_path).iloc[0]
    assert row[["sequence", "subject", "level"]].tolist() == ["F0001/AN01", "F0001", 1]
    assert row["texture"] == "f0001/F0001_AN01WH_F2D.BMP"


def test_a_copy_in_lower_case_is_found_and_not_missing_too(pretend):
    table = pretend("bu4dfe", [name.lower() for name in bu4dfe_names(frames=2)])
    found = completeness(CORPORA["bu4dfe"], table).set_index("item")
    assert found.loc[["subjects", "sequences"], "missing"].tolist() == [0, 0]
    assert found.loc["sequences", "examples"] == ""
    assert (table["sequence"][0], table["scan"][0]) == ("F001/Angry", "f001/angry/000.wrl")


def test_a_picture_may_be_called_after_f3d_and_be_a_png(tmp_path):
    touch(tmp_path, "F0001/F0001_NE00WH_F3D.wrl", "F0001/F0001_NE00WH_F3D.png")
    assert CORPORA["bu3dfe"].find_scans(tmp_path).loc[0, "texture"] == "F0001/F0001_NE00WH_F3D.png"


def test_one_frame_under_two_names_is_taken_once_and_reported(tmp_path):
    touch(tmp_path, *(f"Sequences(2D+3D)/F001/T1/{name}.obj" for name in ("000", "0000", "0001")))
    table = CORPORA["bp4d"].find_scans(tmp_path)
    assert table["frame"].tolist() == [0, 1]
    found = completeness(CORPORA["bp4d"], table).set_index("item").loc["files that no other file doubles"]
    assert (found["missing"], Path(found["examples"]).name) == (1, "0000.obj")


# ------------------------------------------------------------------------------------------------ BP4D's coding


def test_bp4d_scan_n_is_coded_frame_n_plus_1(tmp_path):
    touch(tmp_path, *(f"Sequences(2D+3D)/F001/T1/{frame:03d}.obj" for frame in range(4)))
    coding = tmp_path / "AUCoding" / "AU_OCC" / "F001_T1.csv"
    coding.parent.mkdir(parents=True)
    header = ",".join(str(number) for number in range(100))
    rows = {2: {6: 1, 12: 1}, 3: {6: 0, 12: 9}, 4: {6: 9, 12: 9}}
    lines = [",".join(str(n if not c else au.get(c, 9)) for c in range(100)) for n, au in rows.items()]
    coding.write_text("\r\n".join([header, *lines]) + "\r\n")
    actions = CORPORA["bp4d"].find_scans(tmp_path).set_index("frame")["actions"]
    assert pd.isna(actions[0])
    assert actions[1] == "AU6+AU12"
    assert actions[2] == ""
    assert pd.isna(actions[3])
    coded = read_occurrence(coding)
    assert coded.loc[3, 6] == 0
    assert pd.isna(coded.loc[3, 12])


def test_a_broken_action_coding_is_named(tmp_path):
    touch(tmp_path, "Sequences(2D+3D)/F001/T1/000.obj", "AU_OCC/F001_T1.csv")
    (tmp_path / "AU_OCC/F001_T1.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"F001_T1\.csv is no action coding"):
        CORPORA["bp4d"].find_scans(tmp_path)


@pytest.mark.parametrize(
    "place", ["3DFeatures/F001/T1/0007.tbnd", "3DFeatures/F001_T1/0007.tbnd", "3DFeatures/x/F001_T1_007.tbnd"]
)
def test_bp4d_landmarks_are_found_in_any_of_the_likely_folders(tmp_path, place):
    touch(tmp_path, "Sequences(2D+3D)/F001/T1/007.obj", place)
    assert CORPORA["bp4d"].find_scans(tmp_path).loc[0, "landmark_file"] == place


# ------------------------------------------------------------------------------------------------ micro-expressions

FOURDME_SHEET = """\ufeffsub_ID,fold_name,Emotion,Onset,Apex,Offset,AUs
s01,clip_a,"Negative, Surprise",3,5,9,"AU4(k)+AU1, L10"
s01,clip_b,Positive,0,2,/,12
s02,clip_c,Repression,90,95,99,
"""
PATTERN = "meshes/{clip}/{frame}.obj"


@pytest.fixture
def fourdme(tmp_path):
    touch(
        tmp_path, *(f"meshes/{clip}/{n:05d}.obj" for clip in ("clip_a", "clip_b", "clip_c", "clip_d") for n in range(4))
    )
    (tmp_path / "labels.csv").write_text(FOURDME_SHEET, encoding="utf-8")
    return tmp_path


def test_4dme_clips_carry_several_classes_times_and_held_actions(fourdme):
    table = corpus_named("fourdme", PATTERN).find_scans(fourdme)
    clips = table.drop_duplicates("sequence").set_index("sequence")
    assert list(clips.index) == ["s01/clip_a", "s01/clip_b", "s02/clip_c", "unknown/clip_d"]
    first = clips.loc["s01/clip_a"]
    assert first[["label", "actions", "onset", "apex", "offset"]].tolist() == [
        "negative+surprise",
        "AU1+AU4(k)+AU10_L",
        3,
        5,
        9,
    ]
    assert split_labels(first["label"]) == ("negative", "surprise")
    assert table["expression"].isna().all()
    assert pd.isna(clips.loc["s01/clip_b", "offset"])
    assert pd.isna(clips.loc["s02/clip_c", "actions"])
    assert pd.isna(clips.loc["unknown/clip_d", "label"])


def test_4dme_clips_of_one_name_have_the_labels_of_their_own_subject(tmp_path):
    sheet = f"{FOURDME_SHEET}s02,clip_a,Surprise,1,2,3,1\n"
    (tmp_path / "labels.csv").write_text(sheet, encoding="utf-8")
    folders = ("S01/clip_a", "s02/clip_a", "s02/clip_b", "person3/clip_c")
    touch(tmp_path, *(f"meshes/{folder}/{frame}.obj" for folder in folders for frame in range(2)))
    table = corpus_named("fourdme", "meshes/{subject}/{clip}/{frame}.obj").find_scans(tmp_path)
    labels = table.drop_duplicates("sequence").set_index("sequence")["label"]
    assert labels[["S01/clip_a", "s02/clip_a"]].tolist() == ["negative+surprise", "surprise"]
    assert pd.isna(labels["s02/clip_b"])  # s01's, says the sheet
    assert labels["person3/clip_c"] == "repression"  # whoever the sheet calls otherwise
    with pytest.raises(ValueError, match=r"clip_a.*several subjects \(s01, s02\).*\{subject\}"):
        corpus_named("fourdme", "meshes/*/{clip}/{frame}.obj").find_scans(tmp_path)


def test_a_4dme_clip_has_no_labels_of_somebody_else_who_is_there(tmp_path):
    (tmp_path / "labels.csv").write_text(f"{FOURDME_SHEET.splitlines()[0]}\ns1,EP01,Positive,0,1,2,AU12\n")
    touch(tmp_path, "s1/EP01/0.obj", "s2/EP01/0.obj")
    table = corpus_named("fourdme", "{subject}/{clip}/{frame}.obj").find_scans(tmp_path).set_index("subject")
    assert table.loc["s1", "label"] == "positive"
    assert pd.isna(table.loc["s2", "label"])


def test_4dme_times_outside_their_clip_and_missing_labels_are_reported(fourdme):
    corpus = corpus_named("fourdme", PATTERN)
    found = completeness(corpus, corpus.find_scans(fourdme)).set_index("item")
    assert found.loc["apex among the frames of its clip", "examples"] == "s01/clip_a; s02/clip_c"
    assert found.loc["labels", "missing"] == 4
    rows = protocol_table("fourdme", corpus.find_scans(fourdme)).set_index("protocol")
    assert rows.loc["leave_one_subject_out", ["subjects", "sequences", "folds", "test"]].tolist() == [2, 3, 2, "1"]


def test_4dme_without_a_pattern_is_never_guessed(fourdme):
    with pytest.raises(ValueError, match=r"not published.*corpus_pattern"):
        CORPORA["fourdme"].find_scans(fourdme)
    with pytest.raises(ValueError, match=r"lacks \{clip\}"):
        corpus_named("fourdme", "{subject}/{frame}.obj").find_scans(fourdme)


def test_two_label_sheets_are_not_chosen_between(fourdme):
    (fourdme / "labels.csv").rename(fourdme / "v1.csv")
    (fourdme / "v2.csv").write_text(FOURDME_SHEET)
    with pytest.raises(ValueError, match=r"v1\.csv, v2\.csv.*labels\.csv"):
        corpus_named("fourdme", PATTERN).find_scans(fourdme)


def test_casme3_takes_the_frames_of_labelled_clips(tmp_path):
    depth = [f"part_A/spNO.138/a/depth/{n}.png" for n in range(1290, 1300)]
    touch(tmp_path, *depth, *(name.replace("depth", "color").replace("png", "jpg") for name in depth[1:]))
    rows = [("spNO.138", "a", 1292, 1294, 1296, "4+L14", "Others"), ("spNO.138", "a", 1298, 1299, None, "12", "happy")]
    sheet = pd.DataFrame(rows, columns=["Subject", "Filename", "Onset", "Apex", "Offset", "AU", "emotion"])
    sheet.to_excel(tmp_path / "labels.xlsx", index=False)
    table = CORPORA["casme3"].find_scans(tmp_path)
    assert table["frame"].tolist() == [1292, 1293, 1294, 1295, 1296, 1298, 1299]
    first, last = table.iloc[0], table.iloc[-1]
    assert first[["sequence", "label", "actions", "apex"]].tolist() == ["spno.138/a/1292", "others", "AU4+AU14_L", 1294]
    assert pd.isna(first["expression"])
    assert last[["expression", "label"]].tolist() == ["happiness", "happiness"]
    assert first["texture"] == "part_A/spNO.138/a/color/1292.jpg"
    (tmp_path / "labels.xlsx").unlink()
    unlabelled = CORPORA["casme3"].find_scans(tmp_path)
    assert len(unlabelled) == 10
    assert unlabelled["label"].isna().all()


def test_a_casme3_clip_that_the_sheet_lists_twice_is_refused_only_where_its_frames_would_differ(tmp_path):
    touch(tmp_path, *(f"spNO.1/a/depth/{frame}.png" for frame in (5, 6, 7)))
    sheet = "Subject,Filename,Onset,Apex,Offset,AU,emotion\nspNO.1,a,5,6,6,4,fear\nspNO.1,a,5,6,{},4,others\n"
    (tmp_path / "labels.csv").write_text(sheet.format(6))
    assert set(CORPORA["casme3"].find_scans(tmp_path)["label"]) == {"fear"}
    (tmp_path / "labels.csv").write_text(sheet.format(7))
    with pytest.raises(ValueError, match=r"'spno\.1/a/5' has more than one label: fear, others.*keep one row"):
        CORPORA["casme3"].find_scans(tmp_path)


def test_depth_pictures_are_read_with_the_camera_that_is_given_and_never_without(tmp_path):
    (tmp_path / "spNO.1/a/depth").mkdir(parents=True)
    row, column = np.mgrid[:40, :40]
    depth = (500 + 0.05 * ((row - 20) ** 2 + (column - 20) ** 2)).astype(np.uint16)
    depth[0, 0] = 0
    Image.fromarray(depth).save(tmp_path / "spNO.1/a/depth/7.png")
    with pytest.raises(ValueError, match="depth_cameras"):
        FileSource(tmp_path, "casme3").table()
    source = FileSource(tmp_path, "casme3", camera=Intrinsics(fx=100, fy=100, cx=20, cy=20))
    scan = source.read(source.table().iloc[0].to_dict())
    assert len(scan.vertices) == 40 * 40 - 1
    assert scan.vertices[:, 2].max() == -500
    assert source.fingerprint() != FileSource(tmp_path, "casme3").fingerprint()


def test_people_may_say_what_names_do_not(tmp_path):
    touch(tmp_path, "F001/micro-1/000.wrl", "F001/Happy/000.wrl")
    (tmp_path / "sequences.csv").write_text("sequence,label,apex\nF001/micro-1,negative+surprise,4\n")
    table = CORPORA["bu4dfe"].find_scans(tmp_path).set_index("sequence")
    assert table["label"].to_dict() == {"F001/Happy": "happiness", "F001/micro-1": "negative+surprise"}
    assert table.loc["F001/micro-1", "apex"] == 4
    (tmp_path / "sequences.csv").write_text("clip\nF001/micro-1\n")
    with pytest.raises(ValueError, match=r"sequences\.csv needs a column 'sequence'"):
        CORPORA["bu4dfe"].find_scans(tmp_path)


def test_expressions_that_people_give_are_spelled_as_they_like(tmp_path):
    touch(tmp_path, "F001/one/000.wrl", "F001/two/000.wrl", "F001/Sad/000.wrl")
    (tmp_path / "sequences.csv").write_text(
        "sequence,expression,level\nF001/one,Happy,2\nF001/two,Contempt,\nF001/four,sad,\n"
    )
    table = CORPORA["bu4dfe"].find_scans(tmp_path)
    rows = table.set_index("sequence")
    assert rows["label"].to_dict() == {"F001/one": "happiness", "F001/two": "contempt", "F001/Sad": "sadness"}
    assert rows.loc["F001/one", ["expression", "level"]].tolist() == ["happiness", 2]
    assert pd.isna(rows.loc["F001/two", "expression"])
    found = completeness(CORPORA["bu4dfe"], table).set_index("item")
    assert found.loc["names in subjects.csv and sequences.csv", ["missing", "examples"]].tolist() == [1, "F001/four"]


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("sequences.csv", "sequence,level\nF001/Happy,7\n", r"F001/Happy: level is '7'\. Give 1 to 4"),
        ("sequences.csv", "sequence,apex\nF001/Happy,late\n", r"F001/Happy: apex is 'late'\. Give the number"),
        ("sequences.csv", "sequence,mood\nF001/Happy,good\n", r"unknown columns mood\. It may have sequence, expr"),
        (
            "sequences.csv",
            "sequence,level\nF001-Happy,2\n",
            r"names no sequence .*'F001-Happy', the paths say 'F001/Ha",
        ),
        ("subjects.csv", "subject,sex\nF001,F\n", r"unknown columns sex\. It may have subject, gender"),
        (
            "subjects.csv",
            "subject,gender\n1,F\n",
            r"names no subject .*'1', the paths say 'F001'.*corpus_patterns",
        ),
    ],
)
def test_what_people_give_wrongly_is_named_with_file_row_and_remedy(tmp_path, file, text, words):
    touch(tmp_path, "F001/Happy/000.wrl")
    (tmp_path / file).write_text(text)
    with pytest.raises(ValueError, match=rf"{file}.*{words}"):
        CORPORA["bu4dfe"].find_scans(tmp_path)


def test_a_damaged_sheet_is_named(tmp_path):
    touch(tmp_path, "spNO.1/a/depth/1.png")
    (tmp_path / "labels.xlsx").write_bytes(b"PK\x03\x04 not a workbook")
    with pytest.raises(ValueError, match=r"labels\.xlsx cannot be read as a table"):
        CORPORA["casme3"].find_scans(tmp_path)


# ------------------------------------------------------------------------------------------------ any folder


def test_a_table_tells_a_folder(tmp_path):
    touch(tmp_path, "a/one.ply", "a/two.PLY", "a/two.png", "marks/one.bnd", "b.obj")
    (tmp_path / "scans.csv").write_text(
        "file,subject,expression,frame,landmark_file,age_group,level\n"
        "a/one.ply,anna,happy,0,marks/one.bnd,31-50,2\n"
        "a\\two.ply,anna,happy,1,,31-50,2\n"
        "b.obj,bob,contempt,,,,\n"
        "gone.obj,bob,sad,,,,\n"
    )
    table = CORPORA["folder"].find_scans(tmp_path)
    assert tuple(table.columns) == SCAN_COLUMNS
    assert table["scan"].tolist() == ["a/one.ply", "a/two.PLY", "b.obj"]
    assert table["sequence"].tolist() == ["a", "a", "b"]
    assert table["frame"].tolist() == [0, 1, 0]
    assert table["label"].tolist() == ["happiness", "happiness", "contempt"]
    assert table["expression"].tolist()[:2] == ["happiness", "happiness"]
    assert pd.isna(table.loc[2, "expression"])
    assert table.loc[0, ["landmark_file", "age_group", "level"]].tolist() == ["marks/one.bnd", "31-50", 2]
    assert table.loc[1, "texture"] == "a/two.png"
    found = completeness(CORPORA["folder"], table).set_index("item")
    assert found.loc["files that the table names", ["missing", "examples"]].tolist() == [1, "gone.obj"]


def test_a_parquet_table_tells_a_folder_too(tmp_path):
    touch(tmp_path, "x/1.obj")
    pd.DataFrame({"file": ["x/1.obj"], "subject": ["s"], "frame": [7]}).to_parquet(tmp_path / "scans.parquet")
    assert CORPORA["folder"].find_scans(tmp_path).loc[0, ["sequence", "frame"]].tolist() == ["x", 7]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("subject\ns\n", "lacks file"),
        ("file,subject,mood\na.obj,s,good\n", "unknown columns mood"),
        ("file,subject\n../a.obj,s\n", "not a path inside"),
        ("file,subject\n/etc/a.obj,s\n", "not a path inside"),
        ("file,subject\nC:\\a.obj,s\n", "not a path inside"),
        ("file,subject\na.obj,\n", "without file or subject"),
        ("file,subject\na.obj,NA\n", "says NA or None is empty"),
        ("file,subject\n.,anna\n", "not a path inside"),
        ("file,subject,frame\na.obj,s,first\n", r"frame of a\.obj is 'first': give a whole number"),
        ("file,subject,frame\na.obj,s,1.5\n", r"frame of a\.obj is '1\.5'"),
        ("file,subject,level\na.obj,s,7\n", r"a\.obj: level is '7'\. Give 1 to 4"),
        ("file,subject,onset\na.obj,s,late\n", r"a\.obj: onset is 'late'\. Give the number of a frame"),
        ("file,subject,sequence\na.obj,s,q\nb.obj,s,q\n", "frame 0 of sequence 'q' twice"),
    ],
)
def test_a_wrong_table_says_what_is_wrong(tmp_path, text, words):
    touch(tmp_path, "a.obj", "b.obj")
    (tmp_path / "scans.csv").write_text(text)
    with pytest.raises(ValueError, match=words):
        CORPORA["folder"].find_scans(tmp_path)


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ("bob,happy", "more than one subject: anna, bob"),
        ("anna,sad", "more than one expression: happiness, sadness"),
        ("anna,neutral", "more than one label: happiness, neutral"),
    ],
)
def test_a_sequence_is_one_person_showing_one_thing(tmp_path, second, words):
    """Else all of its frames would train, or be tested, as those of the first."""
    touch(tmp_path, "s/0.obj", "s/1.obj")
    told = f"file,subject,expression,frame\ns/0.obj,anna,happy,0\ns/1.obj,{second},1\n"
    (tmp_path / "scans.csv").write_text(told)
    with pytest.raises(ValueError, match=rf"{tmp_path}: the sequence 's' has {words} .*column 'sequence'"):
        CORPORA["folder"].find_scans(tmp_path)
    rows = [f"{row},{name}" for row, name in zip(told.split(), ["sequence", "one", "two"], strict=True)]
    (tmp_path / "scans.csv").write_text("\n".join(rows))
    assert CORPORA["folder"].find_scans(tmp_path)["sequence"].tolist() == ["one", "two"]


def test_folders_of_expressions_are_not_taken_for_people(tmp_path):
    touch(tmp_path, "happy/anna/0.obj", "sad/anna/0.obj", "neutral/anna/0.obj")
    assert len(CORPORA["folder"].find_scans(tmp_path)) == 3, "a folder of one person is asked about like this"
    with pytest.raises(ValueError, match=r"named after expressions: happy, sad.*\{expression\}/\{subject\}/\{frame\}"):
        ingest_source(FileSource(tmp_path, "folder"), IngestOptions(), ContentStore(tmp_path / "store"))
    table = corpus_named("folder", "{expression}/{subject}/{frame}.obj").find_scans(tmp_path)
    assert set(table["subject"]) == {"anna"}


def test_a_persons_name_is_no_expression(tmp_path):
    touch(tmp_path, "joy/neutral/0.obj", "joy/sad/0.obj")
    assert CORPORA["folder"].find_scans(tmp_path)["expression"].fillna("").tolist() == ["", "sadness"]


def test_a_pattern_tells_a_folder(tmp_path):
    touch(tmp_path, "take1/anna-joy/f7.obj", "take1/anna-joy/f12.obj", "other/x.obj")
    table = corpus_named("folder", "take1/{subject}-{expression}/f{frame}.obj").find_scans(tmp_path)
    assert table["frame"].tolist() == [7, 12]
    assert set(table["sequence"]) == {"anna/joy"}
    assert set(table["expression"]) == {"happiness"}


def test_patterns_are_checked():
    with pytest.raises(ValueError, match=r"unknown field \{person\}.*\{subject\}"):
        compile_pattern("{person}/{frame}.obj")
    with pytest.raises(ValueError, match="takes no pattern"):
        corpus_named("bu4dfe", "{subject}/{frame}.obj")
    assert compile_pattern("{clip}/{clip}_{frame}.obj").fullmatch("a/b_1.obj") is None


def test_pictures_are_no_scans_in_a_folder_that_nests(tmp_path):
    touch(tmp_path, "a/1.obj", "a/1.png", "a/2.png")
    assert CORPORA["folder"].find_scans(tmp_path)["scan"].tolist() == ["a/1.obj"]
    assert ".obj" in READERS


# ------------------------------------------------------------------------------------------------ protocols


def test_no_protocol_lets_a_subject_be_on_both_sides(tmp_path, pretend):
    tables = {
        "bu3dfe": CORPORA["bu3dfe"].find_scans(touch(tmp_path / "a", *bu3dfe_names())),
        "bosphorus": CORPORA["bosphorus"].find_scans(touch(tmp_path / "b", *(f"{s}.bnt" for s in bosphorus_stems()))),
        "bu4dfe": pretend("bu4dfe", bu4dfe_names(2)),
        "bp4d": pretend("bp4d", bp4d_names(1)),
    }
    for name, table in tables.items():
        for protocol in protocols_of(name).values():
            folds = draw(protocol, table).folds
            tested = [subject for fold in folds for subject in fold.test]
            assert len(tested) == len(set(tested)) or protocol.test_share is not None
            for fold in folds:
                check_disjoint(fold.train, fold.test)


def test_p1_draws_its_subjects_once_and_p2_every_round(tmp_path):
    table = CORPORA["bu3dfe"].find_scans(touch(tmp_path, *bu3dfe_names()))

    def people(name: str, number: int) -> set[str]:
        return set(draw(protocol_named("bu3dfe", name), table, seed=3, round_number=number).rows["subject"])

    assert people("P1", 0) == people("P1", 1)
    assert people("P2", 0) != people("P2", 1)
    first, second = (draw(protocol_named("bu3dfe", "P1"), table, 3, number).folds for number in (0, 1))
    assert [fold.test for fold in first] != [fold.test for fold in second]
    assert draw(protocol_named("bu3dfe", "P1"), table, 3).folds == first


def test_repeated_draws_need_two_people_however_many_they_are(tmp_path):
    touch(tmp_path, *(f"{name}/happy/0.obj" for name in ("anna", "bob", "carl")))
    table, draws = CORPORA["folder"].find_scans(tmp_path), protocol_named("folder", "5-draws")
    folds = draw(draws, table).folds
    assert [(len(fold.train), len(fold.test)) for fold in folds] == [(2, 1)] * 5
    with pytest.raises(ValueError, match="needs 2 subjects; 1 take part"):
        draw(draws, table[table["subject"] == "anna"])
    with pytest.raises(ValueError, match="needs 5 subjects; 3 take part"):
        draw(protocol_named("folder", "5-fold"), table)


def test_every_protocol_names_a_corpus_and_says_how_far_it_is_verified():
    for protocol in PROTOCOLS:
        assert protocol.corpus in (*CORPORA, "any")
        assert protocol.source
    with pytest.raises(ValueError, match=r"no protocol 'P9'.*P1, P2"):
        protocol_named("bu3dfe", "P9")


# ------------------------------------------------------------------------------------------------ names


@pytest.mark.parametrize("name", ["folder", "bu4dfe"])
def test_scans_whose_names_differ_in_capitals_only_are_refused(tmp_path, name):
    touch(tmp_path, "F001/Angry/000.wrl", "f001/Angry/000.wrl")
    with pytest.raises(ValueError, match=r"F001/Angry/000\.wrl and f001/Angry/000\.wrl differ in capital letters only"):
        corpus_named(name).find_scans(tmp_path)


def test_other_files_may_differ_in_capitals_only(tmp_path):
    touch(tmp_path, "F001/Angry/000.wrl", "readme.txt", "README.txt")
    assert len(corpus_named("bu4dfe").find_scans(tmp_path)) == 1


def test_one_frame_in_two_formats_is_one_frame(tmp_path):
    touch(tmp_path, *(f"anna/happy/{frame}.{suffix}" for frame in (2, 10) for suffix in ("obj", "ply", "OBJ.bak")))
    table = corpus_named("folder").find_scans(tmp_path)
    assert table["scan"].tolist() == ["anna/happy/2.obj", "anna/happy/10.obj"]
    assert table["frame"].tolist() == [0, 1]
    assert table.attrs["duplicates"] == ["anna/happy/2.ply", "anna/happy/10.ply"]


def test_a_name_between_two_formats_of_a_frame_is_another_frame(tmp_path):
    touch(tmp_path, "anna/happy/2.obj", "anna/happy/2.old.obj", "anna/happy/2.ply")
    table = corpus_named("folder").find_scans(tmp_path)
    assert table["scan"].tolist() == ["anna/happy/2.obj", "anna/happy/2.old.obj"]
    assert table.attrs["duplicates"] == ["anna/happy/2.ply"]


@pytest.mark.parametrize(
    ("name", "scan", "subject"),
    [("bosphorus", "bs1000/bs1000_E_HAPPY_0.bnt", "bs1000"), ("bp4d", "Sequences(2D+3D)/F1000/T10/0.obj", "F1000")],
)
def test_large_corpora_have_long_numbers(tmp_path, name, scan, subject):
    touch(tmp_path, scan)
    assert corpus_named(name).find_scans(tmp_path)["subject"].tolist() == [subject]


@pytest.mark.parametrize(
    ("row", "expression", "label"),
    [
        ("expression\nF001/Angry,contempt", None, "contempt"),
        ("label\nF001/Angry,surprise", "surprise", "surprise"),
        ("label\nF001/Angry,negative+surprise", None, "negative+surprise"),
        ("expression,label\nF001/Angry,fear,afraid", "fear", "afraid"),
        ("expression,label\nF001/Angry,fear,negative", "fear", "negative"),
        ("level\nF001/Angry,2", "anger", "anger"),
    ],
)
def test_what_is_told_of_a_sequence_goes_before_its_name(tmp_path, row, expression, label):
    touch(tmp_path, "F001/Angry/000.wrl", "F002/Sad/000.wrl")
    (tmp_path / "sequences.csv").write_text(f"sequence,{row}\n")
    table = corpus_named("bu4dfe").find_scans(tmp_path).set_index("sequence")
    found = table.loc["F001/Angry", "expression"]
    assert (None if pd.isna(found) else found) == expression
    assert table.loc["F001/Angry", "label"] == label
    assert table.loc["F002/Sad", ["expression", "label"]].tolist() == ["sadness", "sadness"]


def test_a_table_with_a_column_twice_is_refused(tmp_path):
    touch(tmp_path, "a.obj")
    (tmp_path / "scans.csv").write_text("file,subject,subject \na.obj,anna,bob\n")
    with pytest.raises(ValueError, match=r"scans\.csv has the column subject twice"):
        corpus_named("folder").find_scans(tmp_path)


# ------------------------------------------------------------------------------------------------ words


@pytest.mark.parametrize(
    ("text", "actions"),
    [
        ("6+12", "AU6+AU12"),
        ("AU4(k)", "AU4(k)"),
        ("12L", "AU12_L"),
        ("12LW", "AU12"),
        ("R14, L12", "AU12_L+AU14_R"),
        ("12B+25C", "AU12+AU25"),
        ("A12A15", "AU12+AU15"),
        ("AU12L+AU12R", "AU12_L+AU12_R"),
        ("4 R12", "AU4+AU12_R"),
        ("12L 14", "AU12_L+AU14"),
        ("L4R4", "AU4_L+AU4_R"),
        ("4 LW", "AU4"),
        ("", ""),
    ],
)
def test_actions_have_one_spelling(text, actions):
    assert parse_actions(text) == actions


def test_labels_join_and_split():
    assert join_labels(["Surprise", " negative ", "surprise"]) == "negative+surprise"
    assert join_labels([" "]) is None
    assert split_labels(None) == ()
    assert whole_number("7.5") is None
