"""How each resource type of the program is created and read back by boto3: what a provider is to Pulumi.

`KINDS` is the whole list; a type that is not in it cannot be deployed. It covers the properties that the program
declares: one that `create` does not pass on is found by the comparison of readback.py. Nothing here changes a declared
value, and nothing here knows this program's resources.
"""

import base64
import hashlib
import io
import json
import time
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pulumi

from local.ministack import LocalAws

Properties = dict[str, Any]


class Kind(ABC):
    """One resource type.

    Attributes
    ----------
    token
        Pulumi's type token.
    provider_only
        Input properties that mean something to Pulumi's provider alone, of which AWS never hears.
    """

    token: ClassVar[str]
    provider_only: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        """Create the resource.

        Parameters
        ----------
        name
            Its declared name or, where none is declared, its name in the program.
        inputs
            The declared properties, in Pulumi's spelling; every number is a float.

        Returns
        -------
        tuple
            The resource's id, and the outputs that AWS adds to the inputs.
        """

    @abstractmethod
    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        """Return the properties as AWS reports them, in Pulumi's spelling; `outputs` contain the inputs."""


def _given(**arguments: Any) -> Properties:
    return {key: value for key, value in arguments.items() if value is not None}


def _pascal(value: Any) -> Any:
    """Pulumi's structure as AWS's: keys in PascalCase and whole numbers as integers, at every depth."""
    if isinstance(value, dict):
        return {key[0].upper() + key[1:]: _pascal(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_pascal(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _camel(value: Any) -> Any:
    """AWS's structure with Pulumi's keys."""
    if isinstance(value, dict):
        return {key[0].lower() + key[1:]: _camel(item) for key, item in value.items()}
    return [_camel(item) for item in value] if isinstance(value, list) else value


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def _tag_list(tags: Mapping[str, str] | None, key: str = "Key", value: str = "Value") -> list[dict[str, str]] | None:
    return None if tags is None else [{key: name, value: text} for name, text in tags.items()]


def _tag_map(tags: Iterable[Mapping[str, str]], key: str = "Key", value: str = "Value") -> dict[str, str]:
    return {tag[key]: tag[value] for tag in tags}


def _members(archive: pulumi.Archive) -> Iterable[tuple[str, bytes]]:
    if isinstance(archive, pulumi.FileArchive):
        root = Path(archive.path)
        for path in root.rglob("*"):
            if path.is_file():
                yield path.relative_to(root).as_posix(), path.read_bytes()
    elif isinstance(archive, pulumi.AssetArchive):
        for name, member in archive.assets.items():
            if isinstance(member, pulumi.FileAsset):
                yield name, Path(member.path).read_bytes()
            elif isinstance(member, pulumi.StringAsset):
                yield name, member.text.encode()
            else:
                raise TypeError(f"{name} in an archive is a {type(member).__name__}: only files and texts are handled")
    else:
        raise TypeError(f"an archive of type {type(archive).__name__} is not handled")


def archive_bytes(archive: pulumi.Archive) -> bytes:
    """Return an archive of single files, or of a directory, as a zip that depends on names and contents alone.

    It is not compressed: it never leaves this machine, and a layer has 180 MB.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, content in sorted(_members(archive)):
            file.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
    return packed.getvalue()


class Stream(Kind):
    token = "aws:kinesis/stream:Stream"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        kinesis = aws.client("kinesis")
        kinesis.create_stream(
            **_given(
                StreamName=name,
                ShardCount=_whole(inputs.get("shardCount")),
                StreamModeDetails=_pascal(inputs.get("streamModeDetails")),
            )
        )
        kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        hours = _whole(inputs.get("retentionPeriod"))
        if hours is not None and hours > 24:
            kinesis.increase_stream_retention_period(StreamName=name, RetentionPeriodHours=hours)
        if inputs.get("encryptionType") == "KMS":
            kinesis.start_stream_encryption(StreamName=name, EncryptionType="KMS", KeyId=inputs["kmsKeyId"])
        if inputs.get("tags"):
            kinesis.add_tags_to_stream(StreamName=name, Tags=inputs["tags"])
        arn = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]
        return arn, {"arn": arn}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        kinesis = aws.client("kinesis")
        stream = kinesis.describe_stream_summary(StreamARN=id_)["StreamDescriptionSummary"]
        return {
            "name": stream["StreamName"],
            "shardCount": stream["OpenShardCount"],
            "retentionPeriod": stream["RetentionPeriodHours"],
            "encryptionType": stream.get("EncryptionType"),
            "kmsKeyId": stream.get("KeyId"),
            "streamModeDetails": _camel(stream.get("StreamModeDetails")),
            "tags": _tag_map(kinesis.list_tags_for_stream(StreamARN=id_)["Tags"]),
        }


class Table(Kind):
    token = "aws:dynamodb/table:Table"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        dynamodb = aws.client("dynamodb")
        keys = [{"AttributeName": inputs["hashKey"], "KeyType": "HASH"}]
        if inputs.get("rangeKey"):
            keys.append({"AttributeName": inputs["rangeKey"], "KeyType": "RANGE"})
        indexes = [
            {
                "IndexName": index["name"],
                "KeySchema": _pascal(index["keySchemas"]),
                "Projection": _given(
                    ProjectionType=index["projectionType"], NonKeyAttributes=index.get("nonKeyAttributes")
                ),
            }
            for index in inputs.get("globalSecondaryIndexes") or []
        ]
        table = dynamodb.create_table(
            **_given(
                TableName=name,
                BillingMode=inputs.get("billingMode"),
                KeySchema=keys,
                AttributeDefinitions=[
                    {"AttributeName": each["name"], "AttributeType": each["type"]} for each in inputs["attributes"]
                ],
                GlobalSecondaryIndexes=indexes or None,
                StreamSpecification=_given(
                    StreamEnabled=inputs.get("streamEnabled", False), StreamViewType=inputs.get("streamViewType")
                ),
                SSESpecification=_pascal(inputs.get("serverSideEncryption")),
                DeletionProtectionEnabled=inputs.get("deletionProtectionEnabled"),
                Tags=_tag_list(inputs.get("tags")),
            )
        )["TableDescription"]
        dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        if inputs.get("pointInTimeRecovery"):
            dynamodb.update_continuous_backups(
                TableName=name,
                PointInTimeRecoverySpecification={
                    "PointInTimeRecoveryEnabled": inputs["pointInTimeRecovery"]["enabled"]
                },
            )
        return name, {"arn": table["TableArn"], "streamArn": table.get("LatestStreamArn")}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        dynamodb = aws.client("dynamodb")
        table = dynamodb.describe_table(TableName=id_)["Table"]
        backups = dynamodb.describe_continuous_backups(TableName=id_)["ContinuousBackupsDescription"]
        keys = {key["KeyType"]: key["AttributeName"] for key in table["KeySchema"]}
        return {
            "name": table["TableName"],
            "billingMode": table["BillingModeSummary"]["BillingMode"],
            "hashKey": keys["HASH"],
            "rangeKey": keys.get("RANGE"),
            "attributes": [
                {"name": each["AttributeName"], "type": each["AttributeType"]} for each in table["AttributeDefinitions"]
            ],
            "globalSecondaryIndexes": [
                {
                    "name": index["IndexName"],
                    "keySchemas": _camel(index["KeySchema"]),
                    "projectionType": index["Projection"]["ProjectionType"],
                    "nonKeyAttributes": index["Projection"].get("NonKeyAttributes"),
                }
                for index in table.get("GlobalSecondaryIndexes", [])
            ],
            **_camel(table.get("StreamSpecification", {})),
            "serverSideEncryption": {"enabled": table.get("SSEDescription", {}).get("Status") == "ENABLED"},
            "deletionProtectionEnabled": table["DeletionProtectionEnabled"],
            "pointInTimeRecovery": {
                "enabled": backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
            },
            "tags": _tag_map(dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"]),
        }


class Bucket(Kind):
    token = "aws:s3/bucket:Bucket"
    provider_only = frozenset({"forceDestroy"})

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        s3 = aws.client("s3")
        bucket = f"{inputs['bucketPrefix']}{time.time_ns():x}"[:63]
        s3.create_bucket(
            Bucket=bucket,
            # S3 refuses us-east-1 here, and wants every other region.
            **({"CreateBucketConfiguration": {"LocationConstraint": aws.region}} if aws.region != "us-east-1" else {}),
        )
        if inputs.get("tags"):
            s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": _tag_list(inputs["tags"])})
        return bucket, {"bucket": bucket, "arn": f"arn:aws:s3:::{bucket}"}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        s3 = aws.client("s3")
        (bucket,) = [each["Name"] for each in s3.list_buckets(Prefix=outputs["bucketPrefix"])["Buckets"]]
        return {
            "bucketPrefix": bucket[: len(outputs["bucketPrefix"])],
            "tags": _tag_map(s3.get_bucket_tagging(Bucket=id_)["TagSet"]),
        }


class BucketPublicAccessBlock(Kind):
    token = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        settings = {key: value for key, value in inputs.items() if key != "bucket"}
        aws.client("s3").put_public_access_block(
            Bucket=inputs["bucket"], PublicAccessBlockConfiguration=_pascal(settings)
        )
        return inputs["bucket"], {}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        answer = aws.client("s3").get_public_access_block(Bucket=id_)
        return {"bucket": id_, **_camel(answer["PublicAccessBlockConfiguration"])}


class BucketPolicy(Kind):
    token = "aws:s3/bucketPolicy:BucketPolicy"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        aws.client("s3").put_bucket_policy(Bucket=inputs["bucket"], Policy=inputs["policy"])
        return inputs["bucket"], {}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        return {"bucket": id_, "policy": aws.client("s3").get_bucket_policy(Bucket=id_)["Policy"]}


class BucketEncryption(Kind):
    token = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        algorithms = [rule["applyServerSideEncryptionByDefault"]["sseAlgorithm"] for rule in inputs["rules"]]
        aws.client("s3").put_bucket_encryption(
            Bucket=inputs["bucket"],
            ServerSideEncryptionConfiguration={
                "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": each}} for each in algorithms]
            },
        )
        return inputs["bucket"], {}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        rules = aws.client("s3").get_bucket_encryption(Bucket=id_)["ServerSideEncryptionConfiguration"]["Rules"]
        algorithms = [rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] for rule in rules]
        return {
            "bucket": id_,
            "rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": each}} for each in algorithms],
        }


class BucketLifecycle(Kind):
    token = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        rules = _pascal(inputs["rules"])
        for rule in rules:
            rule["ID"] = rule.pop("Id")
        aws.client("s3").put_bucket_lifecycle_configuration(
            Bucket=inputs["bucket"], LifecycleConfiguration={"Rules": rules}
        )
        return inputs["bucket"], {}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        rules = aws.client("s3").get_bucket_lifecycle_configuration(Bucket=id_)["Rules"]
        return {"bucket": id_, "rules": [_camel({**rule, "Id": rule["ID"]}) for rule in rules]}


class BucketObject(Kind):
    token = "aws:s3/bucketObjectv2:BucketObjectv2"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        body = archive_bytes(inputs["source"])
        tags = "&".join(f"{key}={value}" for key, value in (inputs.get("tags") or {}).items())
        aws.client("s3").put_object(Bucket=inputs["bucket"], Key=inputs["key"], Body=body, Tagging=tags)
        return inputs["key"], {"etag": hashlib.md5(body, usedforsecurity=False).hexdigest()}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        s3 = aws.client("s3")
        etag = s3.head_object(Bucket=outputs["bucket"], Key=id_)["ETag"].strip('"')
        return {
            "bucket": outputs["bucket"],
            "key": id_,
            "source": outputs["source"] if etag == outputs["etag"] else f"a content with the hash {etag}",
            "tags": _tag_map(s3.get_object_tagging(Bucket=outputs["bucket"], Key=id_)["TagSet"]),
        }


class LayerVersion(Kind):
    token = "aws:lambda/layerVersion:LayerVersion"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        answer = aws.client("lambda").publish_layer_version(
            LayerName=inputs["layerName"],
            Content={"S3Bucket": inputs["s3Bucket"], "S3Key": inputs["s3Key"]},
            CompatibleRuntimes=inputs["compatibleRuntimes"],
            CompatibleArchitectures=inputs["compatibleArchitectures"],
        )
        return answer["LayerVersionArn"], {"arn": answer["LayerVersionArn"]}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        layer = aws.client("lambda").get_layer_version_by_arn(Arn=id_)
        # AWS does not tell where a layer came from: its size tells whether it is that object.
        source = aws.client("s3").head_object(Bucket=outputs["s3Bucket"], Key=outputs["s3Key"])
        size = layer["Content"]["CodeSize"]
        return {
            "layerName": layer["LayerArn"].rsplit(":", 1)[1],
            "s3Bucket": outputs["s3Bucket"],
            "s3Key": outputs["s3Key"] if size == source["ContentLength"] else f"an object of {size} bytes",
            "compatibleRuntimes": layer["CompatibleRuntimes"],
            "compatibleArchitectures": layer["CompatibleArchitectures"],
        }


class Function(Kind):
    token = "aws:lambda/function:Function"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        client = aws.client("lambda")
        function = client.create_function(
            FunctionName=name,
            Code={"ZipFile": archive_bytes(inputs["code"])},
            Role=inputs["role"],
            Runtime=inputs["runtime"],
            Handler=inputs["handler"],
            Timeout=_whole(inputs["timeout"]),
            MemorySize=_whole(inputs["memorySize"]),
            Architectures=inputs["architectures"],
            Layers=inputs.get("layers") or [],
            Environment={"Variables": inputs["environment"]["variables"]},
            LoggingConfig=_pascal(inputs["loggingConfig"]),
            TracingConfig=_pascal(inputs["tracingConfig"]),
            Tags=inputs.get("tags") or {},
            **_given(
                DeadLetterConfig=_pascal(inputs.get("deadLetterConfig")),
                EphemeralStorage=_pascal(inputs.get("ephemeralStorage")),
            ),
        )
        client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        return name, {"arn": function["FunctionArn"]}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        answer = aws.client("lambda").get_function(FunctionName=id_)
        function = answer["Configuration"]
        sha256 = base64.b64encode(hashlib.sha256(archive_bytes(outputs["code"])).digest()).decode()
        return {
            "name": function["FunctionName"],
            "code": outputs["code"] if function["CodeSha256"] == sha256 else function["CodeSha256"],
            "role": function["Role"],
            "runtime": function["Runtime"],
            "handler": function["Handler"],
            "timeout": function["Timeout"],
            "memorySize": function["MemorySize"],
            "architectures": function["Architectures"],
            "layers": [layer["Arn"] for layer in function.get("Layers", [])],
            "environment": {"variables": function["Environment"]["Variables"]},
            "ephemeralStorage": _camel(function["EphemeralStorage"]),
            "loggingConfig": _camel(function["LoggingConfig"]),
            "tracingConfig": _camel(function["TracingConfig"]),
            "deadLetterConfig": _camel(function.get("DeadLetterConfig")),
            "tags": answer["Tags"],
        }


class StateMachine(Kind):
    token = "aws:sfn/stateMachine:StateMachine"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        logging = inputs["loggingConfiguration"]
        arn = aws.client("stepfunctions").create_state_machine(
            name=name,
            type=inputs["type"],
            roleArn=inputs["roleArn"],
            definition=inputs["definition"],
            loggingConfiguration={
                "level": logging["level"],
                "includeExecutionData": logging["includeExecutionData"],
                "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": logging["logDestination"]}}],
            },
            tracingConfiguration=inputs["tracingConfiguration"],
            tags=_tag_list(inputs.get("tags"), "key", "value") or [],
        )["stateMachineArn"]
        return arn, {"arn": arn}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        states = aws.client("stepfunctions")
        machine = states.describe_state_machine(stateMachineArn=id_)
        logging = machine["loggingConfiguration"]
        (destination,) = logging["destinations"]
        return {
            "name": machine["name"],
            "type": machine["type"],
            "roleArn": machine["roleArn"],
            "definition": machine["definition"],
            "loggingConfiguration": {
                "level": logging["level"],
                "includeExecutionData": logging["includeExecutionData"],
                "logDestination": destination["cloudWatchLogsLogGroup"]["logGroupArn"],
            },
            "tracingConfiguration": machine.get("tracingConfiguration"),
            "tags": _tag_map(states.list_tags_for_resource(resourceArn=id_)["tags"], "key", "value"),
        }


class LambdaPermission(Kind):
    token = "aws:lambda/permission:Permission"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        aws.client("lambda").add_permission(
            FunctionName=inputs["function"],
            StatementId=name,
            Action=inputs["action"],
            Principal=inputs["principal"],
            SourceArn=inputs["sourceArn"],
        )
        return name, {"statementId": name}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        policy = json.loads(aws.client("lambda").get_policy(FunctionName=outputs["function"])["Policy"])
        (statement,) = [each for each in policy["Statement"] if each["Sid"] == id_]
        return {
            "function": outputs["function"],
            "action": statement["Action"],
            "principal": statement["Principal"]["Service"],
            "sourceArn": statement["Condition"]["ArnLike"]["AWS:SourceArn"],
        }


class EventSourceMapping(Kind):
    token = "aws:lambda/eventSourceMapping:EventSourceMapping"

    NUMBERS: ClassVar = (
        "batchSize",
        "maximumBatchingWindowInSeconds",
        "parallelizationFactor",
        "maximumRetryAttempts",
        "maximumRecordAgeInSeconds",
    )

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        mapping = aws.client("lambda").create_event_source_mapping(
            EventSourceArn=inputs["eventSourceArn"],
            FunctionName=inputs["functionName"],
            StartingPosition=inputs["startingPosition"],
            BisectBatchOnFunctionError=inputs["bisectBatchOnFunctionError"],
            FunctionResponseTypes=inputs["functionResponseTypes"],
            DestinationConfig={
                "OnFailure": {"Destination": inputs["destinationConfig"]["onFailure"]["destinationArn"]}
            },
            MetricsConfig=_pascal(inputs["metricsConfig"]),
            Tags=inputs.get("tags") or {},
            **_pascal({key: inputs[key] for key in self.NUMBERS}),
        )
        return mapping["UUID"], {"arn": mapping["EventSourceMappingArn"], "uuid": mapping["UUID"]}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        client = aws.client("lambda")
        mapping = client.get_event_source_mapping(UUID=id_)
        return {
            "eventSourceArn": mapping["EventSourceArn"],
            "functionName": mapping["FunctionArn"],
            "startingPosition": mapping["StartingPosition"],
            "bisectBatchOnFunctionError": mapping["BisectBatchOnFunctionError"],
            "functionResponseTypes": mapping["FunctionResponseTypes"],
            "destinationConfig": {
                "onFailure": {"destinationArn": mapping["DestinationConfig"]["OnFailure"]["Destination"]}
            },
            **{key: mapping[key[0].upper() + key[1:]] for key in self.NUMBERS},
            "tags": client.list_tags(Resource=outputs["arn"])["Tags"],
        }


class FunctionEventInvokeConfig(Kind):
    token = "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        aws.client("lambda").put_function_event_invoke_config(
            **_given(
                FunctionName=inputs["functionName"],
                MaximumRetryAttempts=_whole(inputs["maximumRetryAttempts"]),
                MaximumEventAgeInSeconds=_whole(inputs.get("maximumEventAgeInSeconds")),
            )
        )
        return inputs["functionName"], {}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        config = aws.client("lambda").get_function_event_invoke_config(FunctionName=id_)
        return {
            "functionName": config["FunctionArn"].split(":")[6],
            "maximumRetryAttempts": config["MaximumRetryAttempts"],
            "maximumEventAgeInSeconds": config.get("MaximumEventAgeInSeconds"),
        }


class Role(Kind):
    token = "aws:iam/role:Role"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        role = aws.client("iam").create_role(
            RoleName=name,
            AssumeRolePolicyDocument=inputs["assumeRolePolicy"],
            Tags=_tag_list(inputs.get("tags")) or [],
        )["Role"]
        return name, {"arn": role["Arn"]}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        role = aws.client("iam").get_role(RoleName=id_)["Role"]
        return {
            "name": role["RoleName"],
            "assumeRolePolicy": role["AssumeRolePolicyDocument"],
            "tags": _tag_map(role.get("Tags", [])),
        }


class RolePolicy(Kind):
    token = "aws:iam/rolePolicy:RolePolicy"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        aws.client("iam").put_role_policy(RoleName=inputs["role"], PolicyName=name, PolicyDocument=inputs["policy"])
        return f"{inputs['role']}:{name}", {"name": name}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        found = aws.client("iam").get_role_policy(RoleName=outputs["role"], PolicyName=outputs["name"])
        return {"role": found["RoleName"], "policy": found["PolicyDocument"]}


class EventBus(Kind):
    token = "aws:cloudwatch/eventBus:EventBus"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        arn = aws.client("events").create_event_bus(Name=name, Tags=_tag_list(inputs.get("tags")) or [])["EventBusArn"]
        return name, {"arn": arn}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        events = aws.client("events")
        bus = events.describe_event_bus(Name=id_)
        return {"name": bus["Name"], "tags": _tag_map(events.list_tags_for_resource(ResourceARN=bus["Arn"])["Tags"])}


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
            Tags=_tag_list(inputs.get("tags")) or [],
        )
        return f"{inputs['eventBusName']}/{name}", {"arn": rule["RuleArn"]}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        events = aws.client("events")
        rule = events.describe_rule(Name=outputs["name"], EventBusName=outputs["eventBusName"])
        return {
            "name": rule["Name"],
            "eventBusName": rule["EventBusName"],
            "eventPattern": rule["EventPattern"],
            "tags": _tag_map(events.list_tags_for_resource(ResourceARN=rule["Arn"])["Tags"]),
        }


class EventTarget(Kind):
    token = "aws:cloudwatch/eventTarget:EventTarget"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        target = {
            "Id": inputs["targetId"],
            "Arn": inputs["arn"],
            "DeadLetterConfig": _pascal(inputs["deadLetterConfig"]),
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
            "deadLetterConfig": _camel(target.get("DeadLetterConfig")),
        }


class Schedule(Kind):
    token = "aws:scheduler/schedule:Schedule"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        answer = aws.client("scheduler").create_schedule(**_pascal(inputs))
        return f"default/{name}", {"arn": answer["ScheduleArn"]}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        schedule: Properties = _camel(aws.client("scheduler").get_schedule(Name=outputs["name"]))
        return schedule


class Topic(Kind):
    token = "aws:sns/topic:Topic"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        arn = aws.client("sns").create_topic(
            Name=name,
            Attributes=_given(KmsMasterKeyId=inputs.get("kmsMasterKeyId")),
            Tags=_tag_list(inputs.get("tags")) or [],
        )["TopicArn"]
        return arn, {"arn": arn}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        sns = aws.client("sns")
        attributes = sns.get_topic_attributes(TopicArn=id_)["Attributes"]
        return {
            "name": attributes["TopicArn"].rsplit(":", 1)[1],
            "kmsMasterKeyId": attributes.get("KmsMasterKeyId"),
            "tags": _tag_map(sns.list_tags_for_resource(ResourceArn=id_)["Tags"]),
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
                "MessageRetentionPeriod": str(_whole(inputs["messageRetentionSeconds"])),
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


class LogGroup(Kind):
    token = "aws:cloudwatch/logGroup:LogGroup"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        logs = aws.client("logs")
        logs.create_log_group(logGroupName=name, tags=inputs.get("tags") or {})
        logs.put_retention_policy(logGroupName=name, retentionInDays=_whole(inputs["retentionInDays"]))
        return name, {"arn": self._find(aws, name)["logGroupArn"]}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        group = self._find(aws, id_)
        return {
            "name": group["logGroupName"],
            "retentionInDays": group["retentionInDays"],
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
            **_given(
                AlarmName=name,
                Dimensions=_tag_list(inputs.get("dimensions"), "Name"),
                Metrics=[self._query(each) for each in inputs.get("metricQueries") or []] or None,
                OKActions=inputs.get("okActions"),
                Tags=_tag_list(inputs.get("tags")),
            ),
            **_pascal(plain),
        )
        return name, {"arn": self._find(aws, name)["AlarmArn"]}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        alarm = self._find(aws, id_)
        tags = aws.client("cloudwatch").list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]
        return {
            **_camel(alarm),
            "name": alarm["AlarmName"],
            "dimensions": _tag_map(alarm["Dimensions"], "Name"),
            "okActions": alarm["OKActions"],
            "tags": _tag_map(tags),
        }

    def _query(self, declared: Properties) -> Properties:
        query = {"Id": declared["id"], "ReturnData": declared.get("returnData", False)}
        if metric := declared.get("metric"):
            kept = {"Namespace": metric["namespace"], "MetricName": metric["metricName"]}
            dimensions = _tag_list(metric["dimensions"], "Name")
            query["MetricStat"] = {
                "Metric": {**kept, "Dimensions": dimensions},
                "Period": _whole(metric["period"]),
                "Stat": metric["stat"],
            }
        return query | _given(Expression=declared.get("expression"), Label=declared.get("label"))

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


class Key(Kind):
    token = "aws:kms/key:Key"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        kms = aws.client("kms")
        key = kms.create_key(
            Description=inputs["description"],
            Policy=inputs["policy"],
            Tags=_tag_list(inputs.get("tags"), "TagKey", "TagValue") or [],
        )["KeyMetadata"]
        if inputs.get("enableKeyRotation"):
            kms.enable_key_rotation(KeyId=key["KeyId"])
        return key["KeyId"], {"keyId": key["KeyId"], "arn": key["Arn"]}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        kms = aws.client("kms")
        return {
            "description": kms.describe_key(KeyId=id_)["KeyMetadata"]["Description"],
            "policy": kms.get_key_policy(KeyId=id_, PolicyName="default")["Policy"],
            "enableKeyRotation": kms.get_key_rotation_status(KeyId=id_)["KeyRotationEnabled"],
            "tags": _tag_map(kms.list_resource_tags(KeyId=id_)["Tags"], "TagKey", "TagValue"),
        }


class KeyAlias(Kind):
    token = "aws:kms/alias:Alias"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        aws.client("kms").create_alias(AliasName=name, TargetKeyId=inputs["targetKeyId"])
        return name, {}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        return {"name": id_, "targetKeyId": aws.client("kms").describe_key(KeyId=id_)["KeyMetadata"]["KeyId"]}


KINDS: Mapping[str, Kind] = {kind.token: kind() for kind in Kind.__subclasses__()}
