"""Alarms on the local AWS: a figure above its threshold is told by the operations topic, and so is its end.

ministack judges alarms on one metric, whatever its dimensions, and only when somebody looks at them; expressions,
missing data and several periods are judged by AWS alone.
"""

import json
from typing import Any

from local.deploy import Deployment
from local.ministack import LocalAws
from tests.helpers.listening import listener


def test_an_alarm_is_told_by_the_topic_and_says_what_to_do(ministack: LocalAws, deployment: Deployment) -> None:
    cloudwatch, sqs = ministack.client("cloudwatch"), ministack.client("sqs")
    url = listener(ministack, deployment.outputs["OperationsTopicArn"], "operations", raw=True)
    name = "iops-dashboard-dev-quarantined-records"

    def told(value: int) -> dict[str, Any]:
        datum = {"MetricName": "Quarantined", "Dimensions": [{"Name": "service", "Value": "processor"}], "Value": value}
        cloudwatch.put_metric_data(Namespace="iops-dashboard-dev", MetricData=[datum])
        cloudwatch.describe_alarms(AlarmNames=[name])
        while messages := sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5).get("Messages"):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=messages[0]["ReceiptHandle"])
            notification: dict[str, Any] = json.loads(messages[0]["Body"])
            if notification["AlarmName"] == name:  # others may have something to tell
                return notification
        raise AssertionError(f"{name} was not told of")

    begun = told(3)
    assert (begun["AlarmName"], begun["NewStateValue"]) == (name, "ALARM")
    assert begun["AlarmDescription"].endswith("What to do: docs/operations.md, quarantined-records.")
    # The sum of the period is nothing again.
    assert told(-3)["NewStateValue"] == "OK"
