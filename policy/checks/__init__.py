"""The policies, one module a subject. Imported by the pack and by tests; importing starts nothing."""

from pulumi_policy import Policy

from policy.checks.delivery import DELIVERY
from policy.checks.encryption import ENCRYPTION
from policy.checks.logs import LOGS
from policy.checks.permissions import PERMISSIONS
from policy.checks.protection import PROTECTION

POLICIES: list[Policy] = [*ENCRYPTION, *PERMISSIONS, *LOGS, *DELIVERY, *PROTECTION]
