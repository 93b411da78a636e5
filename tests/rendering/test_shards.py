"""A shard gives back every image bit by bit, alone or together, or says that it is damaged."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from generated_surface import write_shard
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors import safe_open

from affect4d.rendering.shards import (
    DamagedShardError,
    Shard,
    ShardWriter,
    is_whole,
    open_shard,
    read_header,
)
from affect4d.store import file_digest


@pytest.fixture
def images(generator):
    return {
        "texture": generator.integers(0, 256, (4, 3, 20, 20, 3), np.uint8),
        "depth": generator.integers(0, 65536, (4, 3, 20, 20, 1), np.uint16),
    }


@pytest.fixture
def path(tmp_path, images):
    write_shard(tmp_path / "shard.safetensors", images, {"frames": [0, 2, 4, 6]})
    return tmp_path / "shard.safetensors"


def test_every_image_comes_back_alone_and_together(path, images):
    shard = open_shard(path, file_digest(path))
    for channel, stack in images.items():
        np.testing.assert_array_equal(shard.stack(channel), stack)
        assert shard.stack(channel).dtype == stack.dtype
        np.testing.assert_array_equal(shard.image(channel, 3, 1), stack[3, 1])


def test_the_header_says_what_is_inside(path):
    header = read_header(path)
    assert header["frames"] == [0, 2, 4, 6]
    assert header["channels"]["depth"] == {"shape": [4, 3, 20, 20, 1], "dtype": "uint16"}
    assert Shard(path).header == header


def test_any_safetensors_reader_can_open_it(path):
    with safe_open(path, framework="numpy") as file:
        assert set(file.keys()) == {"texture", "texture.ends", "depth", "depth.ends"}
        assert json.loads(file.metadata()["affect4d"])["frames"] == [0, 2, 4, 6]


@settings(max_examples=25, deadline=None)
@given(stack=arrays(np.uint8, st.tuples(*(st.integers(1, 4) for _ in range(4)), st.just(3))))
def test_any_stack_is_kept_bit_by_bit(stack, tmp_path_factory):
    path = tmp_path_factory.mktemp("shards") / "one.safetensors"
    write_shard(path, {"texture": stack}, {})
    np.testing.assert_array_equal(Shard(path).stack("texture"), stack)


def test_similar_images_take_less_room(tmp_path):
    face = np.zeros((4, 3, 64, 64, 3), np.uint8)
    face[:, :, 16:48, 16:48] = np.linspace(0, 255, 32, dtype=np.uint8)[:, None, None]
    write_shard(tmp_path / "shard", {"texture": face}, {})
    assert (tmp_path / "shard").stat().st_size < face.nbytes / 10


def test_one_flipped_bit_is_found_on_opening_and_in_the_image_itself(path, images):
    checksum, data = file_digest(path), bytearray(path.read_bytes())
    data[-1000] ^= 4
    path.write_bytes(data)
    with pytest.raises(DamagedShardError, match=r"shard\.safetensors is damaged.*removed.*render again"):
        open_shard(path, checksum)
    assert not path.exists(), "it stays in the way of a new one"
    path.write_bytes(data)
    shard = Shard(path)
    with pytest.raises(DamagedShardError):
        [shard.stack(channel) for channel in images]


def test_a_list_of_images_that_does_not_fit_is_damage(path):
    """The high byte of where the last image ends: zstd reads a frame and minds nothing behind it."""
    data = bytearray(path.read_bytes())
    start, end = safetensors_place(data, "texture.ends")
    assert end - start == 8 * 12
    data[end - 1] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedShardError, match="removed"):
        Shard(path)
    assert not path.exists()


def test_a_header_that_makes_no_sense_is_damage(path):
    checksum = file_digest(path)
    path.write_bytes(path.read_bytes().replace(b"uint16", b"uint19"))
    with pytest.raises(DamagedShardError, match="removed"):
        open_shard(path, checksum)
    assert not path.exists()


def safetensors_place(data, name):
    """First and last byte of a tensor in a file."""
    length = int.from_bytes(data[:8], "little")
    return [8 + length + offset for offset in json.loads(data[8 : 8 + length])[name]["data_offsets"]]


def test_a_whole_shard_that_another_manifest_names_stays(path):
    with pytest.raises(DamagedShardError, match="rendered again since"):
        open_shard(path, "0" * 24)
    assert path.exists()


def test_a_file_is_checked_once_a_process(path, monkeypatch):
    checksum = file_digest(path)
    open_shard(path, checksum)
    monkeypatch.setattr("affect4d.rendering.shards.file_digest", lambda _: pytest.fail("checked again"))
    open_shard(path, checksum)


@pytest.mark.parametrize("left", [0, 4, 8, 200, -1])
def test_what_a_power_cut_leaves_is_not_whole(path, left):
    assert is_whole(path)
    path.write_bytes(path.read_bytes()[:left])
    assert not is_whole(path)


def test_a_file_of_zeros_is_not_whole(path):
    path.write_bytes(bytes(path.stat().st_size))
    assert not is_whole(path)


def _open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(sys.platform != "linux", reason="counts open files in /proc")
def test_a_shard_that_nobody_holds_keeps_no_file_open(path, tmp_path):
    checksum, data = file_digest(path), path.read_bytes()
    before = _open_files()
    for number in range(20):
        copy = tmp_path / f"{number}.safetensors"
        copy.write_bytes(data)
        open_shard(copy, checksum)
    assert _open_files() <= before + 1


@pytest.mark.parametrize(("frame", "view"), [(4, 0), (0, 3), (-1, 0)])
def test_an_image_that_is_not_there_is_named(path, frame, view):
    with pytest.raises(IndexError, match="4 frames of 3 views"):
        Shard(path).image("texture", frame, view)


def test_frames_that_differ_in_shape_do_not_share_a_shard():
    writer = ShardWriter()
    writer.add({"texture": np.zeros((3, 8, 8, 3), np.uint8)})
    with pytest.raises(ValueError, match="same images"):
        writer.add({"texture": np.zeros((3, 9, 9, 3), np.uint8)})
