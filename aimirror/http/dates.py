"""Dates of HTTP fields: the three formats of RFC 9110 section 5.6.7, as epoch seconds."""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_LONG_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_DAY = "|".join(_DAYS)
_MONTH = "|".join(_MONTHS)
_CLOCK = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
# Case is ignored as RFC 9111 section 4.2 recommends.
_FLAGS = re.IGNORECASE | re.ASCII
_IMF_FIXDATE = re.compile(
    rf"(?:{_DAY}), (?P<day>[0-9]{{2}}) (?P<month>{_MONTH}) (?P<year>[0-9]{{4}}) {_CLOCK} GMT",
    _FLAGS,
)
_ASCTIME = re.compile(
    rf"(?:{_DAY}) (?P<month>{_MONTH}) (?P<day>[0-9]{{2}}| [0-9]) {_CLOCK} (?P<year>[0-9]{{4}})",
    _FLAGS,
)
_RFC850 = re.compile(
    rf"(?:{'|'.join(_LONG_DAYS)}), (?P<day>[0-9]{{2}})-(?P<month>{_MONTH})-(?P<year>[0-9]{{2}})"
    rf" {_CLOCK} GMT",
    _FLAGS,
)
#: Dates whose parsed form is kept: those of the entries in use are read on each request.
_REMEMBERED = 4096
#: Characters of the longest date, "Wednesday, 09-Nov-94 08:49:37 GMT"; nothing longer is kept.
_LONGEST = 33
_MONTH_NUMBERS = {name.lower(): number for number, name in enumerate(_MONTHS, 1)}
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY_SECONDS = 86400
#: A two-digit year means no time further ahead than this (RFC 9110 section 5.6.7).
_YEARS_AHEAD = 50
#: From this two-digit year on, 19xx is meant when no clock is given (as POSIX strptime has it).
_PIVOT = 69
#: Epoch seconds of the first and the last moment that ``datetime`` can name.
_FIRST = (date.min.toordinal() - _EPOCH_DAY) * _DAY_SECONDS
_LAST = (date.max.toordinal() - _EPOCH_DAY + 1) * _DAY_SECONDS - 1


def parse_date(text: str, now: float | None = None) -> float | None:
    """Epoch seconds of an HTTP-date, None for anything else.

    All three formats, GMT only; the name of the weekday must be one, whether it fits the date is
    not checked (the RFC gives it no meaning).  ``now`` serves the two-digit year alone.
    """
    text = text.strip(" \t")
    if len(text) > _LONGEST:
        return None
    old = _RFC850.fullmatch(text)
    return _full(text) if old is None else _epoch(old, now)


def format_date(epoch: float) -> str:
    """An IMF-fixdate, in whole seconds (rounded down), within the years 1 to 9999."""
    seconds = int(min(max(epoch, _FIRST), _LAST) // 1)
    days, rest = divmod(seconds, _DAY_SECONDS)
    day = date.fromordinal(days + _EPOCH_DAY)
    hour, rest = divmod(rest, 3600)
    return (
        f"{_DAYS[day.weekday()]}, {day.day:02} {_MONTHS[day.month - 1]} {day.year:04} "
        f"{hour:02}:{rest // 60:02}:{rest % 60:02} GMT"
    )


@lru_cache(maxsize=_REMEMBERED)
def _full(text: str) -> float | None:
    """A date with a four-digit year."""
    match = _IMF_FIXDATE.fullmatch(text) or _ASCTIME.fullmatch(text)
    return None if match is None else _epoch(match, None)


def _epoch(match: re.Match[str], now: float | None) -> float | None:
    hour, minute, second = (int(match[name]) for name in ("hour", "minute", "second"))
    if hour > 23 or minute > 59 or second > 60:  # 60: a leap second
        return None
    month, day, clock = _MONTH_NUMBERS[match["month"].lower()], int(match["day"]), match["year"]
    within = hour * 3600 + minute * 60 + second
    if len(clock) == 4:
        return _at(int(clock), month, day, within)
    if now is None:
        return _at(int(clock) + (1900 if int(clock) >= _PIVOT else 2000), month, day, within)
    return _latest(int(clock), month, day, within, now)


def _latest(year: int, month: int, day: int, within: int, now: float) -> float | None:
    """The latest time with these last two digits of the year that is not too far ahead."""
    this_year = date.fromordinal(int(now // _DAY_SECONDS) + _EPOCH_DAY).year
    candidate = this_year - this_year % 100 + 100 + year
    limit = now + _YEARS_AHEAD * 365.25 * _DAY_SECONDS
    while candidate > 0:
        moment = _at(candidate, month, day, within)
        if moment is not None and moment <= limit:
            return moment
        candidate -= 100
    return None


def _at(year: int, month: int, day: int, within: int) -> float | None:
    try:
        days = date(year, month, day).toordinal() - _EPOCH_DAY
    except ValueError:
        return None
    return float(days * _DAY_SECONDS + within)
