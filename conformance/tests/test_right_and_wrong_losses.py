"""Each wrong loss is found, on the goldens as they are shipped."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from made_goldens import SPEC

from lossproof.implementations import Implementation
from lossproof.outcome import Outcome, suffices
from lossproof.run import Asked, Selection, Session, select
from lossproof.spec.golden import Golden

HERE = Path(__file__).parent
WRONG = sorted((HERE / "wrong_losses").glob("*.py"))
OFFERED = ("binary_cross_entropy_with_logits", "cross_entropy", "log_softmax")

# Where each wrong loss must fall foul: a finding elsewhere does not hide that its own bug is missed.
CAUGHT_BY = {
    "base_two": "cross_entropy/classes/count-1000",
    "clamped_gradient": "cross_entropy/shift",
    "classes_on_the_last_axis": "cross_entropy/shapes",
    "cotangent_of_ones": "log_softmax",
    "gradient_of_ignored_rows": "cross_entropy/ignore-index",
    "half_sums_in_half": "cross_entropy/reductions/mean-within-the-range-of-half",
    "inputs_in_bfloat16": "log_softmax/classes",
    "inputs_in_tf32": "log_softmax/classes",
    "log_of_softmax_plus_1e7": "cross_entropy/classes",
    "mean_over_all_rows": "cross_entropy/ignore-index",
    "nan_becomes_zero": "cross_entropy/non-finite",
    "negative_labels_ignored": "cross_entropy/ignore-index",
    "normaliser_of_64": "cross_entropy/classes",
    "one_element_in_a_thousand": "cross_entropy/classes",
    "running_sum_in_half": "cross_entropy/classes",
    "smoothing_over_the_others": "cross_entropy/label-smoothing",
    "tail_of_a_block": "cross_entropy/classes",
    "unshifted": "cross_entropy/shift",
}


@cache
def goldens() -> list[Golden]:
    return select(Selection(), OFFERED)


def asked(path: Path, goldens: list[Golden]) -> list[Asked]:
    with Session(Implementation(path.stem, str(path), {"path": str(path)}), SPEC) as session:
        subject = session.start()
        assert not subject.failed, subject.details
        return list(session.ask(goldens))


def is_finding(each: Asked) -> bool:
    unasked = each.judgement.outcome is Outcome.UNSUPPORTED
    return each.kind != "hazard" and not unasked and not suffices(each.judgement.outcome, Outcome.STABLE)


@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.stem)
def test_a_wrong_loss_is_found(path: Path) -> None:
    answers = asked(path, [golden for golden in goldens() if golden.case.startswith(CAUGHT_BY[path.stem])])

    assert (True, True) == (bool(answers), any(is_finding(each) for each in answers))


def test_every_wrong_loss_says_where_it_is_caught() -> None:
    assert set(CAUGHT_BY) == {path.stem for path in WRONG}
