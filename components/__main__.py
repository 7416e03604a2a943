"""Serves the components to programs in any language, as a source-based Pulumi plugin: docs/reuse.md.

The Pulumi CLI starts it; it serves until the CLI ends it.
"""

import sys
from pathlib import Path

import pulumi
from pulumi.provider.experimental import component_provider_host

# The CLI runs this directory; the modules in it are imported as `components.<module>`.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from components.alert_bus import AlertBus
from components.event_stream import EventStream
from components.metrics_store import MetricsStore
from components.rollup import Rollup
from components.simulator import Simulator
from components.stream_processor import StreamProcessor
from components.watch.observability import Observability

NAME = "iops"
COMPONENTS: list[type[pulumi.ComponentResource]] = [
    EventStream,
    MetricsStore,
    AlertBus,
    StreamProcessor,
    Rollup,
    Observability,
    Simulator,
]

if __name__ == "__main__":
    component_provider_host(name=NAME, components=COMPONENTS)
