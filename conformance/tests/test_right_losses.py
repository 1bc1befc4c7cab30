"""Right ways to compute the losses, by many algorithms, are never blamed on the goldens as they are shipped."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import util
from pathlib import Path

import pytest
from made_goldens import SPEC

from lossproof.implementations import Implementation
from lossproof.outcome import FAILURES, Outcome, suffices
from lossproof.selection import Selection, select
from lossproof.session import Asked, Session
from lossproof.spec.golden import Golden

pytestmark = pytest.mark.numbers

HERE = Path(__file__).parent / "right_losses"
SHARED = ("masks_and_reductions", "steps")

# These subtract the maximum, and add pairwise, by blocks or in a wider type.
STABLE = (
    "base_two_after_shift",
    "chunked_gradient_in_forward",
    "clamped_and_differentiated",
    "classes_permuted",
    "clipped_at_machine_epsilon",
    "compensated_lanes",
    "epsilon_inside_logarithms",
    "every_step_in_dtype",
    "float64_inside",
    "half_in_float32_inside",
    "log1p_fused",
    "logaddexp_tree",
    "maximum_and_sum_saved",
    "one_hot_product",
    "online_softmax",
    "row_by_row",
    "smoothing_as_mixture",
    "target_gathered_first",
    "torch_operations",
    "vocabulary_shards",
)
# These add one class after the other, do not shift, or take a sigmoid, a product or a logarithm by a known shortcut.
LOOSE_AT_WORST = (
    "ascending_running_sum",
    "base_two_sigmoid",
    "derivatives_term_by_term",
    "logaddexp_from_the_left",
    "normaliser_saved",
    "reversed_running_sum",
    "smoothing_from_the_sum_of_logits",
    "softmax_of_log_probabilities",
    "softplus_less_product",
    "streaming_by_element",
    "two_classes_for_one_logit",
    "unshifted_where_it_fits",
)
# What a framework's arrays cannot hold is no question to a loss.
NO_SUCH_ARRAY = "torch has no negative strides"


@pytest.mark.parametrize("name", STABLE)
def test_a_right_loss_is_stable_on_every_golden(name: str) -> None:
    answers = asked(name)

    blamed = [sentence(each) for each in answers if not suffices(each.judgement.outcome, Outcome.STABLE)]
    assert (True, []) == (bool(answers), blamed)


@pytest.mark.parametrize("name", LOOSE_AT_WORST)
def test_a_right_loss_with_a_known_weakness_is_never_wrong(name: str) -> None:
    answers = asked(name)

    blamed = [sentence(each) for each in answers if not suffices(each.judgement.outcome, Outcome.LOOSE)]
    assert (True, []) == (bool(answers), blamed)


def test_every_right_loss_states_its_grade() -> None:
    assert sorted((*STABLE, *LOOSE_AT_WORST, *SHARED)) == sorted(path.stem for path in HERE.glob("*.py"))


def test_many_right_losses_take_part() -> None:
    assert len(STABLE) >= 15


def asked(name: str) -> list[Asked]:
    """The judged goldens that a loss is asked and that gate."""
    if name.startswith("torch") and util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    path = str(HERE / f"{name}.py")
    with Session(Implementation(name, path, {"path": path}), SPEC) as session:
        subject = session.start()
        assert not subject.failed, subject.details
        return [
            each for each in session.ask(answerable(set(subject.offered))) if each.kind != "hazard" and counts(each)
        ]


def answerable(offered: set[str]) -> Iterator[Golden]:
    """The goldens whose operations are all offered: a relation may ask several."""
    return (golden for golden in goldens() if operations_of(golden) <= offered)


@cache
def goldens() -> list[Golden]:
    return select(Selection())


def operations_of(golden: Golden) -> set[str]:
    parts = golden.calls or (golden,)
    return {part.operation for part in parts} | {part.after for part in parts if part.after}


def counts(each: Asked) -> bool:
    """Values and gradients must be answered; other derivatives and transforms need not be offered."""
    if each.judgement.outcome is not Outcome.UNSUPPORTED:
        return True
    golden = each.golden
    needed = golden.transform is None and all(
        part.question in ("value", "gradient") for part in golden.calls or (golden,)
    )
    return needed and each.judgement.reason != NO_SUCH_ARRAY


def sentence(each: Asked) -> str:
    judgement = each.judgement
    if judgement.reason or judgement.outcome in FAILURES:
        return f"{each.golden.id}: {judgement.outcome}, {judgement.reason}"
    return (
        f"{each.golden.id}: {judgement.outcome}, {judgement.bounds:.3g} bounds at {judgement.where}, "
        f"expected {judgement.expected}, got {judgement.got}"
    )
