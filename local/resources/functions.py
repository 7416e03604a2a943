"""Functions, their layers, mappings and permissions; state machines."""

import base64
import hashlib
import json
from typing import ClassVar

from local.ministack import LocalAws
from local.resources.archives import archive_bytes
from local.resources.kind import Kind, Properties, camel, given, pascal, tag_list, tag_map, whole


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
            Timeout=whole(inputs["timeout"]),
            MemorySize=whole(inputs["memorySize"]),
            Architectures=inputs["architectures"],
            Layers=inputs.get("layers") or [],
            Environment={"Variables": inputs["environment"]["variables"]},
            LoggingConfig=pascal(inputs["loggingConfig"]),
            TracingConfig=pascal(inputs["tracingConfig"]),
            Tags=inputs.get("tags") or {},
            **given(
                DeadLetterConfig=pascal(inputs.get("deadLetterConfig")),
                EphemeralStorage=pascal(inputs.get("ephemeralStorage")),
            ),
        )
        client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        reserved = whole(inputs.get("reservedConcurrentExecutions"))
        if reserved is not None:
            client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)
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
            "ephemeralStorage": camel(function["EphemeralStorage"]),
            "loggingConfig": camel(function["LoggingConfig"]),
            "tracingConfig": camel(function["TracingConfig"]),
            "deadLetterConfig": camel(function.get("DeadLetterConfig")),
            "reservedConcurrentExecutions": answer.get("Concurrency", {}).get("ReservedConcurrentExecutions"),
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
            tags=tag_list(inputs.get("tags"), "key", "value") or [],
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
            "tags": tag_map(states.list_tags_for_resource(resourceArn=id_)["tags"], "key", "value"),
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
            MetricsConfig=pascal(inputs["metricsConfig"]),
            Tags=inputs.get("tags") or {},
            **pascal({key: inputs[key] for key in self.NUMBERS}),
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
            **given(
                FunctionName=inputs["functionName"],
                MaximumRetryAttempts=whole(inputs["maximumRetryAttempts"]),
                MaximumEventAgeInSeconds=whole(inputs.get("maximumEventAgeInSeconds")),
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
