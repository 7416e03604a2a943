"""The whole system in the order the data flows: stream, table, bus, processor, a simulator to feed it, and what watches
it all."""

import pulumi

from bundle.code import function_code
from bundle.layer import layer_archive
from components.alert_bus import AlertBus
from components.event_stream import EventStream
from components.metrics_store import MetricsStore
from components.observability import Observability
from components.rollup import Rollup
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
        "existing_arn": settings.existing_table_arn,
        "existing_key_arn": settings.existing_table_key_arn,
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
        "existing_bus_arn": settings.existing_bus_arn,
        "critical_emails": list(settings.alert_emails_critical),
        "warning_emails": list(settings.alert_emails_warning),
        "info_emails": list(settings.alert_emails_info),
        "dlq_retention_days": settings.dlq_retention_days,
        "topic_key": settings.topic_key_enabled,
        "code": function_code("notifier"),
        "architecture": settings.architecture,
        "log_retention_days": settings.log_retention_days,
        "tracing": settings.tracing_enabled,
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
        "table_key_arn": settings.existing_table_key_arn,
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
        "tracing": settings.tracing_enabled,
        "ib_calls_warning": settings.ib_calls_warning,
        "health_warning": settings.health_warning,
        "health_critical": settings.health_critical,
        "renotify_hours": settings.renotify_hours,
        "max_reminders": settings.max_reminders,
        "first_session_success_below": settings.first_session_success_below,
        "first_sessions_least": settings.first_sessions_least,
        "velocity_drop_share": settings.velocity_drop_share,
        "velocity_drop_least": settings.velocity_drop_least,
        "no_tutors_alert": settings.no_tutors_alert_enabled,
        "demand_surge_score": settings.demand_surge_score,
        "demand_surge_least": settings.demand_surge_least,
        "future_tolerance_minutes": settings.future_tolerance_minutes,
        "due_partitions": settings.due_partitions,
        "roll_interval_minutes": settings.roll_interval_minutes,
        "roll_enabled": settings.due_index_enabled,
        "quarantine_expiry_days": settings.quarantine_expiry_days,
        "protect": settings.production,
    },
)

rollup = Rollup(
    "rollup",
    {
        "name_prefix": settings.name_prefix,
        "code": function_code("processor"),
        "layer_arn": processor.layer_arn,
        "environment": processor.environment,
        "table_arn": store.table_arn,
        "table_key_arn": settings.existing_table_key_arn,
        "bus_arn": bus.bus_arn,
        "interval_minutes": settings.rollup_interval_minutes,
        "enabled": settings.rollup_enabled,
        "distributed_items": settings.rollup_distributed_items,
        "max_concurrency": settings.rollup_max_concurrency,
        "protect": settings.production,
        "memory_mb": settings.rollup_memory_mb,
        "storage_mb": settings.rollup_storage_mb,
        "architecture": settings.architecture,
        "log_retention_days": settings.log_retention_days,
        "tracing": settings.tracing_enabled,
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
        "tracing": settings.tracing_enabled,
    },
)

operations = Observability(
    "operations",
    {
        "name_prefix": settings.name_prefix,
        "emails": list(settings.operations_emails),
        "topic_key_arn": bus.topic_key_arn,
        "stream_name": stream.stream_name,
        "mapping_uuid": processor.mapping_uuid,
        "function_name": processor.function_name,
        "roll_function_name": processor.roll_function_name,
        "memory_mb": settings.processor_memory_mb,
        "timeout_seconds": settings.processor_timeout_seconds,
        "roll_interval_minutes": settings.roll_interval_minutes,
        "roll_enabled": settings.due_index_enabled,
        "rollup_function_name": rollup.function_name,
        "rollup_memory_mb": settings.rollup_memory_mb,
        "rollup_interval_minutes": settings.rollup_interval_minutes,
        "rollup_enabled": settings.rollup_enabled,
        "rollup_step_names": [*rollup.step_names],
        "rollup_state_machine_arn": rollup.state_machine_arn,
        "table_name": store.table_name,
        "index_names": store.index_names,
        "bus_name": bus.bus_name,
        "rule_names": [*bus.rule_names],
        "notifier_function_name": bus.notifier_function_name,
        "alert_topic_arns": [bus.critical_topic_arn, bus.warning_topic_arn, bus.info_topic_arn],
        "dead_letter_queue_arn": bus.dead_letter_queue_arn,
        "iterator_age_minutes": settings.iterator_age_alarm_minutes,
        "function_errors": settings.function_errors_alarm_count,
        "function_throttles": settings.function_throttles_alarm_count,
        "duration_percent": settings.duration_alarm_percent,
        "quarantined_records": settings.quarantine_alarm_records,
        "table_failures": settings.table_failures_alarm_count,
        "roll_intervals": settings.roll_alarm_intervals,
        "rollup_intervals": settings.rollup_alarm_intervals,
        "unsent_minutes": settings.unsent_alarm_minutes,
        "protect": settings.production,
    },
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
