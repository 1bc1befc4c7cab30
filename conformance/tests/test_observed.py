"""What implementations were seen to do where frameworks lawfully differ."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from made_goldens import SPEC

from lossproof.cli import dialects
from lossproof.implementations import find_implementation
from lossproof.observed import LABEL_DTYPES, OVERWRITES, PROMISES, RESULTS, Observation, observe, tells
from lossproof.selection import Selection, select
from lossproof.session import Session

# A mean over nothing is 0 here, labels of 32 bits are refused, and every second answer is another one.
OF_ITS_OWN = """
import importlib.util
from pathlib import Path
import numpy as np

spec = importlib.util.spec_from_file_location("reference", {reference!r})
reference = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reference)
asked = 0

def nll_loss(log_probs, target, *, weight=None, ignore_index=-100, reduction="mean"):
    global asked
    asked += 1
    if target.dtype == np.int32:
        raise TypeError("labels of 64 bits, please")
    loss = reference.nll_loss(log_probs, target, weight=weight, ignore_index=ignore_index, reduction=reduction)
    if reduction == "mean" and np.isnan(loss) and not np.isnan(log_probs).any():
        loss = np.zeros_like(loss)
    return loss
"""


# Answers in float64, and shifts its input where it lies.
IN_PLACE = """
import numpy as np

def log_softmax(logits, *, axis=-1):
    wide = logits.astype(np.float64)
    logits -= logits.max(axis, keepdims=True)
    return wide - np.logaddexp.reduce(wide, axis, keepdims=True)
"""


def observed(name: str, *globs: str) -> dict[tuple[str, str], Observation]:
    goldens = [golden for golden in select(Selection(globs, ("float32",))) if tells(golden)]
    with Session(find_implementation(name), SPEC) as session:
        offered = session.start().offered
        found = observe(session, [golden for golden in goldens if golden.operation in offered], SPEC)
    return {(each.operation, each.rule): each for each in found}


@pytest.fixture
def own(adapter: Callable[[str], Path]) -> str:
    return str(adapter(OF_ITS_OWN.format(reference=find_implementation("numpy_reference").adapter["path"])))  # type: ignore[index]  # an adapter file


def test_the_reference_follows_its_dialects() -> None:
    found = observed("numpy_reference", "nll_loss/*", "cross_entropy/weights/*", "cross_entropy/label-smoothing/*")

    assert [] == [each for each in found.values() if not each.agrees]
    assert found["nll_loss", "empty_mean"].seen.keys() == {"nan"}
    assert found["cross_entropy", "smoothing_weight"].seen["term"] > 3


def test_another_rule_is_seen(own: str) -> None:
    seen = observed(own, "nll_loss/*")["nll_loss", "empty_mean"]

    assert (seen.stated, {*seen.seen}, seen.neither, seen.agrees) == ("nan", {"zero"}, 0, False)


def test_labels_that_are_refused_are_seen(own: str) -> None:
    seen = observed(own, "nll_loss/*")["nll_loss", LABEL_DTYPES]

    assert "not int32" in seen.seen
    assert "int64" in seen.seen
    assert seen.agrees, "its dialect does not promise int32"


def test_properties_are_seen_that_nobody_promises() -> None:
    seen = observed("numpy_reference", "log_softmax/*")["log_softmax", PROMISES]

    assert seen.seen["repeatable"] > 0
    assert seen.agrees


def test_dtypes_of_results_and_overwritten_inputs_are_seen(adapter: Callable[[str], Path]) -> None:
    right = observed("numpy_reference", "log_softmax/*")
    found = observed(str(adapter(IN_PLACE)), "log_softmax/*")

    assert ({"same"}, {"nothing"}) == tuple({*right["log_softmax", rule].seen} for rule in (RESULTS, OVERWRITES))
    assert {"wider"} == {*found["log_softmax", RESULTS].seen}
    assert "logits" in found["log_softmax", OVERWRITES].seen
    assert (True, True, False, False) == (
        *(right["log_softmax", rule].agrees for rule in (RESULTS, OVERWRITES)),
        *(found["log_softmax", rule].agrees for rule in (RESULTS, OVERWRITES)),
    )


def test_the_page_and_its_data_are_written(tmp_path: Path, own: str) -> None:
    result = CliRunner().invoke(dialects.command, [own, "--output", str(tmp_path / "page")])

    page = (tmp_path / "page" / "dialects.md").read_text(encoding="utf-8")
    data = json.loads((tmp_path / "page" / "dialects.json").read_text(encoding="utf-8"))
    assert result.exit_code == 0
    assert "| nll_loss | my_loss | nan | zero (" in page
    assert {"nan"} == {each["stated"] for each in data if each["rule"] == "empty_mean"}
    assert len(data) > 3


def test_who_cannot_be_started_is_named(adapter: Callable[[str], Path]) -> None:
    result = CliRunner().invoke(dialects.command, [str(adapter("import no_such_module"))])

    assert result.exit_code == 3
    assert "my_loss was not started: No module named 'no_such_module'" in result.output
