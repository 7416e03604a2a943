"""The function between rules and topics: it publishes each alert as text for people, with the JSON for machines.

It carries its own code, so that a bus needs nothing else of this repository. Which alerts it gets and where they go is
the bus's matter.
"""

from collections.abc import Mapping
from pathlib import Path

import pulumi
import pulumi_aws as aws

from components import iam
from components.functions import LONGEST_WAIT_SECONDS, Function, make_function

_ROOT = Path(__file__).resolve().parent.parent
_RETRIES = 2  # the most there is (Lambda developer guide, "Error handling for asynchronous invocation")


def own_code() -> pulumi.AssetArchive:
    """The function's code as it lies beside the components. Texts, for a path would be another one in each program."""
    package = _ROOT / "functions"
    sources = [package / "__init__.py", *sorted((package / "notifier").glob("*.py"))]
    return pulumi.AssetArchive(
        {
            source.relative_to(_ROOT).as_posix(): pulumi.StringAsset(source.read_text(encoding="utf-8"))
            for source in sources
        }
    )


def make_notifier(
    name: str,
    *,
    function_name: pulumi.Input[str],
    code: pulumi.Archive,
    topics: Mapping[str, aws.sns.Topic],
    topic_key: aws.kms.Key | None,
    dead_letter_queue_arn: pulumi.Input[str],
    architecture: pulumi.Input[str],
    log_retention_days: pulumi.Input[int],
    log_key_arn: pulumi.Input[str],
    tracing: bool,
    opts: pulumi.ResourceOptions,
) -> Function:
    """The notifier of these topics, by severity. What it fails to publish is tried again, then put into the queue."""
    # SNS developer guide, key management: what a publisher needs of the topic's key. SNS uses it with the publisher's
    # permissions, outside the function.
    use_key = (
        [iam.use_key(["kms:Decrypt", "kms:GenerateDataKey"], topic_key.arn, "sns")] if topic_key is not None else []
    )
    function = make_function(
        name,
        function_name=function_name,
        handler="functions.notifier.handler.lambda_handler",
        code=code,
        statements=[iam.allow(["sns:Publish"], [topic.arn for topic in topics.values()])],
        service_statements=use_key,
        environment={f"{severity.upper()}_TOPIC_ARN": topic.arn for severity, topic in topics.items()},
        memory_mb=256,
        timeout_seconds=60,
        architecture=architecture,
        log_retention_days=log_retention_days,
        log_key_arn=log_key_arn,
        tracing=tracing,
        dead_letter_queue_arn=dead_letter_queue_arn,
        opts=opts,
    )
    aws.lambda_.FunctionEventInvokeConfig(
        f"{name}-retries",
        function_name=function.resource.name,
        maximum_event_age_in_seconds=LONGEST_WAIT_SECONDS,
        maximum_retry_attempts=_RETRIES,
        opts=opts,
    )
    return function
