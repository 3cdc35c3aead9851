"""Generated dates as people write them, to be written as ISO 8601; test dates are others than training dates."""

import datetime
import random
from collections.abc import Iterator
from typing import Any

Row = tuple[Any, ...]
FIRST, LAST = datetime.date(1950, 1, 1), datetime.date(2049, 12, 31)
HELD_OUT = 7
"""Every date whose number this divides is a test date."""
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
FORMS = (
    "{d} {month} {y}",
    "{month} {d}, {y}",
    "the {nth} of {month} {y}",
    "{month} {nth}, {y}",
    "{mon} {d} {y}",
    "{d} {mon} {y}",
    "{weekday}, {d} {month} {y}",
    "{weekday} the {nth} of {month}, {y}",
    "{d}.{m}.{y}",
    "day {d} of {month} in the year {y}",
)
"""In braces: day, month and year as numbers, names of month and weekday, and the day with its ending."""


def dates(rng: random.Random, split: str) -> Iterator[list[Row]]:
    """Dates in one of the forms, each with its ISO form."""
    days = (LAST - FIRST).days
    while True:
        day = FIRST + datetime.timedelta(rng.randrange(days + 1))
        if (day.toordinal() % HELD_OUT == 0) == (split == "test"):
            yield [(written(day, rng.choice(FORMS)), day.isoformat())]


def written(day: datetime.date, form: str) -> str:
    """A date in a form."""
    month = MONTHS[day.month - 1]
    ending = "th" if 10 < day.day < 20 else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
    return form.format(
        d=day.day,
        m=day.month,
        y=day.year,
        month=month,
        mon=month[:3],
        weekday=WEEKDAYS[day.weekday()],
        nth=f"{day.day}{ending}",
    )
