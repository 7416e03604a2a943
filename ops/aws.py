"""How the commands reach AWS: clients, the deployed settings, and messages for errors."""

import os
from collections.abc import Mapping
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as NoConnection

from functions.aws import clients
from functions.aws.config import Config as ProcessorConfig
from functions.aws.config import ConfigError

# The AWS CLI's exit codes (AWS CLI user guide, "Return codes").
CONFIGURATION: Final = 253
SERVICE: Final = 254
GENERAL: Final = 255

_TARGETS: Final = {
    "ListObjectsV2": ("bucket", "s3:ListBucket"),
    "ListObjectVersions": ("bucket", "s3:ListBucketVersions"),
    "GetObject": ("bucket", "s3:GetObject"),
    "DeleteObject": ("bucket", "s3:DeleteObject"),
    "PutRecords": ("stream", "kinesis:PutRecords"),
    "PutRecord": ("stream", "kinesis:PutRecord"),
    "DescribeStreamSummary": ("stream", "kinesis:DescribeStreamSummary"),
    "ListShards": ("stream", "kinesis:ListShards"),
    "GetShardIterator": ("stream", "kinesis:GetShardIterator"),
    "GetRecords": ("stream", "kinesis:GetRecords"),
    "Scan": ("table", "dynamodb:Scan"),
    "GetItem": ("table", "dynamodb:GetItem"),
    "BatchGetItem": ("table", "dynamodb:BatchGetItem"),
    "Query": ("table", "dynamodb:Query"),
    "DescribeTable": ("table", "dynamodb:DescribeTable"),
    "DeleteItem": ("table", "dynamodb:DeleteItem"),
    "ListEventSourceMappings": ("function", "lambda:ListEventSourceMappings"),
    "FilterLogEvents": ("log group", "logs:FilterLogEvents"),
    "GetMetricData": ("function", "cloudwatch:GetMetricData"),
    "GetSchedule": ("schedule", "scheduler:GetSchedule"),
    "DescribeEventBus": ("bus", "events:DescribeEventBus"),
    "ListRules": ("bus", "events:ListRules"),
    "ListTargetsByRule": ("bus", "events:ListTargetsByRule"),
    "GetTopicAttributes": ("topic", "sns:GetTopicAttributes"),
    "GetQueueAttributes": ("dead-letter queue", "sqs:GetQueueAttributes"),
    "GetFunctionConfiguration": ("function", "lambda:GetFunctionConfiguration"),
    "Invoke": ("function", "lambda:InvokeFunction"),
}
"""By operation, the kind of thing that it is about, and the permission that it needs."""
_MISSING: Final = frozenset(
    {
        "NoSuchBucket",
        "ResourceNotFoundException",
        "404",
        "NotFound",
        "NotFoundException",
        "QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
    }
)
_DENIED: Final = frozenset(
    {"AccessDenied", "AccessDeniedException", "403", "UnauthorizedOperation", "AuthorizationError"}
)
_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_UNKNOWN_CREDENTIALS: Final = frozenset(
    {
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
        "AuthFailure",
        "InvalidSignatureException",
        "IncompleteSignature",
    }
)
_THROTTLED: Final = frozenset(
    {
        *(
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "RequestLimitExceeded",
            "TooManyRequestsException",
        ),
        "ProvisionedThroughputExceededException",
        "LimitExceededException",
        "SlowDown",
        "KMSThrottlingException",
    }
)
_AGAIN: Final = "run the same command again, which goes on where this one stopped"


class UserError(Exception):
    """An error that the user can act on: ends the command with this message and exit code."""

    def __init__(self, message: str, exit_code: int = GENERAL) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def configure(region: str | None, profile: str | None, endpoint_url: str | None) -> None:
    """Sets where all clients of this process connect to, including those of the functions' modules."""
    if endpoint_url:
        os.environ["AWS_ENDPOINT_URL"] = endpoint_url
    boto3.setup_default_session(region_name=region, profile_name=profile)
    clients.use(region, profile)


def client(service: str, read_timeout: int = 60) -> Any:
    """Makes a client of boto3's kind that is patient with a slow network and with throttling; timeout in seconds."""
    path_style = {"addressing_style": "path"} if service == "s3" and "AWS_ENDPOINT_URL" in os.environ else None
    retries = {"mode": "standard", "max_attempts": 6}
    return boto3.client(
        service, config=Config(connect_timeout=5, read_timeout=read_timeout, retries=retries, s3=path_style)
    )


def deployed_config(function: str) -> ProcessorConfig:
    """Reads the deployed processor's settings.

    Raises
    ------
    UserError
        When the function is not a processor.
    """
    environment = client("lambda").get_function_configuration(FunctionName=function).get("Environment", {})
    try:
        return ProcessorConfig.from_environment(environment.get("Variables", {}))
    except ConfigError as error:
        what = f"the function {function} is not configured as a processor"
        raise UserError(f"{what}: {error}; give the name of one that is", SERVICE) from None


def is_denied(error: ClientError) -> bool:
    """Whether AWS refused a call because a permission is missing."""
    return error.response["Error"].get("Code", "") in _DENIED


def is_missing(error: ClientError) -> bool:
    """Whether the thing that a call was about does not exist."""
    return error.response["Error"].get("Code", "") in _MISSING


def is_throttled(error: ClientError) -> bool:
    """Whether AWS refused a call because there are too many."""
    return error.response["Error"].get("Code", "") in _THROTTLED


def explain(error: BotoCoreError | ClientError, names: Mapping[str, str]) -> UserError:
    """Puts an AWS error into words: what happened, to what, and what to do next.

    Parameters
    ----------
    error
        What a client raised.
    names
        The names at hand, by `bucket`, `stream`, `table` and `function`.
    """
    if isinstance(error, ClientError):
        return _explain_answer(error, names)
    match error:
        case NoCredentialsError() | PartialCredentialsError():
            advice = "log in (`aws configure`, `aws sso login`) or set AWS_PROFILE"
            return UserError(f"there are no AWS credentials: {advice}", CONFIGURATION)
        case SSOError() | TokenRetrievalError():
            return UserError(f"the AWS login is not valid: {error}; log in again (`aws sso login`)", CONFIGURATION)
        case ProfileNotFound():
            return UserError(f"{error}: see `aws configure list-profiles`", CONFIGURATION)
        case NoRegionError():
            return UserError("no AWS region is set: give --region or set AWS_DEFAULT_REGION", CONFIGURATION)
        case NoConnection():
            advice = "check the network, --region and --endpoint-url"
            return UserError(f"AWS cannot be reached: {error}; {advice}, then {_AGAIN}", GENERAL)
    return UserError(f"a call to AWS failed: {error}; once that is mended, {_AGAIN}", GENERAL)


def _explain_answer(error: ClientError, names: Mapping[str, str]) -> UserError:
    operation = error.operation_name
    kind, permission = _TARGETS.get(operation, ("resource", operation))
    target = f"the {kind} {names[kind]}" if kind in names else "AWS"
    code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    if is_missing(error):
        return UserError(f"{target} does not exist: check its name, the account and --region", SERVICE)
    if is_denied(error):
        return UserError(f"{operation} on {target} is not allowed: {permission} is needed ({message})", SERVICE)
    if code in _EXPIRED:
        return UserError(f"the AWS credentials have expired: log in again, then {_AGAIN}", SERVICE)
    if code in _UNKNOWN_CREDENTIALS:
        return UserError(f"AWS does not know these credentials ({message}): check AWS_PROFILE and the keys", SERVICE)
    if is_throttled(error):
        return UserError(f"AWS throttles {operation} on {target}: wait a minute, then {_AGAIN}", SERVICE)
    return UserError(f"{operation} on {target} failed: {code}: {message}; once that is mended, {_AGAIN}", SERVICE)
