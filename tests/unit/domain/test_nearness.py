from __future__ import annotations

import pytest

from services.domain.nearness import gist, may_be_near, near_keys, nearness

WHO = ["Ada Quill", "Bram Osei", "Chen Li"]


def meet(one: str, other: str) -> bool:
    return bool(set(near_keys(one)) & set(near_keys(other)) - {""})


def test_titles_that_only_begin_alike_are_not_compared_letter_by_letter() -> None:
    one = "Large Language Models for the Inference of Tidal Currents"
    other = "Large Language Models in Harbour Planning: A Survey of Practice"
    assert not may_be_near(gist(one), gist(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Sparse Lanterns for Tidal Inference", "Sparse lanterns for tidal inferences"),
        ("Sparse Lanterns for Tidal Inference", "Sparse Lanterns: Tidal Inference from the Shore"),
        ("Reading the Tide from the Shoreline", "On Reading the Tide from a Shoreline"),
        (r"$\alpha$-Lanterns for Sch\"odinger Harbours", "α-Lanterns for Schödinger Harbours"),
        ("LanternNet: Learning to Read Tides", "LanternNet: Learning Tides"),
        ("LanternNet: Sparse Lanterns for Tidal Inference", "LanternNet"),
        ("Modelling Colour Behaviour in Harbour Centres", "Modeling Color Behavior in Harbor Centers"),
        ("Finetuning Multimodal Pretrained Lanterns", "Fine-tuning Multi-modal Pre-trained Lanterns"),
        ("A Survey on Tidal Lanterns", "Tidal Lanterns: A Survey"),
        ("Towards Robust Tidal Lanterns", "Toward Robust Tidal Lanterns"),
        ("Lantern-4 and the Reading of Tides", "Lantern4 and the Reading of Tides"),
        ("Learning to Read Tides with LLMs", "Learning to Read Tides with Large Language Models"),
    ],
)
def test_an_edited_title_meets_the_old_one_and_is_worth_asking_about(one: str, other: str) -> None:
    assert meet(one, other)
    assert may_be_near(gist(one), gist(other))
    near = nearness(one, WHO, other, ["A. Quill", "Osei, Bram", "C. Li"])
    assert near is not None
    assert 0.8 <= near.score <= 1
    assert "3 of 3 authors" in near.reason


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Sparse lanterns for tidal inference, part 1", "Sparse lanterns for tidal inference, part 2"),
        ("The 2025 report on harbour lanterns", "The 2026 report on harbour lanterns"),
        ("A survey of large lantern models", "A survey of tidal gradients in agents"),
        ("Sparse lanterns for tidal inference, Part I", "Sparse lanterns for tidal inference, Part II"),
        ("Sparse lanterns for tidal inference III", "Sparse lanterns for tidal inference IV"),
        ("Sparse lanterns for tidal inference: part one", "Sparse lanterns for tidal inference: part two"),
        ("Sparse lanterns for tidal inference, volume A", "Sparse lanterns for tidal inference, volume B"),
        ("The first lantern challenge: findings", "The second lantern challenge: findings"),
        ("Lantern-7B: sparse tidal inference", "Lantern-13B: sparse tidal inference"),
        ("Sparse lanterns for tidal inference", "Corrigendum to: Sparse lanterns for tidal inference"),
        ("Sparse lanterns for tidal inference", "Erratum: Sparse lanterns for tidal inference"),
        ("Sparse lanterns for tidal inference", "Retraction of: Sparse lanterns for tidal inference"),
        ("Sparse lanterns for tidal inference", "Reply to: Sparse lanterns for tidal inference"),
        ("Sparse lanterns for tidal inference", 'Comment on "Sparse lanterns for tidal inference"'),
        ("Sparse lanterns for tidal inference", "[Re] Sparse lanterns for tidal inference"),
    ],
)
def test_a_series_or_a_common_phrase_is_nothing(one: str, other: str) -> None:
    assert nearness(one, WHO, other, WHO) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Re-Thinking Attention", "Rethinking Attention"),
        ("Planning with R", "Planning with R: tools"),
        ("Sparse tidal inference in vitamin D", "Sparse tidal inference in vitamin D in children"),
        ("Two is Better than One", "2 is better than 1"),
        ("Tidal inference, first part", "Tidal inference, 1st part"),
    ],
)
def test_a_hyphen_a_subtitle_or_a_number_in_words_makes_no_other_paper(one: str, other: str) -> None:
    assert nearness(one, WHO, other, WHO) is not None


def test_equal_titles_of_other_people_are_two_papers() -> None:
    assert nearness("Sparse lanterns for inference", WHO, "Sparse Lanterns for Inference", ["Dee Moor"]) is None


def test_equal_titles_without_authors_are_worth_asking_about() -> None:
    near = nearness("Sparse lanterns for inference", WHO, "Sparse Lanterns for Inference", [])
    assert near is not None
    assert near.score == 0.85


def test_short_titles_have_no_keys() -> None:
    assert near_keys("Editorial") == ("", "")
