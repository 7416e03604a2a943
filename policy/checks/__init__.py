"""The policies, one module a subject. Imported by the pack and by tests; importing starts nothing."""

from pulumi_policy import Policy

from .delivery import DELIVERY
from .encryption import ENCRYPTION
from .expiry import EXPIRY
from .logs import LOGS
from .permissions import PERMISSIONS
from .protection import PROTECTION

POLICIES: list[Policy] = [*ENCRYPTION, *PERMISSIONS, *LOGS, *DELIVERY, *EXPIRY, *PROTECTION]
