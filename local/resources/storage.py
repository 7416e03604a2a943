"""Streams, tables, buckets and their objects."""

import hashlib
import time

from local.ministack import LocalAws
from local.resources.archives import archive_bytes
from local.resources.kind import Kind, Properties, camel, given, pascal, tag_list, tag_map, whole


class Stream(Kind):
    token = "aws:kinesis/stream:Stream"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        kinesis = aws.client("kinesis")
        kinesis.create_stream(
            **given(
                StreamName=name,
                ShardCount=whole(inputs.get("shardCount")),
                StreamModeDetails=pascal(inputs.get("streamModeDetails")),
            )
        )
        kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        hours = whole(inputs.get("retentionPeriod"))
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
            "streamModeDetails": camel(stream.get("StreamModeDetails")),
            "tags": tag_map(kinesis.list_tags_for_stream(StreamARN=id_)["Tags"]),
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
                "KeySchema": pascal(index["keySchemas"]),
                "Projection": given(
                    ProjectionType=index["projectionType"], NonKeyAttributes=index.get("nonKeyAttributes")
                ),
            }
            for index in inputs.get("globalSecondaryIndexes") or []
        ]
        table = dynamodb.create_table(
            **given(
                TableName=name,
                BillingMode=inputs.get("billingMode"),
                KeySchema=keys,
                AttributeDefinitions=[
                    {"AttributeName": each["name"], "AttributeType": each["type"]} for each in inputs["attributes"]
                ],
                GlobalSecondaryIndexes=indexes or None,
                StreamSpecification=_stream(inputs),
                SSESpecification=pascal(inputs.get("serverSideEncryption")),
                DeletionProtectionEnabled=inputs.get("deletionProtectionEnabled"),
                Tags=tag_list(inputs.get("tags")),
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
        if inputs.get("ttl"):
            ttl = inputs["ttl"]
            dynamodb.update_time_to_live(
                TableName=name,
                TimeToLiveSpecification={"AttributeName": ttl["attributeName"], "Enabled": ttl["enabled"]},
            )
        return name, {"arn": table["TableArn"], "streamArn": table.get("LatestStreamArn")}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        dynamodb = aws.client("dynamodb")
        table = dynamodb.describe_table(TableName=id_)["Table"]
        backups = dynamodb.describe_continuous_backups(TableName=id_)["ContinuousBackupsDescription"]
        keys = {key["KeyType"]: key["AttributeName"] for key in table["KeySchema"]}
        ttl = dynamodb.describe_time_to_live(TableName=id_)["TimeToLiveDescription"]
        expires = {"attributeName": ttl.get("AttributeName"), "enabled": ttl["TimeToLiveStatus"] == "ENABLED"}
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
                    "keySchemas": camel(index["KeySchema"]),
                    "projectionType": index["Projection"]["ProjectionType"],
                    "nonKeyAttributes": index["Projection"].get("NonKeyAttributes"),
                }
                for index in table.get("GlobalSecondaryIndexes", [])
            ],
            **camel(table.get("StreamSpecification", {})),
            "serverSideEncryption": {"enabled": table.get("SSEDescription", {}).get("Status") == "ENABLED"},
            "deletionProtectionEnabled": table["DeletionProtectionEnabled"],
            "pointInTimeRecovery": {
                "enabled": backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
            },
            "ttl": expires if "AttributeName" in ttl else None,
            "tags": tag_map(dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"]),
        }


def _stream(inputs: Properties) -> Properties | None:
    """The stream of changes, where a table has one."""
    if not inputs.get("streamEnabled"):
        return None
    return {"StreamEnabled": True, "StreamViewType": inputs["streamViewType"]}


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
            s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tag_list(inputs["tags"])})
        return bucket, {"bucket": bucket, "arn": f"arn:aws:s3:::{bucket}"}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        s3 = aws.client("s3")
        (bucket,) = [each["Name"] for each in s3.list_buckets(Prefix=outputs["bucketPrefix"])["Buckets"]]
        return {
            "bucketPrefix": bucket[: len(outputs["bucketPrefix"])],
            "tags": tag_map(s3.get_bucket_tagging(Bucket=id_)["TagSet"]),
        }


class BucketPublicAccessBlock(Kind):
    token = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        settings = {key: value for key, value in inputs.items() if key != "bucket"}
        aws.client("s3").put_public_access_block(
            Bucket=inputs["bucket"], PublicAccessBlockConfiguration=pascal(settings)
        )
        return inputs["bucket"], {}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        answer = aws.client("s3").get_public_access_block(Bucket=id_)
        return {"bucket": id_, **camel(answer["PublicAccessBlockConfiguration"])}


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
        rules = pascal(inputs["rules"])
        for rule in rules:
            rule["ID"] = rule.pop("Id")
        aws.client("s3").put_bucket_lifecycle_configuration(
            Bucket=inputs["bucket"], LifecycleConfiguration={"Rules": rules}
        )
        return inputs["bucket"], {}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        rules = aws.client("s3").get_bucket_lifecycle_configuration(Bucket=id_)["Rules"]
        return {"bucket": id_, "rules": [camel({**rule, "Id": rule["ID"]}) for rule in rules]}


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
            "tags": tag_map(s3.get_object_tagging(Bucket=outputs["bucket"], Key=id_)["TagSet"]),
        }
