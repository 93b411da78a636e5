"""What strangers send: everything a hostile upload may be ends in a sentence, and the next upload is read."""

import importlib.util
import io
import multiprocessing
import os
import signal
import stat
import struct
import sys
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from affect4d.inference.sandboxed_upload_reader import UploadLimits, UploadReader, UploadRefusedError, unpack
from affect4d.scans.readers import natural_order
from affect4d.scans.scan import ScanError


def _module_of_tests(name):
    place = Path(__file__).parents[1] / "scans" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"uploads_{name}", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FILES = _module_of_tests("scan_files")
GRID = FILES.bumpy_grid(12)
PLY = FILES.ply_bytes(GRID)


@pytest.fixture(scope="module")
def room():
    opened = UploadReader(UploadLimits(files=40, scans=8, file_bytes=20 * 2**20, total_bytes=30 * 2**20))
    yield opened
    opened.close()


def picture(kind="PNG"):
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (8, 6), (200, 150, 120)).save(file, kind)
    return file.getvalue()


def zipped(members, compression=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize("kind", FILES.SCANS)
def test_every_format_arrives_as_it_was_sent(room, kind):
    suffix, write = FILES.SCANS[kind]
    upload = room.read([(f"face{suffix}", write(GRID))])
    (sent,) = upload.usable
    FILES.assert_valid(sent.scan)
    assert len(sent.scan.faces) == len(GRID.faces)
    assert not upload.refused


def test_a_picture_and_a_material_find_their_scan(room):
    files = [("face.obj", FILES.obj_text(GRID, material="skin.mtl").encode()), ("skin.mtl", b"map_Kd colour.png\n")]
    (sent,) = room.read([*files, ("colour.png", picture())]).usable
    assert sent.scan.texture.shape == (6, 8, 3)
    (bare,) = room.read(files).usable
    assert bare.scan.texture is None
    assert "texture missing" in bare.reason


def test_a_lone_picture_belongs_to_a_lone_scan_whatever_it_is_called(room):
    (sent,) = room.read([("face.ply", PLY), ("IMG 0001.jpeg", picture("JPEG"))]).usable
    assert sent.scan.texture.shape == (6, 8, 3)


def test_a_picture_beside_scans_of_two_formats_belongs_to_neither(room):
    mesh = ("other.obj", FILES.obj_text(GRID).encode())
    upload = room.read([("face.ply", PLY), mesh, ("IMG 0001.jpeg", picture("JPEG"))])
    assert [sent.scan.texture is None for sent in upload.usable] == [True, True]


def test_a_zip_is_a_sequence_in_natural_order_and_one_bad_scan_costs_itself(room):
    members = [(f"smile/{frame}.ply", PLY) for frame in (10, 2, 1)]
    archive = zipped([*members, ("smile/3.ply", b"garbage"), ("__MACOSX/smile/._1.ply", b"?"), ("notes.docx", b"?")])
    upload = room.read([("smile.zip", archive)])
    assert [sent.name for sent in upload.scans] == ["1.ply", "2.ply", "3.ply", "10.ply"]
    assert [sent.scan is None for sent in upload.scans] == [False, False, True, False]
    assert upload.scans[2].code
    assert [name for name, _ in upload.refused] == ["notes.docx"]


def test_progress_is_told(room):
    told = []
    room.read([("a.zip", zipped([(f"{frame}.ply", PLY) for frame in range(3)]))], lambda *count: told.append(count))
    assert told == [(0, 3), (1, 3), (2, 3)]


NO_SCANS = {
    "empty": b"",
    "blank": b" \r\n\t\n",
    "zeros": bytes(4096),
    "ones": b"\xff" * 4096,
    "garbage": np.random.default_rng(0).bytes(20_000),
    "picture": b"\x89PNG\r\n\x1a\n" + bytes(200),
    "20,000 groups": b"#VRML V2.0 utf8\n" + b"Group { children [ " * 20_000,
    "one long number": b"OFF\n" + b"1" * 500_000,
    "many lines": b"\n" * 500_000,
    "half a scan": PLY[: len(PLY) // 2],
}


@pytest.mark.parametrize("suffix", [".wrl", ".obj", ".ply", ".bnt", ".off", ".stl", ".glb"])
@pytest.mark.parametrize("kind", NO_SCANS)
def test_what_is_no_scan_ends_in_a_sentence(room, suffix, kind):
    (sent,) = room.read([(f"face{suffix}", NO_SCANS[kind])]).scans
    assert sent.scan is None
    assert sent.code
    assert len(sent.reason) > 10
    assert "/tmp" not in sent.reason
    assert "affect4d-upload" not in sent.reason


EVIL_NAMES = [
    "../../evil.ply",
    "/etc/evil.ply",
    "C:\\evil.ply",
    "a/../../evil.ply",
    "..",
    "é\n.ply",
    "x" * 300 + ".ply",
]


@pytest.mark.parametrize("name", [*EVIL_NAMES, "-rf.ply", ".ply", "CON.ply"])
def test_no_name_leads_out_of_the_folder(tmp_path, name):
    folder = tmp_path / "deep" / "files"
    folder.mkdir(parents=True)
    unpack([("a.zip", zipped([(name, PLY)]))], folder, UploadLimits())
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.parent != folder]
    for path in folder.iterdir():
        assert path.name.isprintable()
        assert len(path.name) <= 100


def test_a_link_in_a_zip_is_not_followed(room, tmp_path):
    secret = tmp_path / "secret.ply"
    secret.write_bytes(PLY)
    entry = zipfile.ZipInfo("face.ply")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(UploadRefusedError, match="link"):
        room.read([("a.zip", zipped([(entry, str(secret))]))])


def test_a_zip_bomb_is_given_up_early(room):
    bomb = zipped([(f"{number}.ply", bytes(19 * 2**20)) for number in range(3)])
    assert len(bomb) < 100_000
    with pytest.raises(UploadRefusedError, match="30 MB once unpacked"):
        room.read([("bomb.zip", bomb)])
    single = room.read([("one.zip", zipped([("big.ply", bytes(21 * 2**20)), ("face.ply", PLY)]))])
    assert single.refused == (("big.ply", "is larger than 20 MB"),)
    assert len(single.usable) == 1


def test_a_zip_that_lies_about_its_sizes_is_refused(room):
    honest = bytearray(zipped([("face.ply", bytes(2**20))]))
    place = honest.rindex(b"PK\x01\x02") + 24
    honest[place : place + 4] = struct.pack("<I", 10)  # ten bytes, it says
    with pytest.raises(UploadRefusedError, match=r"no scan|damaged") as caught:
        room.read([("liar.zip", bytes(honest))])
    assert "Send .wrl" in str(caught.value)


@pytest.mark.parametrize("cut", [30, 100, 400])
def test_a_damaged_zip_is_named(room, cut):
    with pytest.raises(UploadRefusedError, match=r"a\.zip is a damaged zip"):
        room.read([("a.zip", zipped([("face.ply", PLY)])[:cut])])


def test_an_encrypted_or_oddly_compressed_zip_says_so(room):
    locked = bytearray(zipped([("face.ply", PLY)]))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.index(mark) + offset] |= 1
    with pytest.raises(UploadRefusedError, match="without a password"):
        room.read([("a.zip", bytes(locked))])
    with pytest.raises(UploadRefusedError, match="plain zip"):
        room.read([("a.zip", zipped([("face.ply", PLY)], zipfile.ZIP_LZMA))])


def test_too_many_files_and_scans_are_refused(room):
    with pytest.raises(UploadRefusedError, match="More than 40 files"):
        room.read([("a.zip", zipped([(f"{number}.ply", b"x") for number in range(50)]))])
    with pytest.raises(UploadRefusedError, match="At most 40 files"):
        room.read([("a.ply", PLY)] * 41)
    upload = room.read([("a.zip", zipped([(f"{number}.ply", PLY) for number in range(10)]))])
    assert len(upload.scans) == 8
    assert {reason for _, reason in upload.refused} == {"is one scan too many: 8 are read at a time"}


@pytest.mark.parametrize("sent", [[], [("face.exe", b"MZ")], [("face.jpg", b"hello")], [("a.zip", zipped([]))]])
def test_an_upload_without_a_scan_says_what_may_be_sent(room, sent):
    with pytest.raises(UploadRefusedError, match=r"Send \.wrl"):
        room.read(sent)


def test_a_picture_of_another_kind_or_of_absurd_size_costs_the_colour_only(room):
    gif = b"GIF89a" + bytes(100)
    upload = room.read([("face.ply", PLY), ("face.png", gif)])
    assert upload.refused == (("face.png", "is named as an image, and is no JPEG, PNG or BMP"),)
    assert upload.usable[0].scan.texture is None
    upload = room.read([("face.ply", PLY), ("face.png", huge_picture())])
    assert upload.usable[0].scan.texture is None
    assert "texture" in upload.usable[0].reason


def huge_picture():
    """A PNG that says it is 30,000 pixels wide and high."""
    size = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_a_reader_that_dies_costs_one_scan_and_the_next_is_read(room):
    room.start()
    worker = room._worker.process.pid
    os.kill(worker, signal.SIGKILL)
    (sent,) = room.read([("face.ply", PLY)]).scans  # noticed before the job: a new one is started
    assert sent.scan is not None
    assert room._worker.process.pid != worker


def forged(field, array):
    """What a worker that its file has taken over may return in place of a scan."""
    arrays = {name: getattr(GRID, name) for name in ("vertices", "faces")}
    return {"repairs": []}, {**arrays, field: array}


@pytest.mark.parametrize(
    ("field", "array"),
    [
        ("faces", np.full((4, 3), 10**6, np.int32)),
        ("faces", np.zeros((4, 3), np.float32)),
        ("vertices", np.zeros((4, 2), np.float32)),
        ("vertices", np.full((9, 3), np.nan, np.float32)),
        ("texture", np.zeros((4, 4, 3), np.float64)),
        ("texture", np.zeros((), np.uint8)),
        ("stranger", np.zeros(3, np.float32)),
    ],
)
def test_what_a_worker_returns_is_checked_again(field, array, monkeypatch):
    opened = UploadReader()
    monkeypatch.setattr(opened, "_run", lambda function, *args: forged(field, array))
    sent = opened._read(Path("face.ply"), 0)
    assert sent.scan is None
    assert sent.code


class Stranger:
    """An object that would act when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("taken-over",)


def test_no_object_of_a_worker_is_unpickled(room, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    room.start()
    honest = room._worker
    ours, theirs = multiprocessing.Pipe(duplex=False)
    room._worker = honest._replace(results=ours)
    theirs.send(Stranger())
    with pytest.raises(ScanError, match="broke its reader"):
        room._run(time.sleep, 0)
    honest.results.close()
    assert not list(tmp_path.iterdir())
    assert room.read([("face.ply", PLY)]).usable


def test_computing_without_end_is_ended(tmp_path, monkeypatch):
    endless = UploadReader(UploadLimits(seconds=1))
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if '--multiprocessing-fork' in sys.orig_argv:\n"
        "    import affect4d.scans.readers as readers\n"
        "    honest = readers.read_scan\n"
        "    def read_scan(path, *more, **options):\n"
        "        while path.name == 'endless.ply': pass\n"
        "        return honest(path, *more, **options)\n"
        "    readers.read_scan = read_scan\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    upload = endless.read([("1.ply", PLY), ("endless.ply", PLY), ("z.ply", PLY)])
    endless.close()
    assert [sent.scan is None for sent in upload.scans] == [False, True, False]
    assert upload.scans[1].code == "reader-lost"


@pytest.mark.slow
def test_waiting_without_end_is_ended():
    idle = UploadReader(UploadLimits(seconds=1))
    with pytest.raises(ScanError, match="took more than 1 s"):
        idle._run(time.sleep, 60)
    assert idle.read([("face.ply", PLY)]).usable
    idle.close()


def test_memory_out_of_proportion_is_refused(room):
    tight = UploadReader(UploadLimits(memory_bytes=30 * 2**20))
    grid = FILES.bumpy_grid(400)
    (sent,) = tight.read([("face.ply", FILES.ply_bytes(grid, "<"))]).scans
    tight.close()
    assert sent.scan is None
    assert sent.code in ("too-large", "reader-lost")


def test_nothing_is_kept(room, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    room.read([("face.ply", PLY)])
    with pytest.raises(UploadRefusedError):
        room.read([("face.exe", b"MZ")])
    assert not list(tmp_path.iterdir())


def test_names_sort_as_people_count():
    names = ["10.ply", "9.ply", "a2.ply", "a10.ply"]
    assert sorted(names, key=natural_order) == ["9.ply", "10.ply", "a2.ply", "a10.ply"]
