"""Whether what was created is what was declared: each resource read back and compared, property by property.

Only reads. A declared property that differs, or that is not read back, is a difference. What the emulator keeps without
acting on it is listed in `STORED_ONLY`, what it does not keep in `NOT_KEPT`, and nowhere else; policies that were
written for it (policies.py) are compared with what it was given, and listed.
"""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from local.deploy import Deployment, Resource
from local.ministack import LocalAws
from local.resources import KINDS, Properties

_MAPPING = "aws:lambda/eventSourceMapping:EventSourceMapping"
_STATE_MACHINE = "aws:sfn/stateMachine:StateMachine"
_ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
STORED_ONLY: Mapping[tuple[str, str], str] = {
    (_MAPPING, "bisectBatchOnFunctionError"): "a failing batch is delivered whole, again and again",
    (_MAPPING, "functionResponseTypes"): "records that the function reports as failed are not delivered again",
    (_MAPPING, "maximumRetryAttempts"): "a failing batch is retried for ever, once a second",
    (_MAPPING, "maximumRecordAgeInSeconds"): "a failing batch is retried for ever, once a second",
    (_MAPPING, "destinationConfig"): "nothing is given up, so nothing goes to the on-failure destination",
    (_MAPPING, "maximumBatchingWindowInSeconds"): "a batch is what is there",
    (_MAPPING, "parallelizationFactor"): "one batch of one shard at a time",
    ("aws:cloudwatch/eventTarget:EventTarget", "deadLetterConfig"): "what cannot be delivered is dropped",
    (_ALARM, "dimensions"): "every metric of that name counts, whatever it is of",
    (_ALARM, "datapointsToAlarm"): "one figure over all periods decides",
    (_ALARM, "treatMissingData"): "without data an alarm stays as it is",
    ("aws:cloudwatch/dashboard:Dashboard", "dashboardBody"): "it is text that nobody checks",
    (_STATE_MACHINE, "loggingConfiguration"): "no execution is logged",
    (_STATE_MACHINE, "roleArn"): "an execution may call whatever there is",
}
"""Properties that ministack keeps and reports, and does not act on: by type and property, what it does instead."""

NOT_KEPT: Mapping[tuple[str, str], str] = {
    ("aws:cloudwatch/eventBusPolicy:EventBusPolicy", "policy"): "a whole policy is not kept, and none is enforced",
    (_MAPPING, "metricsConfig"): "it counts no events",
    (_ALARM, "metricQueries"): "an alarm on an expression never changes",
    (_STATE_MACHINE, "tracingConfiguration"): "no execution is traced",
}
"""Properties that ministack takes and does not keep: by type and property, what it does instead."""


@dataclass
class Readback:
    """What comparing the declared with the existing resources brought."""

    resources: int = 0
    properties: int = 0
    differences: list[str] = field(default_factory=list)
    stored_only: list[str] = field(default_factory=list)
    """Declared properties on which ministack does not act, each with what it does instead."""
    not_kept: list[str] = field(default_factory=list)
    """Declared properties that ministack does not keep, each with what it does instead."""
    replaced: list[str] = field(default_factory=list)
    """Policies written for ministack, each with what was changed and why."""


def read_back(local_aws: LocalAws, deployment: Deployment) -> Readback:
    """Read every resource of a deployment back and compare its declared properties with the existing ones."""
    result = Readback(resources=len(deployment.resources))
    with ThreadPoolExecutor(8) as threads:
        found = threads.map(lambda resource: _read(local_aws, resource), deployment.resources)
        for resource, actual in zip(deployment.resources, found, strict=True):
            replaced = deployment.replaced.get(resource.name)
            if replaced:
                result.replaced += [f"{resource.name}: {reason}" for reason in replaced.reasons]
            expected = {**resource.declared, **({"policy": replaced.policy} if replaced else {})}
            _compare_resource(resource, expected, actual, result)
    for found_here in (result.differences, result.stored_only, result.not_kept, result.replaced):
        found_here.sort()
    return result


def _read(local_aws: LocalAws, resource: Resource) -> Properties:
    return KINDS[resource.token].read(local_aws, resource.id, resource.outputs)


def _compare_resource(resource: Resource, expected: Properties, actual: Properties, result: Readback) -> None:
    for name, declared in expected.items():
        if declared is None or name in KINDS[resource.token].provider_only:
            continue
        if (resource.token, name) in NOT_KEPT:
            result.not_kept.append(f"{resource.name}.{name}: {NOT_KEPT[resource.token, name]}")
            continue
        if (resource.token, name) in STORED_ONLY:
            result.stored_only.append(f"{resource.name}.{name}: {STORED_ONLY[resource.token, name]}")
        for path, want, have in _leaves(declared, actual.get(name), name):
            result.properties += 1
            if want != have:
                result.differences.append(f"{resource.name}.{path} is {have!r}, declared {want!r}")


def _leaves(declared: Any, actual: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Pair each declared value with the existing one; lists are compared in any order, JSON text by content."""
    declared, actual = _parsed(declared), _parsed(actual)
    if isinstance(declared, dict) and isinstance(actual, dict):
        for key, value in declared.items():
            if value is not None:
                yield from _leaves(value, actual.get(key), f"{path}.{key}")
    elif isinstance(declared, list) and isinstance(actual, list) and len(declared) == len(actual):
        wanted = sorted(declared, key=_order)
        existing = sorted(actual, key=lambda item: _order(_only_declared(item, declared)))
        for number, (want, have) in enumerate(zip(wanted, existing, strict=True)):
            yield from _leaves(want, have, f"{path}[{number}]")
    else:
        yield path, declared, actual


def _parsed(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _order(value: Any) -> str:
    return json.dumps(_numbers_as_floats(value), sort_keys=True, default=str)


def _numbers_as_floats(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers_as_floats(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_numbers_as_floats(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _only_declared(item: Any, declared: list[Any]) -> Any:
    """An existing list item without the keys that no declared item has, so that both sort alike."""
    if not isinstance(item, dict):
        return item
    keys = {key for each in declared if isinstance(each, dict) for key in each}
    return {key: value for key, value in item.items() if key in keys}
