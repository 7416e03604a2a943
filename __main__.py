"""The whole system in the order the data flows: stream, table, bus, processor, rollup, simulator, alarms."""

import pulumi

from bundle.code import function_code
from bundle.layer import layer_archive
from components.alert_bus import AlertBus, AlertBusArgs
from components.event_stream import EventStream, EventStreamArgs
from components.metrics_store import MetricsStore, MetricsStoreArgs
from components.rollup import Rollup, RollupArgs
from components.simulator import Simulator, SimulatorArgs
from components.stream_processor import StreamProcessor, StreamProcessorArgs
from components.tags import tag_everything
from components.watch.arguments import ObservabilityArgs
from components.watch.observability import Observability
from settings import Settings, arguments

# Settings and archives come first: what is wrong with them stops the program before it registers a resource.
settings = Settings.load()
stack = settings.stack
layer = layer_archive(stack.architecture, stack.layer_directory)
code = {name: function_code(name) for name in ("processor", "notifier", "simulator")}
tag_everything({"project": pulumi.get_project(), "stack": pulumi.get_stack(), "managed-by": "pulumi"})

stream = EventStream("events", arguments(EventStreamArgs, stack, settings.stream))
store = MetricsStore("metrics", arguments(MetricsStoreArgs, stack, settings.table))
bus = AlertBus("alerts", arguments(AlertBusArgs, stack, settings.bus, code=code["notifier"]))

store_arguments = {
    "table_arn": store.table_arn,
    "table_key_arn": settings.table.existing_key_arn,
    "state_table_arn": store.state_table_arn,
}
processor = StreamProcessor(
    "processor",
    arguments(
        StreamProcessorArgs,
        stack,
        settings.processor,
        **store_arguments,
        code=code["processor"],
        layer=layer.archive,
        layer_hash=layer.input_hash,
        stream_arn=stream.stream_arn,
        stream_key_arn=settings.stream.existing_key_arn,
        table_name=store.table_name,
        state_table_name=store.state_table_name,
        bus_arn=bus.bus_arn,
        bus_name=bus.bus_name,
    ),
)
rollup = Rollup(
    "rollup",
    arguments(
        RollupArgs,
        stack,
        settings.rollup,
        **store_arguments,
        code=code["processor"],
        layer_arn=processor.layer_arn,
        environment=processor.environment,
        bus_arn=bus.bus_arn,
    ),
)
simulator = Simulator(
    "simulator",
    arguments(
        SimulatorArgs,
        stack,
        settings.simulator,
        code=code["simulator"],
        stream_arn=stream.stream_arn,
        stream_name=stream.stream_name,
        stream_key_arn=settings.stream.existing_key_arn,
    ),
)
operations = Observability(
    "operations",
    arguments(
        ObservabilityArgs,
        stack,
        settings.alarms,
        topic_key_arn=bus.topic_key_arn,
        stream_name=stream.stream_name,
        mapping_uuid=processor.mapping_uuid,
        function_name=processor.function_name,
        roll_function_name=processor.roll_function_name,
        memory_mb=settings.processor.memory_mb,
        timeout_seconds=settings.processor.timeout_seconds,
        roll_interval_minutes=settings.processor.roll_interval_minutes,
        rollup_function_name=rollup.function_name,
        rollup_memory_mb=settings.rollup.memory_mb,
        rollup_interval_minutes=settings.rollup.interval_minutes,
        rollup_enabled=settings.rollup.enabled,
        rollup_step_names=[*rollup.step_names],
        rollup_state_machine_arn=rollup.state_machine_arn,
        table_name=store.table_name,
        state_table_name=store.state_table_name,
        index_names=store.index_names,
        bus_name=bus.bus_name,
        rule_names=[*bus.rule_names],
        notifier_function_name=bus.notifier_function_name,
        alert_topic_arns=[bus.critical_topic_arn, bus.warning_topic_arn, bus.info_topic_arn],
        dead_letter_queue_arn=bus.dead_letter_queue_arn,
    ),
)

pulumi.export("ProcessFunctionName", processor.function_name)
pulumi.export("RollFunctionName", processor.roll_function_name)
pulumi.export("NotifierFunctionName", bus.notifier_function_name)
pulumi.export("RollupFunctionName", rollup.function_name)
pulumi.export("RollupStateMachineArn", rollup.state_machine_arn)
pulumi.export("RollupBucketName", rollup.bucket_name)
pulumi.export("SimulatorFunctionName", simulator.function_name)
pulumi.export("EventStreamName", stream.stream_name)
pulumi.export("MetricsTableName", store.table_name)
pulumi.export("AlertBusName", bus.bus_name)
pulumi.export("CriticalTopicArn", bus.critical_topic_arn)
pulumi.export("WarningTopicArn", bus.warning_topic_arn)
pulumi.export("InfoTopicArn", bus.info_topic_arn)
pulumi.export("DeadLetterQueueUrl", bus.dead_letter_queue_url)
pulumi.export("QuarantineBucketName", processor.quarantine_bucket_name)
pulumi.export("OperationsTopicArn", operations.topic_arn)
pulumi.export("DashboardUrl", operations.dashboard_url)
