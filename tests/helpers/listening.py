"""A queue that hears what a topic tells."""

import json

from local.ministack import LocalAws


def listener(ministack: LocalAws, topic_arn: str, name: str, *, raw: bool) -> str:
    """Attaches a queue of this name to a topic; what it gets is the message alone when `raw`, else SNS's envelope.

    Returns the queue's URL.
    """
    sqs = ministack.client("sqs")
    url = str(sqs.create_queue(QueueName=f"{name}-listener")["QueueUrl"])
    queue_arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    send = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [send]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    attributes = {"RawMessageDelivery": "true"} if raw else {}
    ministack.client("sns").subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=queue_arn, Attributes=attributes)
    return url
