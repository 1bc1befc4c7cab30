"""Rows of a covering array: what is not covered yet, packed into few calls by a library."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import covertable

from lossproof.coverage.factors import DANGEROUS, GIANTS, LABEL_DTYPES, Levels, Model, Rule
from lossproof.coverage.measure import covered, possible
from lossproof.coverage.seats import Seat

_PAIRS = 2
_TOGETHER = 4
_ROWS_OF_A_GIANT = 2


def new_rows(model: Model, seats: Sequence[Seat], present: Sequence[Levels], taken: Collection[str]) -> list[Levels]:
    """Rows that with the present ones cover all that the seats have room for; the same for the same arguments.

    Pairs of all factors, and the dangerous ones up to four at a time. Labels of a dtype that the home dialect does not
    take come in rows of their own, where each meets every level once: an implementation may refuse the whole row. So
    do giant sizes, in as few rows as certifying them allows.
    """
    seated = replace(model, rules=(*model.rules, _seat_rule(seats)))
    targets = model.factors.get("target", ())
    safe = [level for level in targets if level not in LABEL_DTYPES or level in taken]
    giants = [size for size in model.factors["size"] if size in GIANTS]
    sizes = [size for size in model.factors["size"] if size not in GIANTS]
    main = _narrowed(seated, "size", sizes)
    rows = _packed(_narrowed(main, "target", safe), present, _PAIRS)
    for level in targets:
        if level not in safe:
            rows += _packed(_narrowed(main, "target", [level]), present, 1)
    for size in giants:
        if (free := _ROWS_OF_A_GIANT - sum(row["size"] == size for row in present)) > 0:
            rows += _packed(_narrowed(_narrowed(seated, "size", [size]), "target", safe), present, 1)[:free]
    return rows


def _narrowed(model: Model, factor: str, levels: Sequence[str]) -> Model:
    """The model with these levels of a factor only; as it is where it lacks the factor."""
    if factor not in model.factors:
        return model
    return replace(model, factors={**model.factors, factor: tuple(levels)})


def _seat_rule(seats: Sequence[Seat]) -> Rule:
    """A row needs a seat; known as soon as some of it is chosen."""
    names = tuple(seats[0].levels) if seats else ("size",)
    known: dict[tuple[str | None, ...], bool] = {}

    def allows(levels: Levels) -> bool:
        key = tuple(map(levels.get, names))
        if key not in known:
            known[key] = any(seat.takes(levels) for seat in seats)
        return known[key]

    return Rule(names, allows, early=True)


def _packed(model: Model, present: Sequence[Levels], strength: int) -> list[Levels]:
    """What the library makes, without rows that were there and rows that add nothing."""
    dangerous = [name for name in model.factors if name in DANGEROUS]
    together = min(_TOGETHER, len(dangerous)) if strength == _PAIRS else strength
    wanted = {*possible(model, strength, model.factors), *possible(model, together, dangerous)}
    known = [row for row in present if _fits(model, row)]
    missing = wanted - covered(known, wanted)
    rows: list[Levels] = []
    # It gives up on a combination that met no free place in its rows; asked again, with these as known, it finds one.
    while missing:
        made = covertable.make(
            {name: list(levels) for name, levels in model.factors.items()},
            strength=strength,
            sub_models=[{"fields": dangerous, "strength": together}] if together > strength else [],
            presets=[dict(row) for row in (*known, *rows)],
            constraints=[_constraint(rule) for rule in model.rules],
        )
        before = len(rows)
        for row in made:
            if gained := covered([row], missing):
                rows.append(row)
                missing -= gained
        if len(rows) == before:
            break
    return rows


def _fits(model: Model, row: Levels) -> bool:
    whole = all(row.get(name) in levels for name, levels in model.factors.items())
    return whole and all(rule.allows(row) for rule in model.rules if not rule.early)


def _constraint(rule: Rule) -> dict[str, object]:
    """A rule as the library wants it: false, true, or None while it cannot be known."""
    whole = {"operator": "fn", "requires": list(rule.factors), "evaluate": rule.allows}
    if not rule.early:
        return whole
    return {"operator": "and", "conditions": [{"operator": "fn", "requires": [], "evaluate": rule.allows}, whole]}
