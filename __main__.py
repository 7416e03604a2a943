"""The whole system in the order the data flows: stream, table, bus, processor, and a simulator to feed it."""

import pulumi

from bundle.code import function_code
from bundle.layer import layer_archive
from components.alert_bus import AlertBus
from components.event_stream import EventStream
from components.metrics_store import MetricsStore
from components.simulator import Simulator
from components.stream_processor import StreamProcessor
from components.tags import tag_everything
from settings import Settings

settings = Settings.load()
tag_everything({"project": pulumi.get_project(), "stack": pulumi.get_stack(), "managed-by": "pulumi"})

stream = EventStream(
    "events",
    {
        "name_prefix": settings.name_prefix,
        "existing_arn": settings.existing_stream_arn,
        "existing_key_arn": settings.existing_stream_key_arn,
        "shards": settings.stream_shards,
        "retention_hours": settings.stream_retention_hours,
        "protect": settings.production,
    },
)

store = MetricsStore(
    "metrics",
    {
        "name_prefix": settings.name_prefix,
        "entity_type_health_index": settings.entity_type_health_index_enabled,
        "last_updated_index": settings.last_updated_index_enabled,
        "due_index": settings.due_index_enabled,
        "protect": settings.production,
    },
)

bus = AlertBus(
    "alerts",
    {
        "name_prefix": settings.name_prefix,
        "critical_emails": list(settings.alert_emails_critical),
        "warning_emails": list(settings.alert_emails_warning),
        "info_emails": list(settings.alert_emails_info),
        "dlq_retention_days": settings.dlq_retention_days,
        "topic_key": settings.topic_key_enabled,
        "protect": settings.production,
    },
)

layer = layer_archive(settings.architecture, settings.layer_directory)
processor = StreamProcessor(
    "processor",
    {
        "name_prefix": settings.name_prefix,
        "code": function_code("processor"),
        "layer": layer.archive,
        "layer_hash": layer.input_hash,
        "stream_arn": stream.stream_arn,
        "stream_key_arn": settings.existing_stream_key_arn,
        "table_arn": store.table_arn,
        "table_name": store.table_name,
        "bus_arn": bus.bus_arn,
        "bus_name": bus.bus_name,
        "batch_size": settings.batch_size,
        "batching_window_seconds": settings.batching_window_seconds,
        "max_retry_attempts": settings.max_retry_attempts,
        "max_record_age_seconds": settings.max_record_age_seconds,
        "parallelization_factor": settings.parallelization_factor,
        "memory_mb": settings.processor_memory_mb,
        "timeout_seconds": settings.processor_timeout_seconds,
        "architecture": settings.architecture,
        "log_level": settings.log_level,
        "log_retention_days": settings.log_retention_days,
        "ib_calls_warning": settings.ib_calls_warning,
        "health_warning": settings.health_warning,
        "health_critical": settings.health_critical,
        "renotify_hours": settings.renotify_hours,
        "max_reminders": settings.max_reminders,
        "future_tolerance_minutes": settings.future_tolerance_minutes,
        "due_partitions": settings.due_partitions,
        "roll_interval_minutes": settings.roll_interval_minutes,
        "roll_enabled": settings.due_index_enabled,
        "quarantine_expiry_days": settings.quarantine_expiry_days,
        "protect": settings.production,
    },
)

simulator = Simulator(
    "simulator",
    {
        "name_prefix": settings.name_prefix,
        "code": function_code("simulator"),
        "stream_arn": stream.stream_arn,
        "stream_name": stream.stream_name,
        "stream_key_arn": settings.existing_stream_key_arn,
        "enabled": settings.simulator_enabled,
        "streams": settings.simulator_streams,
        "events_per_stream": settings.simulator_events_per_stream,
        "architecture": settings.architecture,
        "log_level": settings.log_level,
        "log_retention_days": settings.log_retention_days,
    },
)

pulumi.export("ProcessFunctionName", processor.function_name)
pulumi.export("RollFunctionName", processor.roll_function_name)
pulumi.export("SimulatorFunctionName", simulator.function_name)
pulumi.export("EventStreamName", stream.stream_name)
pulumi.export("MetricsTableName", store.table_name)
pulumi.export("AlertBusName", bus.bus_name)
pulumi.export("CriticalTopicArn", bus.critical_topic_arn)
pulumi.export("WarningTopicArn", bus.warning_topic_arn)
pulumi.export("InfoTopicArn", bus.info_topic_arn)
pulumi.export("DeadLetterQueueUrl", bus.dead_letter_queue_url)
pulumi.export("QuarantineBucketName", processor.quarantine_bucket_name)
