import pytest

from affect4d.app.select_recording import FRAMES, SUBJECTS, generate_sample, sample_source, subjects


def test_people_of_the_samples_are_in_no_corpus():
    from affect4d.synthetic.frozen_benchmarks import benchmark, benchmark_names

    assert len(subjects()) == SUBJECTS
    assert sample_source().recipe.seed not in {benchmark(name).recipe.seed for name in benchmark_names()}


def test_a_sample_is_a_sequence_and_tells_how_far_it_is():
    told = []
    scans = generate_sample(subjects()[0], "surprise", told.append)
    assert len(scans) == len(told) == FRAMES
    assert told == sorted(told)
    assert all(scan.texture is not None and len(scan.vertices) > 500 for scan in scans)


def test_nobody_of_that_name_is_an_error_that_lists_everybody():
    with pytest.raises(ValueError, match="F001"):
        generate_sample("Z999", "anger", print)
