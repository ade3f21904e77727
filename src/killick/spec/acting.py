"""The grammar of what is done: versions, how they go out, what follows an incident, and how a new one is trained.

Each table is one mapping of `killick.yaml` (DESIGN 5.5); what a key may hold stands beside it, and what ties two keys
of one mapping together stands under it. Defaults are not here but in `document.py`. What the grammar has and the rest
of the house does not act on yet is `unheeded`, with the reason.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, get_args

from killick.clock import format_duration
from killick.errors import did_you_mean
from killick.spec.document import (
    ACTIONS,
    INCIDENT_KINDS,
    METRICS,
    MODES,
    Gate,
    Guardrail,
    Playbook,
    RetrainingPolicy,
    Role,
    RolloutPolicy,
    VersionSource,
)
from killick.spec.reader import each, named, one_or_more, read_fields, record, repeated, unheeded
from killick.spec.scalars import choice, duration, growing, level, loader, margin, name, share, text
from killick.spec.watching import RATES, names_differ

if TYPE_CHECKING:
    from killick.spec.reader import Parser, Place


# ------------------------------------------------------------------------------------------------ versions and rollout


def _reached(metric: str, place: Place) -> tuple[str, float]:
    if metric not in METRICS:
        place.refuse("is not known", did_you_mean(metric, METRICS))
    value = level(place)
    if metric in RATES and not 0 <= value <= 1:
        place.refuse(f"can never be: {metric} lies between 0 and 1", "write 74% or 0.74")
    return metric, value


_VERSION = record(
    VersionSource,
    {
        "name": name,
        "loader": loader,
        "role": choice(get_args(Role)),
        "artifact": text,
        "metrics": lambda place: dict(named(_reached)(place)),
    },
    needs={
        "name": "name the version, for example v1",
        "loader": "write module:function, for example delays:load_v1",
    },
)


def _versions_hold(place: Place, versions: tuple[VersionSource, ...]) -> None:
    names_differ(place, versions)
    for role in ("live", "fallback"):
        taken = [index for index, version in enumerate(versions) if version.role == role]
        for index in taken[1:]:
            problem = f"makes a second {role} version: {versions[taken[0]].name!r} is {role} already"
            place.notes.refuse(f"{place.path}[{index}].role", problem, f"one version is {role} at a time", role)


versions = each(_VERSION, holds=_versions_hold)


def _steps(place: Place) -> tuple[float, ...]:
    steps = growing(share)(place)
    if steps[-1] != 1:
        place.refuse("does not end at 100 %", "add 100% as the last step")
    if len(steps) == 1:
        place.refuse("leaves nobody to compare the canary with", "begin with a part of the traffic, for example 5%")
    return steps


_MARGIN = {"worse_by": "write the margin, for example {worse_by: 1pp}"}


# The judge's e-process is about decisions that are right or wrong; other metrics join it later.
JUDGED = "error_rate"


_LATENCY: Parser[NoReturn] = unheeded(
    record(dict[str, Any], {"over": duration, "worse_by": margin}, needs={"over": "write 100ms"} | _MARGIN),
    f"a canary is judged on its {JUDGED}, so far",
)
_OTHER_METRIC: Parser[NoReturn] = unheeded(
    record(dict[str, Any], {"worse_by": margin}, needs=_MARGIN), f"a canary is judged on its {JUDGED}, so far"
)


def _guardrail(metric: str, place: Place) -> Guardrail:
    if metric == "latency":
        _LATENCY(place)
    if metric in METRICS and metric != JUDGED:
        _OTHER_METRIC(place)
    if metric not in METRICS:
        place.refuse("is not known", did_you_mean(metric, (*METRICS, "latency")))
    guardrail = record(partial(Guardrail, metric), {"worse_by": margin}, needs=_MARGIN)(place)
    if metric in RATES and guardrail.worse_by >= 1:
        place.at("worse_by").refuse(f"can never happen: {metric} lies between 0 and 1", "write 5pp or 0.05")
    return guardrail


def _guardrails(place: Place) -> tuple[Guardrail, ...]:
    guardrails = named(_guardrail)(place)
    if not guardrails:
        place.refuse("watches nothing that can be judged", "add error_rate: {worse_by: 2pp}, or leave the key out")
    return guardrails


def _rollout_holds(place: Place, rollout: RolloutPolicy) -> None:
    if rollout.hold > rollout.patience:
        key = "hold" if "hold" in place.mapping() else "patience"
        held, patience = format_duration(rollout.hold), format_duration(rollout.patience)
        place.at(key).refuse(f"leaves no time: a step is held for {held}, patience is {patience}", "shorten hold")


ROLLOUT = record(
    RolloutPolicy,
    {
        "shadow": unheeded(duration, "a rollout starts with its first step, so far"),
        "steps": _steps,
        "hold": duration,
        "guardrails": _guardrails,
        "patience": duration,
    },
    holds=_rollout_holds,
)


# ------------------------------------------------------------------------------------------------ recovery


def _actions(place: Place) -> tuple[str, ...]:
    actions = one_or_more(choice(ACTIONS))(place)
    for again, _ in repeated(actions):
        place.item(again).refuse("is written twice", "do each action once")
    return actions or place.refuse("is empty", f"write at least one of {', '.join(ACTIONS)}")


def _playbooks_hold(place: Place, playbooks: tuple[Playbook, ...]) -> None:
    for again, first in repeated(playbook.when for playbook in playbooks):
        problem = f"has a playbook already, on line {place.item(first).node.line}"
        place.notes.refuse(f"{place.path}[{again}].when", problem, "write one for each kind", playbooks[again].when)


_PLAYBOOK = record(
    Playbook,
    {"when": choice(INCIDENT_KINDS), "do": _actions, "mode": choice(MODES)},
    needs={
        "when": f"write one of {', '.join(INCIDENT_KINDS)}",
        "do": "write what is to be done, for example [rollback]",
    },
)

playbooks = each(_PLAYBOOK, holds=_playbooks_hold)


def _command(place: Place) -> tuple[str, ...]:
    if isinstance(place.node.content, str):
        words = ", ".join(place.node.content.split())
        place.refuse("must be a list", f"no shell reads it: write [{words}]")
    return each(text)(place) or place.refuse("is empty", "write a command, for example [python, train.py]")


# The loss that a challenger and live are paired on, row by row; a rank has no value for one row.
GATED = "log_loss"


def _gate(place: Place) -> Gate:
    metrics = [key for key in place.mapping() if key != "alpha"]
    if len(metrics) != 1:
        place.refuse("must name one metric", "write for example {log_loss: better}")
    fields: dict[str, Parser[Any]] = {metric: choice(("better",)) for metric in METRICS} | {"alpha": share}
    if metrics[0] in METRICS and metrics[0] != GATED:
        place.at(metrics[0]).refuse(
            f"cannot be a gate, so far: a challenger is judged on its {GATED}", f"write {GATED}"
        )
    with place.unharmed():
        values = read_fields(place, fields, {})
        if values.get("alpha") == 1:
            place.at("alpha").refuse("lets everything through", "write a small share such as 5%")
    if metrics[0] not in values:  # it was written with nothing behind it
        place.refuse("must name one metric", "write for example {log_loss: better}")
    return Gate(metrics[0], **{key: value for key, value in values.items() if key == "alpha"})


RETRAINING = record(
    RetrainingPolicy,
    {
        "run": _command,
        "rows": duration,
        "holdout": duration,
        "gate": _gate,
        "cooldown": duration,
        "timeout": duration,
    },
    needs={"run": "write the command that trains, for example [python, train.py]"},
)
