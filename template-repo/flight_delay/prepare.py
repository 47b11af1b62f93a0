"""Stage `prepare`: split the raw flights by time.

A random split would let the model learn from a storm that it is later judged on. Here it is judged
on a month that lies after everything it has seen, as it will be in production.
"""

import shutil

import pandas as pd

from flight_delay.settings import HOLDOUT, PRODUCTION, RAW, TIME, TRAIN, load_params


def split_by_month(flights: pd.DataFrame, split: dict[str, list[str]]) -> dict[str, pd.DataFrame]:
    """Cut the flights into the parts `train`, `holdout` and `production`.

    `split` gives the first and last month of each part (`YYYY-MM`, both included). Raises ValueError
    when a part is empty or does not lie after the part before it.
    """
    month = flights[TIME].dt.strftime("%Y-%m")
    parts: dict[str, pd.DataFrame] = {}
    previous_end = ""
    for name in ("train", "holdout", "production"):
        first, last = split[name]
        if first <= previous_end:
            raise ValueError(
                f"params.yaml: split.{name} starts in {first}, the part before it ends in {previous_end}. "
                "Start it later, or the model is judged on what it has seen."
            )
        parts[name] = flights[month.between(first, last)].reset_index(drop=True)
        if parts[name].empty:
            raise ValueError(
                f"params.yaml: split.{name} is {first} to {last}, but the data has no flight in it "
                f"(it runs from {month.min()} to {month.max()}, and a first month stands before a last)."
            )
        previous_end = last
    return parts


def main() -> None:
    """Write data/train.parquet, data/holdout.parquet and one data/production/<month>.parquet a month."""
    # `month` repeats `scheduled_at`, and one year of it would teach the model dates instead of seasons.
    flights = pd.read_parquet(RAW).drop(columns="month")
    parts = split_by_month(flights, load_params().split)

    parts["train"].to_parquet(TRAIN, index=False)
    parts["holdout"].to_parquet(HOLDOUT, index=False)

    shutil.rmtree(PRODUCTION, ignore_errors=True)
    PRODUCTION.mkdir()
    production = parts["production"]
    for month, batch in production.groupby(production[TIME].dt.strftime("%Y-%m")):
        batch.to_parquet(PRODUCTION / f"{month}.parquet", index=False)

    for name, part in parts.items():
        first, last = part[TIME].min(), part[TIME].max()
        print(f"{name:<10} {len(part):>6,} flights, {first:%Y-%m-%d} to {last:%Y-%m-%d}")


if __name__ == "__main__":
    main()
