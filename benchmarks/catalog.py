"""A benchmark of a catalog of 1,000 stores: corrstore, pandas over CSV (as intake-esm does), and DuckDB.

Run `python -m benchmarks.catalog [STORES] [FOLDER]`. The catalog is made in a new folder in FOLDER (SYNTHETIC, 1,000
rows of coverage and of statistics and 10,000 of shards a store), then each contender answers in a process of its own.
Cold: the first question of a process that has imported what it needs, the files being in the page cache. Warm: the
median of ten more.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.made.catalogs import make_catalog
from corrstore.datasets.samples.probe import peak_bytes

QUESTIONS = (
    "list",
    "query",
    "query, why missing",
    "statistics",
    "statistics, JJA 00 12 UTC",
    "statistics, every store",
    "diff",
)
CONTENDERS = ("corrstore", "duckdb", "pandas")
_REPEATS = 10
_FEWEST = 846  # `diff` is of made805 and made845
_PERIOD = ("2019-06-01", "2019-10-01")
Answers = dict[str, Callable[[], object]]


def corrstore(folder: Path) -> Answers:
    """Ask every question of a `Catalog`; the first of each kind goes to a new one."""
    import corrstore.catalog.queries.diff
    import corrstore.catalog.queries.statistics  # noqa: F401
    from corrstore.catalog.queries.access import Catalog

    opened: dict[str, Catalog] = {}

    def fresh(question: str) -> Catalog:
        if question not in opened:
            opened.clear()
            opened[question] = Catalog(str(folder / "catalog"))
        return opened[question]

    variables, period, quantiles = ["t2m", "u_850"], "2019-06/2019-09", [0.05, 0.5, 0.95]
    ask = {"frequency": "3h", "region": (100, 20, 120, 40)}
    return {
        "list": lambda: len(fresh("list").listing()),
        "query": lambda: len(fresh("query").query(variables, period, **ask).stores),
        "query, why missing": lambda: len(fresh("why").query(variables, period, **ask, reasons=True).missing),
        "statistics": lambda: len(fresh("all").statistics(["tp"], period, quantiles=quantiles)),
        "statistics, JJA 00 12 UTC": lambda: len(
            fresh("some").statistics(["tp"], period, [6, 7, 8], [0, 12], quantiles=quantiles)
        ),
        "statistics, every store": lambda: len(fresh("every").statistics(["tp"], "1999/2023", quantiles=quantiles)),
        "diff": lambda: len(fresh("diff").diff("made805", "made845")),
    }


_STATISTICS = """
    with chosen as (select name, s.* from {statistics} s join {stores} using (registration)
        where role = 'target' and channel = 'tp' and valid_time >= '{start}' and valid_time < '{end}'{hours}),
    centred as (select *, sum(count * mean) over (partition by name) / sum(count) over (partition by name) centre
        from chosen)
    select name, sum(count), any_value(centre), sqrt(sum(m2 + count * (mean - centre) ** 2) / sum(count)),
        min(minimum), max(maximum)
    from centred group by name"""


def duckdb(folder: Path) -> Answers:
    """Ask in SQL over the catalog's files: shares of the period alone, no combination and no quantiles."""
    import duckdb as engine

    connection = engine.connect()
    connection.sql("set parquet_metadata_cache = true")
    tables = {name: f"'{folder}/catalog/{name}/*.parquet'" for name in ("stores", "coverage", "statistics", "shards")}
    start, end = _PERIOD
    ask = f"""select name, sum(epoch(least(c."end", '{end}') - greatest(c.start, '{start}'))) / 3600
        from {tables["coverage"]} c join (select registration, name from {tables["stores"]}
            where list_contains(target_channels, 't2m') and list_contains(input_channels, 'u_850')
            and start < '{end}' and "end" > '{start}' and target_grid.west <= 100 and target_grid.south <= 20
            and target_grid.east >= 120 and target_grid.north >= 40) using (registration)
        where status = 'valid' and c.start < '{end}' and c."end" > '{start}' group by name"""
    months = " and month(valid_time) in (6, 7, 8) and hour(valid_time) in (0, 12)"
    diff = f"""with one as (select role, valid_time, sha256 from {tables["shards"]} join {tables["stores"]}
            using (registration) where name = 'made805'), two as (select role, valid_time, sha256 from
            {tables["shards"]} join {tables["stores"]} using (registration) where name = 'made845')
        select * from one full join two using (role, valid_time) where one.sha256 is distinct from two.sha256"""

    def run(text: str) -> Callable[[], object]:
        return lambda: len(connection.sql(text).fetchall())

    every = 'registration, store, name, location, start, "end", samples, valid, bytes, target_grid'
    return {
        "list": run(f"select {every} from {tables['stores']}"),
        "query": run(ask),
        "statistics": run(_STATISTICS.format(**tables, start=start, end=end, hours="")),
        "statistics, JJA 00 12 UTC": run(_STATISTICS.format(**tables, start=start, end=end, hours=months)),
        "statistics, every store": run(_STATISTICS.format(**tables, start="1999-01-01", end="2024-01-01", hours="")),
        "diff": run(diff),
    }


def pandas(folder: Path) -> Answers:
    """Ask in pandas over one CSV a table, read once: shares alone, no combination and no histograms."""
    import pandas as pd

    kept: dict[str, pd.DataFrame] = {}
    start, end = (pd.Timestamp(time) for time in _PERIOD)

    def table(name: str, *times: str) -> pd.DataFrame:
        if name not in kept:
            kept[name] = pd.read_csv(folder / f"{name}.csv", parse_dates=list(times))
        return kept[name]

    def stores() -> pd.DataFrame:
        return table("stores", "start", "end")

    def query() -> int:
        rows = stores()
        rows = rows[rows.target_channels.str.contains("t2m") & rows.input_channels.str.contains("u_850")]
        rows = rows[(rows.start < end) & (rows.end > start) & (rows.west <= 100) & (rows.east >= 120)]
        found = table("coverage", "start", "end")
        found = found[(found.status == "valid") & (found.start < end) & (found.end > start)]
        found = found[found.registration.isin(rows.registration)]
        hours = found.end.clip(upper=end) - found.start.clip(lower=start)
        return len(hours.groupby(found.registration).sum())

    def merged(some: bool = False, years: bool = False) -> int:
        rows = table("statistics", "valid_time")
        rows = rows[(rows.role == "target") & (rows.channel == "tp")]
        if not years:
            rows = rows[(rows.valid_time >= start) & (rows.valid_time < end)]
        if some:
            rows = rows[rows.valid_time.dt.month.isin([6, 7, 8]) & rows.valid_time.dt.hour.isin([0, 12])]
        rows = rows[rows.registration.isin(stores().registration)]
        groups = rows.assign(total=rows["count"] * rows["mean"]).groupby("registration")
        centre = groups.total.sum() / groups["count"].sum()
        spread = rows.m2 + rows["count"] * (rows["mean"] - rows.registration.map(centre)) ** 2
        return len(spread.groupby(rows.registration).sum() / groups["count"].sum())

    def diff() -> int:
        rows = table("shards", "valid_time")
        names = stores().set_index("name").registration
        one, two = (rows[rows.registration == names[name]] for name in ("made805", "made845"))
        both = one.merge(two, on=["role", "valid_time"], how="outer", suffixes=("", "_two"))
        return int((both.sha256 != both.sha256_two).sum())

    return {
        "list": lambda: len(stores()),
        "query": query,
        "statistics": merged,
        "statistics, JJA 00 12 UTC": lambda: merged(some=True),
        "statistics, every store": lambda: merged(years=True),
        "diff": diff,
    }


def measure(contender: str, folder: Path) -> dict[str, tuple[float, float]]:
    """Return the seconds of each question, cold and warm, and the peak memory of this process."""
    answers = {"corrstore": corrstore, "duckdb": duckdb, "pandas": pandas}[contender](folder)
    times = {}
    for question, ask in answers.items():
        taken = []
        for _ in range(1 + _REPEATS):
            begin = time.perf_counter()
            ask()
            taken.append(time.perf_counter() - begin)
            if sum(taken) > 30 and len(taken) > 2:
                break
        times[question] = taken[0], statistics.median(taken[1:])
    peak = peak_bytes() / 1e6
    return {**times, "peak memory, MB": (peak, peak)}


def write_csv(folder: Path) -> None:
    """Write the catalog's tables as one CSV each, without histograms and edges."""
    import duckdb as engine

    columns = {
        "stores": 'registration, name, location, start, "end", samples, valid, bytes, target_grid.west as west,'
        " target_grid.east as east, array_to_string(target_channels, ' ') as target_channels,"
        " array_to_string(input_channels, ' ') as input_channels",
        "coverage": 'registration, start, "end", status',
        "statistics": "registration, role, channel, valid_time, count, missing, mean, m2, minimum, maximum",
        "shards": "registration, role, valid_time, key, bytes, sha256",
    }
    for table, names in columns.items():
        text = f"copy (select {names} from '{folder}/catalog/{table}/*.parquet') to '{folder}/{table}.csv' (header)"
        engine.execute(text)


def main(stores: int, folder: Path) -> None:
    """Make the catalog, ask all questions, and print the table."""
    begin = time.perf_counter()
    make_catalog(folder, stores)
    print(f"{stores} stores registered in {time.perf_counter() - begin:.0f} s")
    write_csv(folder)
    found = {}
    for contender in CONTENDERS:
        command = [sys.executable, "-m", "benchmarks.catalog", "--measure", contender, str(folder)]
        found[contender] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    begin = time.perf_counter()
    command = ["catalog", "query", "--catalog", f"{folder}/catalog", "--variable=t2m", "--period=2019-06/2019-09"]
    subprocess.run([sys.executable, "-m", "corrstore", *command], check=True, capture_output=True)
    whole = time.perf_counter() - begin
    print_table(found)
    print(f"`corrstore catalog query`, the whole command with its imports: {whole:.2f} s")


def print_table(found: dict[str, dict[str, tuple[float, float]]]) -> None:
    """Print a line for each question: milliseconds cold and warm, and the ratios to corrstore's warm time."""
    print(
        f"{'milliseconds':<28}"
        + "".join(f"{f'{name}: cold':>18}{'warm':>9}" for name in CONTENDERS)
        + "   ratios of warm"
    )
    for question in QUESTIONS:
        line, ratios = f"{question:<28}", ""
        for contender in CONTENDERS:
            cold, warm = found[contender].get(question, (None, None))
            line += f"{'-':>18}{'-':>9}" if cold is None else f"{1000 * cold:>18.0f}{1000 * warm:>9.1f}"
            ratios += "" if warm is None else f"{warm / found[CONTENDERS[0]][question][1]:>7.1f}"
        print(line + "  " + ratios)
    print(
        f"{'peak memory, MB':<28}"
        + "".join(f"{found[name]['peak memory, MB'][0]:>18.0f}{'':>9}" for name in CONTENDERS)
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(sys.argv[2], Path(sys.argv[3]))))
    else:
        stores = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
        if stores < _FEWEST:
            sys.exit(f"{stores} stores: at least {_FEWEST}, among which are those that are asked for")
        with tempfile.TemporaryDirectory(
            prefix="corrstore-catalog-", dir=sys.argv[2] if len(sys.argv) > 2 else None
        ) as place:
            main(stores, Path(place))
