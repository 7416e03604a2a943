"""What can't be delivered is kept: in a dead-letter queue or a bucket, unless the next run makes it good."""

from pulumi_policy import ResourceValidationArgs

from .rules import Rule, Violations, is_set, read, resource_policy, violation
from .schedules import shortest_interval

_DEFAULT_AGE = 86_400  # EventBridge Scheduler, RetryPolicy: MaximumEventAgeInSeconds


def _targets(args: ResourceValidationArgs) -> Violations:
    if args.resource_type == "aws:cloudwatch/eventTarget:EventTarget":
        yield Rule("deadLetterConfig.arn", is_set, "a queue's ARN").about(args)


def _mappings(args: ResourceValidationArgs) -> Violations:
    if args.resource_type == "aws:lambda/eventSourceMapping:EventSourceMapping":
        yield Rule("destinationConfig.onFailure.destinationArn", is_set, "the ARN of a bucket, queue or topic").about(
            args
        )


def _schedules(args: ResourceValidationArgs) -> Violations:
    if args.resource_type == "aws:scheduler/schedule:Schedule":
        yield lambda: _superseded(args)


def _superseded(args: ResourceValidationArgs) -> str | None:
    """A run that is repeated anyway needs no queue, if it is given up before the next one is due."""
    if is_set(read(args.props, "target.deadLetterConfig.arn")):
        return None
    path = "target.retryPolicy.maximumEventAgeInSeconds"
    age = read(args.props, path)
    interval = shortest_interval(str(read(args.props, "scheduleExpression")))
    if interval is None:
        allowed = "a queue's ARN unless the schedule runs every day"
        return violation(args, "target.deadLetterConfig.arn", None, allowed)
    if (_DEFAULT_AGE if age is None else age) <= interval:
        return None
    return violation(args, path, age, f"at most the {interval} seconds between two runs without a dead-letter queue")


DELIVERY = [
    resource_policy("targets-have-dead-letter-queues", "Every rule's target has a dead-letter queue.", _targets),
    resource_policy("mappings-keep-failed-batches", "What a mapping gives up has a destination.", _mappings),
    resource_policy(
        "schedules-lose-nothing",
        "A schedule's target has a dead-letter queue, or is given up before the next run.",
        _schedules,
    ),
]
