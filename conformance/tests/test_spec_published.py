"""Numbers that sources print beside their losses, worked out from the inputs of the cases."""

from __future__ import annotations

import math

import pytest

from lossproof.case import Case, Number
from lossproof.spec.cases import read_cases


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    return {case.id: case for case in read_cases()}


def values(case: Case, name: str) -> tuple[Number, ...]:
    found = case.inputs[name].values
    assert found is not None
    return found


def test_softmax_of_four_scores(cases: dict[str, Case]) -> None:
    logits = values(cases["log_softmax/published/four-scores"], "logits")
    total = sum(math.exp(logit) for logit in logits)

    assert [f"{math.exp(logit) / total:.4f}" for logit in logits] == ["0.1749", "0.1749", "0.1749", "0.4754"]


def test_softmax_of_every_pixel(cases: dict[str, Case]) -> None:
    logits = values(cases["log_softmax/published/segmentation"], "logits")
    shares = [1 / (1 + math.exp(other - logit)) for logit, other in zip(logits, logits[9:] + logits[:9], strict=True)]

    assert [f"{share:.4f}" for share in shares] == (
        ".4261 .4757 .5698 .5169 .4152 .6600 .4141 .5531 .5515 .5739 .5243 .4302 .4831 .5848 .3400 .5859 .4469 .4485"
    ).replace(".", "0.").split(" ")


def test_both_cases_of_the_image_hold_the_same_logits(cases: dict[str, Case]) -> None:
    loss, softmax = cases["cross_entropy/published/segmentation"], cases["log_softmax/published/segmentation"]

    assert loss.inputs["logits"] == softmax.inputs["logits"]


def test_mean_after_renormalising_two_rows(cases: dict[str, Case]) -> None:
    probs = values(cases["categorical_crossentropy/published/two-rows"], "probs")
    losses = [-math.log(probs[1] / sum(probs[:3])), -math.log(probs[5] / sum(probs[3:]))]

    assert f"{sum(losses) / 2:.4f}" == "1.2013"
