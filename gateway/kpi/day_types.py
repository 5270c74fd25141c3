"""Public holidays, on which a building behaves as on a Sunday."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import holidays
import numpy as np
from numpy.typing import NDArray

from analytics.calendar import to_local

EPOCH = date(1970, 1, 1).toordinal()
SUNDAY = 6


def public_holidays(code: str, zone: ZoneInfo, start: int, end: int) -> NDArray[np.int64]:
    """Local days [days since 1970], ascending, that are public holidays in the years of [start, end) [ns].

    code: a country, with its region if it has its own: 'FR', 'DE-BY'. '' and an unknown one have none: the
    models then take holidays for working days, which widens their bands and is no error.
    """
    country, _, region = code.partition("-")
    if not country:
        return np.zeros(0, np.int64)
    years = range(to_local(zone, start).year, to_local(zone, end).year + 1)
    try:
        found = holidays.country_holidays(country, subdiv=region or None, years=years)
    except NotImplementedError:
        return np.zeros(0, np.int64)
    return np.array(sorted(day.toordinal() - EPOCH for day in found), np.int64)


def hours_as_on_sundays(
    hour_of_week: NDArray[np.int64], local_day: NDArray[np.int64], free: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Hours of the week with those of free days taken for Sunday's: shape (n,)."""
    return np.where(np.isin(local_day, free), SUNDAY * 24 + hour_of_week % 24, hour_of_week)
