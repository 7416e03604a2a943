"""How often a schedule runs, as its expression says (EventBridge Scheduler user guide, "Schedule types")."""

import re

_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}
_DAY_MINUTES = 24 * 60


def shortest_interval(expression: str) -> int | None:
    """Return the shortest time between two runs, in seconds.

    Parameters
    ----------
    expression
        A rate, or a cron expression.

    Returns
    -------
    int or None
        None for a schedule that runs once, for one that does not run every day, and for what is no schedule.
    """
    if rate := re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression):
        return int(rate[1]) * _SECONDS[rate[2]]
    cron = re.fullmatch(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)", expression)
    if cron is None or not set(cron.groups()[2:]) <= {"*", "?"}:
        return None
    minutes, hours = _numbers(cron[1], 60), _numbers(cron[2], 24)
    runs = sorted(60 * hour + minute for hour in hours for minute in minutes)
    if not runs:
        return None
    following = [*runs[1:], runs[0] + _DAY_MINUTES]
    return 60 * min(later - run for run, later in zip(runs, following, strict=True))


def _numbers(field: str, end: int) -> set[int]:
    """Return the numbers below `end` that a field of a cron expression names; none if it has another form."""
    numbers: set[int] = set()
    for part in field.split(","):
        found = re.fullmatch(r"(?:\*|(\d+)(?:-(\d+))?)(/[1-9]\d*)?", part)
        if found is None:
            return set()
        first, last, step = found.groups()
        # A number alone is one moment. With a step it is the first of many.
        stop = end if first is None or (step and last is None) else int(last or first) + 1
        numbers |= set(range(int(first or 0), min(stop, end), int(step[1:]) if step else 1))
    return numbers
