"""A small invented year of flights: the tests need neither DVC nor the real data."""

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="session")
def flights() -> pd.DataFrame:
    """2,400 flights, 200 a month, columns and types as in the real data; the later the hour, the later."""
    rng = np.random.default_rng(seed=1)
    rows = 2400
    month = np.repeat(np.arange(1, 13), rows // 12)
    hour = rng.integers(5, 24, rows)
    day = rng.integers(1, 29, rows)
    scheduled_at = pd.to_datetime(pd.DataFrame({"year": 2013, "month": month, "day": day, "hour": hour}))
    pressure = rng.normal(1018, 7, rows)
    pressure[rng.random(rows) < 0.1] = np.nan
    return pd.DataFrame(
        {
            "flight_id": np.arange(rows),
            "scheduled_at": scheduled_at,
            "day_of_week": scheduled_at.dt.dayofweek.astype("int8"),
            "hour": hour.astype("int8"),
            "carrier": rng.choice(["AA", "B6", "UA"], rows),
            "origin": rng.choice(["EWR", "JFK", "LGA"], rows),
            "dest": rng.choice(["ATL", "BOS", "ORD"], rows),
            "distance": rng.integers(100, 3000, rows).astype("int16"),
            "temp": rng.normal(55, 15, rows),
            "humid": rng.uniform(20, 100, rows),
            "wind_speed": rng.uniform(0, 30, rows),
            "precip": rng.exponential(0.01, rows),
            "pressure": pressure,
            "visib": rng.uniform(1, 10, rows),
            "late": (rng.random(rows) < (hour - 4) / 25).astype("int8"),
        }
    )
