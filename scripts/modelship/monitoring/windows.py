"""Which predictions are one batch: a stretch of time whose ends lie on a grid, so that two looks at one batch see the same."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from modelship.core.config import seconds_of
from modelship.core.errors import bad_input

_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)
_WEEK = timedelta(weeks=1)
MONTH = "month"
"""The batch that is a month of the calendar."""


@dataclass(frozen=True)
class Window:
    """A stretch of time."""

    start: datetime
    end: datetime
    """Exclusive. Both in UTC."""

    def __str__(self) -> str:
        return f"{written(self.start)} to {written(self.end)}"


def start_of(batch: str, moment: datetime) -> datetime:
    """When the batch begins that `moment` lies in.

    Batches are counted from midnight UTC, those of whole weeks from a Monday, those of a month from its first day.
    """
    if batch == MONTH:
        return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    length = timedelta(seconds=seconds_of(batch))
    origin = _MONDAY if length % _WEEK == timedelta() else _MONDAY - timedelta(days=4)
    return origin + (moment - origin) // length * length


def moved(batch: str, moment: datetime, batches: int) -> datetime:
    """So many batches later, or earlier where there are fewer than none. A day that a month lacks becomes its last one."""
    if batch != MONTH:
        return moment + batches * timedelta(seconds=seconds_of(batch))
    year, month = divmod(12 * moment.year + moment.month - 1 + batches, 12)
    return moment.replace(year=year, month=month + 1, day=min(moment.day, monthrange(year, month + 1)[1]))


def choose_window(batch: str, since: str | None, until: str | None, now: datetime) -> Window:
    """The stretch from `since` to `until`, either of which is one batch from the other; the newest complete batch without both.

    Raises BadInput for what is no time, for an end that is not after the start, and for one that has not come yet.
    """
    start, end = (parse_time(name, text) if text else None for name, text in (("--since", since), ("--until", until)))
    if start is None and end is None:
        end = start_of(batch, now)
    if start is None:
        assert end is not None
        start = moved(batch, end, -1)
    end = moved(batch, start, 1) if end is None else end
    if end <= start:
        raise bad_input(f"`--until` ({written(end)}) is not after `--since` ({written(start)}).")
    if end > now:
        raise bad_input(
            f"the batch ends at {written(end)}, and it is {written(now)} now: more predictions are to come.", "Wait for it."
        )
    return Window(start, end)


def parse_time(name: str, text: str) -> datetime:
    """An ISO 8601 date or time, in UTC where it has no zone. Raises BadInput, which calls it `name`."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise bad_input(
            f"`{name}` is `{text[:80]}`, which is no time.", "Write it as `2026-11-27` or `2026-11-27T06:00:00Z`."
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


def written(moment: datetime) -> str:
    """A moment as messages and records show it: a date where it is midnight."""
    at = moment.astimezone(UTC)
    return f"{at:%Y-%m-%d}" if not (at.hour or at.minute or at.second) else f"{at:%Y-%m-%d %H:%M:%S}"
