"""How each resource type of the program is created and read back by boto3: what a provider is to Pulumi.

`KINDS` is the whole list; a type that is not in it cannot be deployed. A type covers the properties that the program
declares: the comparison of readback.py finds one that `create` does not pass on. Nothing here changes a declared value,
and nothing here knows this program's resources.
"""

from collections.abc import Mapping

from local.resources import access, alerts, functions, monitoring, storage
from local.resources.archives import archive_bytes
from local.resources.kind import Kind, Properties

KINDS: Mapping[str, Kind] = {
    kind.token: kind()
    for module in (access, alerts, functions, monitoring, storage)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Kind) and kind is not Kind
}
"""By Pulumi's type token."""

__all__ = ["KINDS", "Kind", "Properties", "archive_bytes"]
