"""Which alerts there are, their severities, thresholds and rhythm (contract section 3). Pure data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from functions.model import EntityType

HIGH_IB_CALL_FREQUENCY: Final = "high_ib_call_frequency"
LOW_HEALTH_SCORE: Final = "low_health_score"
SUPPLY_DEMAND_IMBALANCE: Final = "supply_demand_imbalance"
FIRST_SESSION_SUCCESS_LOW: Final = "first_session_success_low"
SESSION_VELOCITY_DROP: Final = "session_velocity_drop"
NO_TUTORS_AVAILABLE: Final = "no_tutors_available"
DEMAND_SURGE: Final = "demand_surge"

ALERT_TYPES: Final[Mapping[EntityType, tuple[str, ...]]] = {
    "student": (HIGH_IB_CALL_FREQUENCY, LOW_HEALTH_SCORE, SESSION_VELOCITY_DROP),
    "tutor": (FIRST_SESSION_SUCCESS_LOW,),
    "subject": (
        SUPPLY_DEMAND_IMBALANCE,
        FIRST_SESSION_SUCCESS_LOW,
        SESSION_VELOCITY_DROP,
        NO_TUTORS_AVAILABLE,
        DEMAND_SURGE,
    ),
    "region": (NO_TUTORS_AVAILABLE,),
}
"""The alerts that an entity of each type can have."""
SEVERITIES: Final = ("none", "info", "warning", "critical")
"""The severity of each level; level 0 is no alert."""
INFO: Final = 1
WARNING: Final = 2
CRITICAL: Final = 3


@dataclass(frozen=True, slots=True)
class AlertRules:
    """The thresholds and rhythm of alerts (contract section 3)."""

    ib_calls_warning: int = 3
    """high_ib_call_frequency fires at this many calls in 14 days."""
    health_warning: float = 70
    """low_health_score fires below this ..."""
    health_critical: float = 50
    """... and is critical below this."""
    renotify_hours: float = 24
    """A reminder is sent after an alert has lasted this long ..."""
    max_reminders: int = 5
    """... at most this many times an episode."""
    first_session_success_below: float = 0
    """first_session_success_low fires at a success rate (0 to 1) below this; 0 is off."""
    first_sessions_least: int = 5
    """... of at least this many first sessions of 30 days whose outcome is known."""
    velocity_drop_share: float = 0
    """session_velocity_drop fires at fewer counted sessions in 7 days than this share (0 to 1) of those of the 7 days
    before; 0 is off."""
    velocity_drop_least: int = 4
    """... which were at least this many."""
    no_tutors_alert: bool = False
    """Whether no_tutors_available fires."""
    demand_surge_score: float = 0
    """demand_surge fires at a modified z-score of at least this; 0 is off.

    The score says how far a subject's mean of the last 7 daily counts of sessions stands above the median of the 23
    before, in standard deviations estimated as 1.4826 times their median absolute deviation: B. Iglewicz and D. C.
    Hoaglin, "How to Detect and Handle Outliers" (ASQC Basic References in Quality Control 16, 1993), who take 3.5 for
    an outlier. The estimate is at least the square root of the median, by which counts of a Poisson process scatter by
    themselves.
    """
    demand_surge_least: int = 10
    """... with at least this many sessions in the 7 days."""
