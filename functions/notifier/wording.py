"""What each kind of alert says to people: in one sentence what is the case, why it matters, and what to do next.

A new alert type gets a `Story` here and nothing else; one without a story is told in a general form. Thresholds are
settings that an alert does not carry, so none is named. Pure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final


class Unusable(Exception):
    """A figure is missing, or is not what a sentence can have in its place."""


class Figures:
    """An alert's details, as words for a sentence. What cannot be said raises `Unusable`."""

    def __init__(self, details: Mapping[str, Any]) -> None:
        self._details = details

    def value(self, name: str) -> float:
        """The number of this name."""
        value = self._details.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Unusable(name)
        return value

    def number(self, name: str) -> str:
        """The number of this name in digits."""
        return number(self.value(name))

    def counted(self, name: str, one: str) -> str:
        """The number with what it counts: `1 call`, `3 calls`."""
        return counted(self.value(name), one)

    def percent(self, name: str) -> str:
        """A share as a percentage."""
        return f"{number(round(100 * self.value(name), 1))} %"


def number(value: float) -> str:
    """In digits, without a fraction that says nothing: `45`, `0.4`, `1,200`."""
    try:
        return f"{value:,.10g}"
    except OverflowError:  # an integer beyond every float
        return "a very large number"


def counted(value: float, one: str) -> str:
    """`1 call`, `3 calls`."""
    return f"{number(value)} {one}" if value == 1 else f"{number(value)} {one}s"


@dataclass(frozen=True)
class Story:
    """What there is to say of one kind of alert. In all texts `{name}` stands for the entity."""

    firing: str
    """What is the case while it lasts. A sentence without its full stop."""
    resolved: str
    """What is the case when it is over, for whichever reason."""
    figure: Callable[[Figures], str]
    """The figure that says how bad it is."""
    why: str
    steps: tuple[str, ...]
    """What to do after a look at the entity, which is always the first step; `{soon}` is how soon."""


def _velocity(figures: Figures) -> str:
    return f"{figures.counted('counted_7d', 'session')} in 7 days after {figures.number('counted_7d_before')}"


STORIES: Final[Mapping[str, Story]] = {
    "high_ib_call_frequency": Story(
        firing="{name} keeps calling",
        resolved="{name} no longer calls that often",
        figure=lambda figures: f"{figures.counted('ib_calls_14d', 'inbound call')} in 14 days",
        why="Somebody who calls again and again has a problem that nobody has solved yet, and gives up one day.",
        steps=(
            "Read what the calls were about, and whether they were resolved.",
            "Give the problem one owner, who calls back {soon} and stays with it until it is solved.",
        ),
    ),
    "low_health_score": Story(
        firing="{name} is slipping away",
        resolved="{name} is no longer slipping away",
        figure=lambda figures: f"health score {figures.number('health_score')}",
        why="A low health score is the earliest sign that a student is about to leave, and the time to act is before.",
        steps=(
            "Look for the cause: hardly any sessions, poor ratings, or many calls.",
            "Have somebody whom the student knows get in touch {soon}.",
        ),
    ),
    "supply_demand_imbalance": Story(
        firing="{name} runs short of tutors",
        resolved="{name} is in balance again",
        figure=lambda figures: f"demand {figures.number('demand_score')}, supply {figures.number('supply_score')}",
        why="Students who look for a lesson find few free tutors, wait, and go elsewhere.",
        steps=(
            "Ask tutors of the subject for more hours {soon}, in the regions concerned first.",
            "If it lasts, recruit there, or offer tutors of other regions.",
        ),
    ),
    "first_session_success_low": Story(
        firing="First sessions of {name} often fail",
        resolved="First sessions of {name} no longer fail that often",
        figure=lambda figures: f"success rate {figures.percent('first_session_success_rate')}",
        why="A student whose first session fails seldom books a second one.",
        steps=(
            "Find out from students and tutors why the last ones failed: the match, the level, or the technology.",
            "Until that is mended, give new students to tutors whose first sessions succeed.",
        ),
    ),
    "session_velocity_drop": Story(
        firing="{name} has far fewer sessions than the week before",
        resolved="{name} no longer loses sessions",
        figure=_velocity,
        why="Sessions that stay away are what is seen first when somebody is being lost.",
        steps=(
            "Look for a plain reason: holidays, exams that are over, a tutor who is away.",
            "If there is none, ask those concerned {soon} what has changed.",
        ),
    ),
    "no_tutors_available": Story(
        firing="No tutors for {name}",
        resolved="{name} no longer waits for tutors",
        figure=lambda figures: f"{figures.counted('active_students', 'active student')}",
        why="Students are there and nobody can teach them: every request fails.",
        steps=(
            "Make sure that it is so, and that availabilities are still being reported.",
            "Call up tutors {soon}, from other regions too, and tell the students how long it will take.",
        ),
    ),
    "demand_surge": Story(
        firing="Demand for {name} surges",
        resolved="Demand for {name} no longer surges",
        figure=lambda figures: (
            f"{figures.counted('sessions_7d', 'session')} in 7 days, usually {figures.number('usual_daily')} a day"
        ),
        why="Demand has left its usual range. If supply does not follow, students will soon find no tutor.",
        steps=(
            "See whether many students cause it or a few, and whether there is a known reason, such as exams.",
            "Tell whoever plans tutors' hours {soon}.",
        ),
    ),
}
"""By alert type."""

SOON: Final[Mapping[str, str]] = {"critical": "today", "warning": "within two days", "info": "this week"}
"""How soon something should be done, by severity."""

LABELS: Final[Mapping[str, str]] = {
    "active_students": "Active students",
    "available_tutors": "Available tutors",
    "balance_status": "Balance",
    "counted_7d": "Sessions in the last 7 days",
    "counted_7d_before": "Sessions in the 7 days before",
    "first_outcomes": "First sessions with a known outcome",
    "first_session_success_rate": "Success rate of first sessions",
    "first_sessions_30d": "First sessions in 30 days",
    "health_score": "Health score (0 to 100)",
    "ib_calls_14d": "Inbound calls in 14 days",
    "regions": "Regions in high demand",
    "regions_total": "Regions in high demand, in all",
    "sessions_7d": "Sessions in 7 days",
    "surge_score": "Above the usual by so many robust standard deviations",
    "usual_daily": "Usual sessions a day",
}
"""What people call the figures; any other goes by its own name."""
