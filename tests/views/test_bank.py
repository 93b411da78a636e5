import numpy as np
import pandas as pd
import pytest
import torch
from generated_surface import write_shard
from pydantic import ValidationError

from affect4d.store import ContentStore, file_digest
from affect4d.views.bank import ViewBank, load_view_bank, reference_image
from affect4d.views.derived_channels import derive_channels
from affect4d.views.input_options import FrameSampler, InputOptions

OPTIONS = InputOptions(channels=("grey", "shading"), size=16)
ANGLES = [0.0, -45.0, 45.0]


@pytest.fixture
def store(tmp_path):
    return ContentStore(tmp_path)


def shard(store, name, seed, frames=3):
    generator = np.random.default_rng(seed)
    images = {kind: generator.integers(0, 256, (frames, 3, 16, 16, 3), np.uint8) for kind in ("texture", "normals")}
    with store.write(name) as path:
        write_shard(path, images, {})
    return images


@pytest.fixture
def view_manifest(store):
    for position in range(2):
        shard(store, f"views/{position}.safetensors", position)
    return pd.DataFrame(
        {
            "sequence": ["F001/Happy", "F002/Sad"],
            "frames": [[0, 5, 9], [2, 3, 4]],
            "neutral": [0, 1],
            "activity": [[0.0, 0.5, 1.0], [0.4, 0.0, 1.0]],
            "shard": [f"views/{position}.safetensors" for position in range(2)],
            "checksum": [file_digest(store.path(f"views/{position}.safetensors")) for position in range(2)],
            "views": [["front", "left", "right"]] * 2,
            "angles": [ANGLES] * 2,
            "size": 16,
        }
    )


def test_the_bank_holds_the_derived_channels_of_every_frame(view_manifest, store):
    bank = load_view_bank(view_manifest, store, OPTIONS)
    drawn = shard(store, "another", 1)
    second = derive_channels(drawn, ANGLES, OPTIONS.channels)
    assert np.array_equal(bank.images[bank.rows_of("F002/Sad")].numpy(), second)
    assert bank.neutral.tolist() == [0, 0, 0, 4, 4, 4]
    assert bank.frame.tolist() == [0, 5, 9, 2, 3, 4]
    assert bank.in_window.tolist() == [False, True, True, False, False, True]
    assert (bank.sequences, bank.views) == (("F001/Happy", "F002/Sad"), ("front", "left", "right"))


def test_a_second_opening_reads_what_the_first_wrote(view_manifest, store):
    first = load_view_bank(view_manifest, store, OPTIONS)
    for name in view_manifest["shard"]:
        store.path(name).unlink()
    again = load_view_bank(view_manifest, store, OPTIONS)
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.in_window, again.in_window)


def test_further_head_poses_follow_as_rows_that_only_a_schedule_names(view_manifest, store):
    for position in range(2):
        generator = np.random.default_rng(10 + position)
        names = ("texture", "normals", "texture~1", "normals~1")
        images = {name: generator.integers(0, 256, (3, 3, 16, 16, 3), np.uint8) for name in names}
        with store.write(f"views/s{position}.safetensors") as path:
            write_shard(path, images, {})
    shards = [f"views/s{position}.safetensors" for position in range(2)]
    checksums = [file_digest(store.path(name)) for name in shards]
    manifest = view_manifest.assign(shard=shards, checksum=checksums, head_poses=1)
    bank = load_view_bank(manifest, store, OPTIONS)
    plain = load_view_bank(manifest.assign(head_poses=0), store, OPTIONS)
    assert (len(bank), len(bank.images), len(plain.images)) == (6, 12, 6)
    assert torch.equal(bank.images[:6], plain.images)
    turned = {name: images[f"{name}~1"] for name in ("texture", "normals")}
    assert np.array_equal(bank.images[9:].numpy(), derive_channels(turned, ANGLES, OPTIONS.channels))
    assert torch.equal(bank.in_window, plain.in_window)


def test_a_subset_of_sequences_has_a_bank_of_its_own(view_manifest, store):
    load_view_bank(view_manifest, store, OPTIONS)
    alone = load_view_bank(view_manifest.tail(1), store, OPTIONS)
    assert alone.sequences == ("F002/Sad",)
    assert alone.neutral.tolist() == [1, 1, 1]


def test_the_index_names_every_row_and_nothing_it_must_not(view_manifest, store):
    index = load_view_bank(view_manifest, store, OPTIONS).index()
    assert list(index.columns) == ["sequence", "frame", "in_window"]
    assert list(index["sequence"]) == ["F001/Happy"] * 3 + ["F002/Sad"] * 3


def test_labels_of_the_manifest_change_nothing(view_manifest, store):
    plain = load_view_bank(view_manifest, store, OPTIONS)
    labelled = load_view_bank(view_manifest.assign(expression=["anger", "fear"]), store, OPTIONS)
    assert torch.equal(plain.images, labelled.images)


def test_a_damaged_shard_is_refused_by_name(view_manifest, store):
    path = store.path("views/1.safetensors")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"1\.safetensors is damaged"):
        load_view_bank(view_manifest, store, OPTIONS)


def test_a_sampler_decides_which_frames_are_in_the_window(view_manifest, store):
    every_end = OPTIONS.model_copy(update={"frames": FrameSampler(kind="uniform", frames=2)})
    bank = load_view_bank(view_manifest, store, every_end)
    assert bank.in_window.tolist() == [True, False, True, True, False, True]


def test_a_bank_can_be_cut_to_some_views():
    rows = torch.arange(4)
    images = torch.arange(4 * 2).view(4, 2, 1, 1, 1).to(torch.uint8)
    bank = ViewBank(images, rows, rows, rows, rows > 1, tuple("abcd"), ("front", "left"))
    cut = bank.only(("left", "left"))
    assert cut.views == ("left", "left")
    assert torch.equal(cut.images, bank.images[:, [1, 1]])
    assert bank.only(()) is bank
    with pytest.raises(ValueError, match=r"views above, below were.*front, left"):
        bank.only(("above", "below", "above"))


def test_sequences_rendered_differently_do_not_share_a_bank(view_manifest, store):
    with pytest.raises(ValueError, match="rendered alike"):
        load_view_bank(view_manifest.assign(size=[16, 32]), store, OPTIONS)


def test_an_unknown_sequence_is_named(bank):
    with pytest.raises(KeyError, match="F009/Happy"):
        bank.rows_of("F009/Happy")


@pytest.mark.parametrize(("motion", "shape"), [("none", (3, 2)), ("stacked", (3, 4)), ("views", (6, 2))])
def test_motion_enters_as_channels_or_views(motion, shape):
    assert InputOptions(channels=("grey", "shading"), motion=motion).input_shape(3) == shape


@pytest.mark.parametrize("options", [{"channels": ()}, {"channels": ("colour",)}, {"size": 8}, {"motion": "optical"}])
def test_absurd_inputs_are_refused(options):
    with pytest.raises(ValidationError):
        InputOptions(**options)


@pytest.fixture
def scans_alone(store):
    """Four scans of one subject and two of another, each alone in its sequence, in the canonical and a further pose."""
    rows = []
    for place in range(6):
        generator = np.random.default_rng(place)
        names = ("texture", "normals", "texture~1", "normals~1")
        images = {name: generator.integers(0, 256, (1, 3, 16, 16, 3), np.uint8) for name in names}
        path = f"views/alone{place}.safetensors"
        with store.write(path) as file:
            write_shard(file, images, {})
        rows.append({"sequence": f"S{place}", "subject": "F001" if place < 4 else "F002", "shard": path})
        rows[-1] |= {"frames": [0], "neutral": 0, "activity": [0.0], "checksum": file_digest(store.path(path))}
    table = pd.DataFrame(rows).assign(size=16, head_poses=1)
    return table.assign(views=[["front", "left", "right"]] * 6, angles=[ANGLES] * 6)


def test_the_neutral_of_single_scans_is_their_subjects_reference_image(scans_alone, store):
    bank = load_view_bank(scans_alone, store, OPTIONS)
    assert bank.neutral.tolist() == [6, 6, 6, 6, 4, 5, 6]  # two scans of a subject have no reference
    assert bank.index()["sequence"].tolist() == list(bank.sequences)
    for pose in (0, 7):
        assert np.array_equal(bank.images[pose + 6], reference_image(bank.images[pose : pose + 4].numpy()))


def test_a_reference_image_is_the_median_of_the_nearer_half_of_the_scans(generator):
    still = generator.integers(50, 200, (2, 3, 8, 8))
    near = still + generator.integers(-1, 2, (5, 2, 3, 8, 8))
    far = still + generator.choice([-40, 40], (4, 1, 1, 8, 8)) * np.ones((1, 2, 3, 1, 1), int)
    scans = np.concatenate([far, near]).astype(np.uint8)
    reference = reference_image(scans)
    assert np.abs(reference.astype(int) - still).max() <= 1
    assert np.array_equal(reference, reference_image(scans[::-1]))
    assert not np.array_equal(reference, np.sort(scans, axis=0)[4])


def test_the_neutral_of_single_scans_needs_no_label(scans_alone, store):
    labelled = scans_alone.assign(expression=["fear", None, "anger", "sadness", "fear", "anger"])
    first, again = (load_view_bank(table, store, OPTIONS) for table in (scans_alone, labelled))
    assert torch.equal(first.images, again.images)


def test_no_schedule_samples_a_reference_image(scans_alone, store):
    bank = load_view_bank(scans_alone.assign(head_poses=0), store, OPTIONS)
    assert not bank.in_window[-1]
    assert [bank.rows_of(name).tolist() for name in bank.sequences] == [[place] for place in range(6)]
