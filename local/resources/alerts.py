"""What alerts pass through: bus, rules, schedules, topics, queues."""

import json

from local.ministack import LocalAws
from local.resources.kind import Kind, Properties, camel, given, pascal, tag_list, tag_map, whole


class EventBus(Kind):
    token = "aws:cloudwatch/eventBus:EventBus"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        arn = aws.client("events").create_event_bus(Name=name, Tags=tag_list(inputs.get("tags")) or [])["EventBusArn"]
        return name, {"arn": arn}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        events = aws.client("events")
        bus = events.describe_event_bus(Name=id_)
        return {"name": bus["Name"], "tags": tag_map(events.list_tags_for_resource(ResourceARN=bus["Arn"])["Tags"])}


class EventBusPolicy(Kind):
    token = "aws:cloudwatch/eventBusPolicy:EventBusPolicy"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        aws.client("events").put_permission(EventBusName=inputs["eventBusName"], Policy=inputs["policy"])
        return inputs["eventBusName"], {}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        bus = aws.client("events").describe_event_bus(Name=id_)
        return {"eventBusName": bus["Name"], "policy": bus.get("Policy")}


class EventRule(Kind):
    token = "aws:cloudwatch/eventRule:EventRule"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        rule = aws.client("events").put_rule(
            Name=name,
            EventBusName=inputs["eventBusName"],
            EventPattern=inputs["eventPattern"],
            Tags=tag_list(inputs.get("tags")) or [],
        )
        return f"{inputs['eventBusName']}/{name}", {"arn": rule["RuleArn"]}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        events = aws.client("events")
        rule = events.describe_rule(Name=outputs["name"], EventBusName=outputs["eventBusName"])
        return {
            "name": rule["Name"],
            "eventBusName": rule["EventBusName"],
            "eventPattern": rule["EventPattern"],
            "tags": tag_map(events.list_tags_for_resource(ResourceARN=rule["Arn"])["Tags"]),
        }


class EventTarget(Kind):
    token = "aws:cloudwatch/eventTarget:EventTarget"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        target = {
            "Id": inputs["targetId"],
            "Arn": inputs["arn"],
            "DeadLetterConfig": pascal(inputs["deadLetterConfig"]),
        }
        answer = aws.client("events").put_targets(
            Rule=inputs["rule"], EventBusName=inputs["eventBusName"], Targets=[target]
        )
        if answer["FailedEntryCount"]:
            raise RuntimeError(answer["FailedEntries"][0]["ErrorMessage"])
        return f"{inputs['rule']}-{inputs['targetId']}", {}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        bus, rule = outputs["eventBusName"], outputs["rule"]
        targets = aws.client("events").list_targets_by_rule(Rule=rule, EventBusName=bus)["Targets"]
        (target,) = [each for each in targets if each["Id"] == outputs["targetId"]]
        return {
            "rule": rule,
            "eventBusName": bus,
            "targetId": target["Id"],
            "arn": target["Arn"],
            "deadLetterConfig": camel(target.get("DeadLetterConfig")),
        }


class Schedule(Kind):
    token = "aws:scheduler/schedule:Schedule"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        answer = aws.client("scheduler").create_schedule(**pascal(inputs))
        return f"default/{name}", {"arn": answer["ScheduleArn"]}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        schedule: Properties = camel(aws.client("scheduler").get_schedule(Name=outputs["name"]))
        return schedule


class Topic(Kind):
    token = "aws:sns/topic:Topic"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        arn = aws.client("sns").create_topic(
            Name=name,
            Attributes=given(KmsMasterKeyId=inputs.get("kmsMasterKeyId")),
            Tags=tag_list(inputs.get("tags")) or [],
        )["TopicArn"]
        return arn, {"arn": arn}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        sns = aws.client("sns")
        attributes = sns.get_topic_attributes(TopicArn=id_)["Attributes"]
        return {
            "name": attributes["TopicArn"].rsplit(":", 1)[1],
            "kmsMasterKeyId": attributes.get("KmsMasterKeyId"),
            "tags": tag_map(sns.list_tags_for_resource(ResourceArn=id_)["Tags"]),
        }


class TopicPolicy(Kind):
    token = "aws:sns/topicPolicy:TopicPolicy"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        aws.client("sns").set_topic_attributes(
            TopicArn=inputs["arn"], AttributeName="Policy", AttributeValue=inputs["policy"]
        )
        return inputs["arn"], {}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        return {"arn": id_, "policy": aws.client("sns").get_topic_attributes(TopicArn=id_)["Attributes"]["Policy"]}


class TopicSubscription(Kind):
    token = "aws:sns/topicSubscription:TopicSubscription"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        arn = aws.client("sns").subscribe(
            TopicArn=inputs["topic"],
            Protocol=inputs["protocol"],
            Endpoint=inputs["endpoint"],
            ReturnSubscriptionArn=True,
        )["SubscriptionArn"]
        return arn, {"arn": arn}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        found = aws.client("sns").get_subscription_attributes(SubscriptionArn=id_)["Attributes"]
        return {"topic": found["TopicArn"], "protocol": found["Protocol"], "endpoint": found["Endpoint"]}


class Queue(Kind):
    token = "aws:sqs/queue:Queue"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        sqs = aws.client("sqs")
        url = sqs.create_queue(
            QueueName=name,
            Attributes={
                "MessageRetentionPeriod": str(whole(inputs["messageRetentionSeconds"])),
                "SqsManagedSseEnabled": json.dumps(inputs["sqsManagedSseEnabled"]),
            },
            tags=inputs.get("tags") or {},
        )["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        return url, {"url": url, "arn": arn}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        sqs = aws.client("sqs")
        attributes = sqs.get_queue_attributes(QueueUrl=id_, AttributeNames=["All"])["Attributes"]
        return {
            "name": attributes["QueueArn"].rsplit(":", 1)[1],
            "messageRetentionSeconds": int(attributes["MessageRetentionPeriod"]),
            "sqsManagedSseEnabled": attributes["SqsManagedSseEnabled"] == "true",
            "tags": sqs.list_queue_tags(QueueUrl=id_)["Tags"],
        }


class QueuePolicy(Kind):
    token = "aws:sqs/queuePolicy:QueuePolicy"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        aws.client("sqs").set_queue_attributes(QueueUrl=inputs["queueUrl"], Attributes={"Policy": inputs["policy"]})
        return inputs["queueUrl"], {}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        found = aws.client("sqs").get_queue_attributes(QueueUrl=id_, AttributeNames=["Policy"])["Attributes"]
        return {"queueUrl": id_, "policy": found["Policy"]}
