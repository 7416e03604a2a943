"""Log groups, alarms and dashboards."""

from typing import ClassVar

from local.ministack import LocalAws
from local.resources.kind import Kind, Properties, camel, given, pascal, tag_list, tag_map, whole


class LogGroup(Kind):
    token = "aws:cloudwatch/logGroup:LogGroup"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        logs = aws.client("logs")
        logs.create_log_group(
            logGroupName=name, tags=inputs.get("tags") or {}, **given(kmsKeyId=inputs.get("kmsKeyId"))
        )
        logs.put_retention_policy(logGroupName=name, retentionInDays=whole(inputs["retentionInDays"]))
        return name, {"arn": self._find(aws, name)["logGroupArn"]}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        group = self._find(aws, id_)
        return {
            "name": group["logGroupName"],
            "retentionInDays": group["retentionInDays"],
            "kmsKeyId": group.get("kmsKeyId"),
            "tags": aws.client("logs").list_tags_for_resource(resourceArn=group["logGroupArn"])["tags"],
        }

    def _find(self, aws: LocalAws, name: str) -> Properties:
        groups = aws.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        (group,) = [each for each in groups if each["logGroupName"] == name]
        return dict(group)


class MetricAlarm(Kind):
    token = "aws:cloudwatch/metricAlarm:MetricAlarm"

    OTHERWISE_SPELT: ClassVar = ("name", "dimensions", "metricQueries", "okActions", "tags")

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        plain = {key: value for key, value in inputs.items() if key not in self.OTHERWISE_SPELT}
        aws.client("cloudwatch").put_metric_alarm(
            **given(
                AlarmName=name,
                Dimensions=tag_list(inputs.get("dimensions"), "Name"),
                Metrics=[self._query(each) for each in inputs.get("metricQueries") or []] or None,
                OKActions=inputs.get("okActions"),
                Tags=tag_list(inputs.get("tags")),
            ),
            **pascal(plain),
        )
        return name, {"arn": self._find(aws, name)["AlarmArn"]}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        alarm = self._find(aws, id_)
        tags = aws.client("cloudwatch").list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]
        return {
            **camel(alarm),
            "name": alarm["AlarmName"],
            "dimensions": tag_map(alarm["Dimensions"], "Name"),
            "okActions": alarm["OKActions"],
            "tags": tag_map(tags),
        }

    def _query(self, declared: Properties) -> Properties:
        query = {"Id": declared["id"], "ReturnData": declared.get("returnData", False)}
        if metric := declared.get("metric"):
            kept = {"Namespace": metric["namespace"], "MetricName": metric["metricName"]}
            dimensions = tag_list(metric["dimensions"], "Name")
            query["MetricStat"] = {
                "Metric": {**kept, "Dimensions": dimensions},
                "Period": whole(metric["period"]),
                "Stat": metric["stat"],
            }
        return query | given(Expression=declared.get("expression"), Label=declared.get("label"))

    def _find(self, aws: LocalAws, name: str) -> Properties:
        (alarm,) = aws.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
        return dict(alarm)


class Dashboard(Kind):
    token = "aws:cloudwatch/dashboard:Dashboard"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        cloudwatch, name = aws.client("cloudwatch"), inputs["dashboardName"]
        cloudwatch.put_dashboard(DashboardName=name, DashboardBody=inputs["dashboardBody"])
        return name, {"dashboardArn": cloudwatch.get_dashboard(DashboardName=name)["DashboardArn"]}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        dashboard = aws.client("cloudwatch").get_dashboard(DashboardName=id_)
        return {"dashboardName": dashboard["DashboardName"], "dashboardBody": dashboard["DashboardBody"]}
