"""Live Link Face over the network: packets that are read and refused, and the scans that they become."""

import socket
import struct
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

import affect4d
from affect4d.cli import cli
from affect4d.scans.readers import read_scan
from affect4d.synthetic import live_link_stream
from affect4d.synthetic.action_units import ARKIT
from affect4d.synthetic.live_link_stream import (
    KEPT,
    SENT,
    open_port,
    read_packet,
    receive_frames,
    write_frames,
)
from affect4d.synthetic.recipe import LiveLinkRecipe


def packet(frame=7, version=6, count=61, subject="iPhone", **values):
    numbers = [values.get(name, 0.0) for name in (*SENT, "headYaw", "headPitch", "headRoll")] + [0.0] * 6
    names = b"".join(struct.pack(">I", len(name)) + name for name in (b"device-1", subject.encode()))
    return struct.pack(">B", version) + names + struct.pack(">IfIIB61f", frame, 0.25, 60, 1, count, *numbers)


def test_a_packet_has_coefficients_in_our_order_and_the_turn_of_the_head():
    found = read_packet(packet(jawOpen=0.5, browInnerUp=1.2, tongueOut=0.25, headYaw=0.1, headRoll=-0.2))
    assert (found.device, found.subject, found.frame) == ("device-1", "iPhone", 7)
    moved = {name: value for name, value in zip(ARKIT, found.coefficients, strict=True) if value}
    assert moved == pytest.approx({"jawOpen": 0.5, "browInnerUp": 1.0, "tongueOut": 0.25})
    assert found.head == pytest.approx([0.1, 0.0, -0.2])


def test_the_order_of_a_packet_has_every_coefficient_once():
    assert sorted(SENT) == sorted(ARKIT)
    assert [SENT[place] for place in (0, 14, 17, 23, 43, 51)] == [
        "eyeBlinkLeft", "jawForward", "jawOpen", "mouthSmileLeft", "browInnerUp", "tongueOut"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "0 bytes are no packet"),
        (b"hello", "5 bytes are no packet"),
        (packet()[:-1], "are no packet"),
        (packet().replace(b"iPhone", b"iPh\xff\xfe\xfd"), "are no packet"),
        (b"\x06" + struct.pack(">I", 2**31) + b"x" * 400, "are no packet"),
        (packet(version=7), "version 7 with 61 values"),
        (packet(count=60), "version 6 with 60 values"),
        (packet(jawOpen=50.0), "no coefficients"),
        (packet(headPitch=float("nan")), "no coefficients"),
    ],
)
def test_what_is_no_packet_says_why(content, reason):
    with pytest.raises(ValueError, match=reason):
        read_packet(content)


@pytest.fixture
def listening():
    with open_port("127.0.0.1", 0) as port:
        yield port


def send(port, *packets):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        for content in packets:
            phone.sendto(content, port.getsockname())


def test_the_newest_readable_packet_of_the_first_phone_counts(listening, caplog):
    frames = receive_frames(listening)
    send(listening, packet(1), packet(2), b"x", b"y", packet(9, subject="iPad"), packet(10, subject="iPad"))
    assert next(frames).frame == 2
    send(listening, b"z", packet(3), packet(11, subject="iPad"))
    assert next(frames).frame == 3
    messages = [record.getMessage() for record in caplog.records]
    assert [message.split(":")[0] for message in messages] == [
        "A packet is not read", "iPad is another face than iPhone"
    ]  # fmt: skip


def test_nothing_is_received_after_the_end(listening):
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    assert list(receive_frames(listening, stop)) == []


def test_a_port_in_use_is_named(listening):
    number = listening.getsockname()[1]
    with pytest.raises(OSError, match=f"Port {number} cannot be opened .* name another one"):
        open_port("127.0.0.1", number)


@pytest.fixture
def played(monkeypatch):
    """Coefficients that were played, on a stand-in for the face."""
    seen, (face_scan,) = [], affect4d.example("anger", frames=3)[:1]

    def play(recipe, subject, coefficients, units, conditions, frame, rng):
        seen.append(SimpleNamespace(subject=subject, coefficients=coefficients, turns=conditions.turns[0]))
        return face_scan

    monkeypatch.setattr(live_link_stream, "play", play)
    monkeypatch.setattr(live_link_stream, "load_face", lambda folder: None)
    return seen


def frames(*jaws):
    for number, jaw in enumerate(jaws):
        yield read_packet(packet(number, jawOpen=jaw, headYaw=0.2 + jaw))


def test_frames_become_scans_that_move_over_the_first(played, tmp_path):
    paths = list(write_frames(frames(0.2, 0.6, 1.0), tmp_path / "scans", LiveLinkRecipe()))
    assert [path.name for path in paths] == ["000000.wrl", "000001.wrl", "000002.wrl"]
    jaws = [one.coefficients[ARKIT.index("jawOpen")] for one in played]
    assert jaws == pytest.approx([0.0, 0.5, 1.0], abs=1e-6)
    assert np.diff([one.turns[1] for one in played]) == pytest.approx([-np.degrees(0.4)] * 2)
    assert read_scan(paths[-1]).texture is not None


def test_the_newest_scans_and_the_neutral_one_stay(played, tmp_path, monkeypatch):
    monkeypatch.setattr(live_link_stream, "KEPT", 2)
    list(write_frames(frames(0.0, 0.1, 0.2, 0.3, 0.4), tmp_path, LiveLinkRecipe()))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "000000.jpg", "000000.wrl", "000003.jpg", "000003.wrl", "000004.jpg", "000004.wrl"
    ]  # fmt: skip
    assert KEPT > 100


def test_a_folder_with_scans_is_not_written_into(tmp_path):
    (tmp_path / "mine.ply").touch()
    with pytest.raises(FileExistsError, match="holds scans already"):
        next(write_frames(frames(0.0), tmp_path, LiveLinkRecipe()))


def test_the_command_names_what_is_missing(tmp_path):
    found = CliRunner().invoke(cli, ["receive", str(tmp_path / "a"), "--ict", str(tmp_path), "--port", "0"])
    assert found.exit_code == 1
    assert "ICT-FaceKit" in found.output


def test_a_dropped_jaw_lengthens_the_face(ict_folder, tmp_path):
    sent = [read_packet(packet(number, jawOpen=jaw)) for number, jaw in enumerate((0.0, 0.0, 1.0))]
    paths = list(write_frames(sent, tmp_path, LiveLinkRecipe(ict_folder=str(ict_folder))))
    first, still, dropped = (float(np.ptp(read_scan(path).vertices[:, 1])) for path in paths)
    assert abs(still - first) < 4  # mm
    assert dropped - first > 8
