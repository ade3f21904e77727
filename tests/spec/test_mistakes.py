"""Every mistake in a spec is answered with its line, its place, what stands there and what to do."""

from __future__ import annotations

import pytest

from killick.errors import Mistake, SpecError
from killick.spec.load import parse_spec

HEAD = "killick: 1\nmodel: churn\ntask: binary\nschema: {prediction_id: id, score: p, label: left}\n"


def mistakes(text: str) -> tuple[Mistake, ...]:
    """Return what is refused in a text; there must be something."""
    with pytest.raises(SpecError) as caught:
        parse_spec(text)
    return caught.value.mistakes


BAD = {
    "a folder of no known format": (
        "folders: [{path: in, format: parket}]",
        "line 5, folders[0].format: is not known (found 'parket'); did you mean 'parquet'?",
    ),
    "a folder without a format": (
        "folders: [{path: in}]",
        "line 5, folders[0].format: is missing; write one of parquet, csv, ndjson, sagemaker, sagemaker-ground-truth",
    ),
    "a folder without a path": (
        "folders: [{format: csv}]",
        "line 5, folders[0].path: is missing; name the folder that is watched, for example predictions/",
    ),
    "outcomes where only predictions can be": (
        "folders: [{path: in, format: sagemaker, kind: outcomes}]",
        (
            "line 5, folders[0].kind: is not in files of format sagemaker (found 'outcomes'); "
            "write predictions, or leave the key out"
        ),
    ),
    "a kind that no file holds": (
        "folders: [{path: in, format: csv, kind: gauges}]",
        "line 5, folders[0].kind: is not known (found 'gauges'); known here: outcomes, predictions",
    ),
    "a folder elsewhere": (
        "folders: [{path: 's3://bucket/in', format: csv}]",
        "line 5, folders[0].path: is not on this machine (found 's3://bucket/in'); mount it",
    ),
    "a pattern for a folder": (
        "folders: [{path: 'in/*.csv', format: csv}]",
        "line 5, folders[0].path: is a pattern (found 'in/*.csv'); name the folder",
    ),
    "a folder twice": (
        "folders:\n  - {path: in, format: csv}\n  - {path: in/, format: csv}",
        "line 7, folders[1].path: is watched already, on line 6 (found 'in/'); name each folder once",
    ),
    "an unknown key with a mapping": (
        "zzz: {a: {b: c}}",
        "line 5, zzz: is not known; known here: ",
    ),
    "a drift method that is not known": (
        "drift: {numeric: psy}",
        "line 5, drift.numeric: is not known (found 'psy'); did you mean 'psi'?",
    ),
    "a drift method for no kind": (
        "drift: {number: psi}",
        "line 5, drift.number: is not a kind (found 'psi'); did you mean 'numeric'?",
    ),
    "an order among categories": (
        "drift: {categorical: ks}",
        (
            "line 5, drift.categorical: needs numbers in an order, which a categorical column has not (found 'ks'); "
            "write one of psi, chi_square, g_test, jensen_shannon, hellinger, total_variation"
        ),
    ),
    "an order in one column of categories": (
        "features: {override: {city: {kind: categorical, drift: emd}}}",
        "line 5, features.override.city.drift: needs numbers in an order, which a categorical column has not",
    ),
    "a metric that no version can have": (
        "versions: [{name: v1, loader: 'a:b', metrics: {roc_auk: 0.7}}]",
        "line 5, versions[0].metrics.roc_auk: is not known (found 0.7); did you mean 'roc_auc'?",
    ),
    "a rate that no version can have": (
        "versions: [{name: v1, loader: 'a:b', metrics: {roc_auc: 74}}]",
        "line 5, versions[0].metrics.roc_auc: can never be: roc_auc lies between 0 and 1 (found 74); write 74% or 0.74",
    ),
    "an unknown key": ("ownr: me", "line 5, ownr: is not known (found 'me'); did you mean 'owner'?"),
    "a key far from any": (
        "keep: {zzzzz: 1}",
        "line 5, keep.zzzzz: is not known (found 1); known here: columns, days, signals",
    ),
    "a spelled-out duration": (
        "evaluate_every: 90 days",
        "line 5, evaluate_every: is not a duration (found '90 days'); write 90d",
    ),
    "half an hour": (
        "evaluate_every: 1.5 hours",
        "line 5, evaluate_every: is not a duration (found '1.5 hours'); write 1h 30m",
    ),
    "a duration without a unit": (
        "evaluate_every: 90",
        "line 5, evaluate_every: has no unit (found 90); write 90d, 90h or 90m",
    ),
    "no duration at all": (
        "evaluate_every: often",
        "line 5, evaluate_every: is not a duration (found 'often'); write a number and a unit: 30m, 1h or 28d",
    ),
    "no time": (
        "evaluate_every: 0d",
        "line 5, evaluate_every: must be above zero (found '0d'); write a positive duration, or leave the key out",
    ),
    "windows that cross midnight": (
        "evaluate_every: 7h",
        "line 5, evaluate_every: does not fit into days: some windows would lie in two (found '7h'); write 6h",
    ),
    "windows of a day and a half": (
        "keep: {signals: 1d 12h}",
        "line 5, keep.signals: does not fit into days: some windows would lie in two (found '1d 12h'); write 1d",
    ),
    "windows kept across those that are judged": (
        "evaluate_every: 8h\nkeep: {columns: 6h}",
        (
            "line 6, keep.columns: does not fit into evaluate_every, 8h: some windows would lie in two (found '6h'); "
            "make it 2h"
        ),
    ),
    "an age": (
        "evaluate_every: 9999999d",
        (
            "line 5, evaluate_every: is longer than a century (found '9999999d'); "
            "write a number and a unit: 30m, 1h or 28d"
        ),
    ),
    "a number for a text": (
        "owner: 2013",
        'line 5, owner: must be a text (found 2013); put quotes around it: "2013"',
    ),
    "a list for a text": (
        "owner: [a]",
        "line 5, owner: must be a text (found ['a']); write one word, or a text in quotes",
    ),
    "an empty text": ('owner: ""', "line 5, owner: is empty (found ''); write a text, or leave the key out"),
    "a text for a mapping": (
        "keep: 90d",
        "line 5, keep: must be a mapping (found '90d'); write key: value, one on a line, or {key: value}",
    ),
    "a text for a list": (
        "objectives: honest-odds",
        "line 5, objectives: must be a list (found 'honest-odds'); write [one, another]",
    ),
    "a key twice": ("owner: a\nowner: b", "line 6, owner: is written twice, first on line 5; keep one"),
    "a merge key": ("keep: {<<: {days: 1}}", "line 5, keep.<<: is not read; share defaults with extends: team.yaml"),
    "a tag": ("owner: !secret x", "line 5, owner: has a tag that is not read (found '!secret'); "),
    "a missing unit": (
        "value: {false_positive: -5}",
        "line 5, value.unit: is missing; write a currency, for example USD",
    ),
    "a number in quotes": (
        'value: {unit: USD, false_positive: "-5"}',
        "line 5, value.false_positive: must be a number (found '-5'); remove the quotes",
    ),
    "no number": (
        "value: {unit: USD, false_positive: .nan}",
        "line 5, value.false_positive: must be finite (found nan); write a number such as 0.62, or leave the key out",
    ),
    "a negative budget": (
        "false_alarms: {budget: -1}",
        "line 5, false_alarms.budget: must be above zero (found -1); write a positive number",
    ),
    "half a day": (
        "keep: {days: 1.5}",
        "line 5, keep.days: must be a whole number above zero (found 1.5); write a number such as 90",
    ),
    "a range upside down": (
        "features:\n  override:\n    temp: {range: [130, -40]}",
        (
            "line 7, features.override.temp.range: does not grow (found [130, -40]); "
            "write each number above the one before"
        ),
    ),
    "half a range": (
        "features: {override: {temp: {range: [130]}}}",
        "line 5, features.override.temp.range: is not a range (found [130]); write [low, high]",
    ),
    "a range of names": (
        "features: {override: {origin: {kind: categorical, range: [0, 1]}}}",
        (
            "line 5, features.override.origin.range: does not fit kind categorical (found [0, 1]); "
            "only a numeric feature has a range"
        ),
    ),
    "an override of the score": (
        "features: {override: {p: {unit: USD}}}",
        "line 5, features.override.p: is no feature: the column has a part in schema (found 'p'); remove the override",
    ),
    "an override of no feature": (
        "features: {include: [temp, dewp], override: {tmp: {unit: K}}}",
        (
            "line 5, features.override.tmp: is no feature: include and exclude leave it out (found 'tmp'); "
            "did you mean 'temp'?"
        ),
    ),
    "a segment of nothing": (
        "features: {include: [origin]}\nsegments: [orign]",
        (
            "line 6, segments[0]: is not a column of this spec (found 'orign'); did you mean 'origin'?; "
            "a column that is no feature is named in features.exclude"
        ),
    ),
    "a segment for each row": (
        "segments: [id]",
        "line 5, segments[0]: would make every row a segment of its own: 'id'; choose a column that many rows share",
    ),
    "a segment twice": (
        "segments: [origin, origin]",
        "line 5, segments[1]: is segment 1 of this list again (found 'origin'); remove it",
    ),
    "two bands of one name": (
        "segments: [{haul: {column: a, bins: [1]}}, {haul: {column: b, bins: [1]}}]",
        "line 5, segments[1]: defines 'haul' a second time",
    ),
    "a crossing with itself": (
        "segments: [[origin, origin]]",
        "line 5, segments[0][1]: crosses 'origin' with itself (found 'origin'); name each column once",
    ),
    "an objective without a level": (
        "objectives:\n  - {name: a, sli: log_loss, window: 28d}",
        "line 6, objectives[0]: has no level",
    ),
    "an objective with two": (
        "objectives:\n  - {name: a, sli: log_loss, window: 28d, at_most: 1, at_least: 0}",
        "line 6, objectives[0]: has both at_most and at_least",
    ),
    "an objective of nothing": (
        "objectives:\n  - {name: a, sli: logloss, window: 28d, at_most: 1}",
        "line 6, objectives[0].sli: is not known (found 'logloss'); did you mean 'log_loss'?",
    ),
    "an objective upside down": (
        "objectives:\n  - {name: a, sli: roc_auc, window: 28d, at_most: 0.7}",
        (
            "line 6, objectives[0].at_most: is the wrong way round: roc_auc is better when higher (found 0.7); "
            "write at_least"
        ),
    ),
    "an objective that cannot fail": (
        "objectives:\n  - {name: a, sli: error_rate, window: 28d, at_most: 5}",
        "line 6, objectives[0].at_most: can never happen: error_rate lies between 0 and 1 (found 5); write 5% or 0.05",
    ),
    "a window with gaps": (
        "evaluate_every: 2d\nobjectives:\n  - {name: a, sli: log_loss, window: 1d, at_most: 1}",
        (
            "line 7, objectives[0].window: is shorter than evaluate_every, 2d (found '1d'); "
            "make it at least 2d, or evaluate_every at most 1d"
        ),
    ),
    "a name that no path bears": (
        "versions: [{name: v/1, loader: a:b}]",
        (
            "line 5, versions[0].name: is not a name (found 'v/1'); "
            "use at most 100 letters, digits, dots, dashes and underscores"
        ),
    ),
    "a loader that is a file": (
        "versions: [{name: v1, loader: load.py}]",
        (
            "line 5, versions[0].loader: is not a loader (found 'load.py'); "
            "write module:function, for example delays:load_v1"
        ),
    ),
    "a version twice": (
        "versions:\n  - {name: v1, loader: a:b}\n  - {name: v1, loader: a:c}",
        "line 7, versions[1].name: is taken by line 6 (found 'v1'); give each its own name",
    ),
    "two fallbacks": (
        "versions:\n  - {name: v1, loader: a:b, role: fallback}\n  - {name: v2, loader: a:b, role: fallback}",
        (
            "line 7, versions[1].role: makes a second fallback version: 'v1' is fallback already (found 'fallback'); "
            "one version is fallback at a time"
        ),
    ),
    "an unknown role": (
        "versions: [{name: v1, loader: a:b, role: primary}]",
        "line 5, versions[0].role: is not known (found 'primary'); known here: canary, fallback, live, retired, shadow",
    ),
    "steps that shrink": (
        "rollout: {steps: [5%, 1%, 100%]}",
        "line 5, rollout.steps: does not grow (found ['5%', '1%', '100%']); write each number above the one before",
    ),
    "steps that stop early": (
        "rollout: {steps: [1%, 50%]}",
        "line 5, rollout.steps: does not end at 100 % (found ['1%', '50%']); add 100% as the last step",
    ),
    "a share without a sign": (
        "rollout: {steps: [5, 100%]}",
        "line 5, rollout.steps[0]: is more than everything (found 5); write 5% for per cent",
    ),
    "a margin of what": (
        "rollout: {guardrails: {error_rate: {worse_by: 1%}}}",
        (
            "line 5, rollout.guardrails.error_rate.worse_by: does not say of what (found '1%'); "
            "write 1pp for percentage points, or 0.01"
        ),
    ),
    "an unknown guardrail": (
        "rollout: {guardrails: {latncy: {worse_by: 1pp}}}",
        "line 5, rollout.guardrails.latncy: is not known (found {'worse_by': '1pp'}); did you mean 'latency'?",
    ),
    "half a latency guardrail": (
        "rollout: {guardrails: {latency: {worse_by: 1pp}, log_loss: {worse_by: 0.1}}}",
        "line 5, rollout.guardrails.latency.over: is missing; write 100ms",
    ),
    "guardrails that watch nothing": (
        "rollout: {guardrails: {latency: {over: 1s, worse_by: 1pp}}}",
        "line 5, rollout.guardrails: watches nothing that can be judged",
    ),
    "no patience": (
        "rollout: {hold: 30d}",
        "line 5, rollout.hold: leaves no time: a step is held for 30d, patience is 28d (found '30d'); shorten hold",
    ),
    "an unknown incident": (
        "playbooks: [{when: canary_ham, do: [rollback]}]",
        "line 5, playbooks[0].when: is not known (found 'canary_ham'); did you mean 'canary_harm'?",
    ),
    "an unknown action": (
        "playbooks: [{when: drift, do: [page, rolback]}]",
        "line 5, playbooks[0].do[1]: is not known (found 'rolback'); did you mean 'rollback'?",
    ),
    "two playbooks for one kind": (
        "playbooks:\n  - {when: drift, do: page}\n  - {when: drift, do: hold}",
        "line 7, playbooks[1].when: has a playbook already, on line 6 (found 'drift'); write one for each kind",
    ),
    "retraining by magic": (
        "playbooks: [{when: drift, do: retrain}]",
        (
            "line 5, playbooks[0].do: needs to know how to retrain (found ['retrain']); "
            "add retraining: {run: [python, train.py]}"
        ),
    ),
    "a command for a shell": (
        "retraining: {run: python train.py}",
        "line 5, retraining.run: must be a list (found 'python train.py'); no shell reads it: write [python, train.py]",
    ),
    "a gate that nobody judges": (
        "retraining: {run: [train], gate: {roc_auc: better}}",
        (
            "line 5, retraining.gate.roc_auc: cannot be a gate, so far: a challenger is judged on its log_loss "
            "(found 'better'); write log_loss"
        ),
    ),
    "a rollout without a canary": (
        "rollout: {steps: [100%]}",
        "line 5, rollout.steps: leaves nobody to compare the canary with",
    ),
    "an unknown gate": (
        "retraining: {run: [train], gate: {lift: better}}",
        "line 5, retraining.gate.lift: is not known (found 'better'); ",
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD.keys())
def test_a_mistake_is_answered_with_line_place_value_and_what_to_do(text, message):
    """One mistake gives one message, and it is the one that one would want."""
    (mistake,) = mistakes(HEAD + text)
    assert str(mistake).startswith(message)
    assert mistake.hint


UNREADABLE = {
    "nothing": ("", "line 1, killick.yaml: is empty"),
    "only a comment": ("# nothing\n", "line 1, killick.yaml: is empty"),
    "a list": ("- killick", "line 1, killick.yaml: is not a mapping (found ['killick'])"),
    "a word": ("killick", "line 1, killick.yaml: is not a mapping (found 'killick')"),
    "a tab": ("keep:\n\tdays: 1", "indent with spaces, not with a tab"),
    "a colon in a text": ("owner: me: you", "put quotes around a text that has ': ' in it"),
    "a bare star": ("features: {include: *}", "put quotes around a text that starts with *"),
    "an open bracket": ("segments: [a, b\nowner: c", "close the bracket, or put a comma between the entries"),
    "an open quote": ("owner: 'me", "close the quote"),
    "two documents": ("killick: 1\n---\nkillick: 1", "one file holds one spec"),
    "a control character": ("killick: 1\nowner: \x07", "line 2, killick.yaml: has a character that YAML forbids"),
    "a thousand brackets": ("a: " + "[" * 1000, "is nested deeper than 32 levels"),
    "a knot": ("a: &a [*a]", "is nested deeper than 32 levels"),
    "a novel": ("#" * 1_000_001, "is longer than 1,000,000 characters"),
    "a billion laughs": (
        "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)),
        "has more than 200,000 values; aliases expand to more than a spec can need",
    ),
}


@pytest.mark.parametrize(("text", "message"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_is_no_document_is_one_mistake(text, message):
    """Neither an unreadable text nor a hostile one gives more than one clear message."""
    (mistake,) = mistakes(text)
    assert message in str(mistake)
    assert mistake.place == "killick.yaml"


def test_every_mistake_is_reported_at_once_in_the_order_of_the_lines():
    """Whoever mends a spec should not have to run it ten times."""
    text = """\
model: churn prediction
task: bnary
schema: {score: p, decision: p}
objectives:
  - {name: a, sli: log_loss, at_most: often, window: 28 days}
rollout:
  steps: [1%, 5%]
  hold: 0d
"""
    found = mistakes(text)
    assert [mistake.place for mistake in found] == [
        "killick",
        "model",
        "task",
        "schema.decision",
        "objectives[0].window",
        "objectives[0].at_most",
        "rollout.steps",
        "rollout.hold",
    ]
    assert [mistake.line for mistake in found] == [1, 1, 2, 3, 5, 5, 7, 8]


def test_a_text_that_is_no_spec_gets_a_bounded_answer():
    """A wrong file of ten thousand keys does not fill the screen."""
    found = mistakes("".join(f"key{i}: {i}\n" for i in range(10_000)))
    assert len(found) == 101
    assert found[-1].problem == "may have more mistakes"


@pytest.mark.parametrize("digits", ["9" * 400, "9" * 5000, "0x" + "f" * 2990, "0x" + "f" * 5000])
def test_a_number_beyond_all_measure_is_a_mistake(digits):
    """Python itself refuses to show the longest; the message still comes."""
    (mistake,) = mistakes(f"{HEAD}keep: {{days: 1}}\nvalue: {{unit: USD, false_positive: {digits}}}")
    assert mistake.place == "value.false_positive"
    assert len(str(mistake)) < 200
