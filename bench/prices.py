"""AWS's list prices in us-east-1, as AWS's pages gave them on a day."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Price:
    """A list price in us-east-1, in dollars a unit."""

    dollars: float
    unit: str
    page: str
    """AWS's own page for it, below https://aws.amazon.com/."""
    as_of: str
    """The day, or the month, for which it is known."""


PRICES: Final = {
    "kinesis_in": Price(0.08, "GB put, each record rounded up to 1 KB", "kinesis/data-streams/pricing", "2026-10-02"),
    "kinesis_out": Price(0.04, "GB read", "kinesis/data-streams/pricing", "2026-10-02"),
    "kinesis_stream": Price(0.04, "hour of an on-demand stream", "kinesis/data-streams/pricing", "2026-10-02"),
    "kinesis_shard": Price(0.015, "hour of a provisioned shard", "kinesis/data-streams/pricing", "2026-10-02"),
    "kinesis_put": Price(0.014, "million PUT payload units of 25 KB", "kinesis/data-streams/pricing", "2026-10-02"),
    "lambda_request": Price(0.20, "million requests", "lambda/pricing", "2026-05"),
    "lambda_x86_64": Price(0.0000166667, "GB-second, x86_64", "lambda/pricing", "2026-05"),
    "lambda_arm64": Price(0.0000133334, "GB-second, arm64", "lambda/pricing", "2026-05"),
    "dynamodb_write": Price(0.625, "million write request units", "dynamodb/pricing/on-demand", "2026-10-04"),
    "dynamodb_read": Price(0.125, "million read request units", "dynamodb/pricing/on-demand", "2026-10-04"),
    "dynamodb_storage": Price(0.25, "GB-month", "dynamodb/pricing/on-demand", "2026-10-04"),
    "events": Price(1.00, "million custom events", "eventbridge/pricing", "2026-06"),
    "sns_publish": Price(0.50, "million publishes", "sns/pricing", "2026-06"),
    "sns_email": Price(20.00, "million e-mails", "sns/pricing", "2026-06"),
    "logs": Price(0.50, "GB of logs taken in", "cloudwatch/pricing", "2026-02"),
    "metric": Price(0.30, "custom metric a month", "cloudwatch/pricing", "2026-02"),
    "alarm": Price(0.10, "alarm a month", "cloudwatch/pricing", "2026-02"),
    "dashboard": Price(3.00, "dashboard a month", "cloudwatch/pricing", "2026-02"),
    "s3_put": Price(5.00, "million PUT requests", "s3/pricing", "2026-10-04"),
    "kms_key": Price(1.00, "customer managed key a month", "kms/pricing", "2026-03"),
}
