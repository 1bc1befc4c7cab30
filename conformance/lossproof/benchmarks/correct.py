"""Whether an implementation's answers are right enough for its time to mean something."""

from __future__ import annotations

from lossproof.case import Question
from lossproof.pytest_sessions import Opened
from lossproof.selection import Selection, select


def why_not_timed(opened: Opened, operation: str, dtype: str, question: Question) -> str:
    """Why not, "" where it passes the goldens of the operation in this dtype.

    Gradients need right values too. Known deviations are not findings, here as everywhere.
    """
    needed = ("value", "relation") if question == "value" else ("value", "relation", "gradient")
    findings = judged = 0
    for golden in select(Selection(dtypes=(dtype,)), (operation,)):
        if golden.question in needed:
            _, verdict = opened.judge(golden)
            findings += len(verdict.findings)
            judged += verdict.judged
    if findings:
        return f"does not pass {operation}: {findings} finding{'s' if findings > 1 else ''} in {dtype}"
    return "" if judged else f"no golden of {operation} in {dtype} was judged"
