#!/usr/bin/env python3
"""Runs the README's SQL query and Polars script, as they stand there, over runs of different settings.

    python3 readme.py RUN [RUN …]
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import duckdb

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main():
    readme = (ROOT / "README.md").read_text()
    (query,), (script,) = (re.findall(f"```{kind}\n(.*?)```", readme, re.S) for kind in ("sql", "python"))
    with tempfile.TemporaryDirectory() as folder:
        runs = pathlib.Path(folder, "runs")
        runs.mkdir()
        for run in sys.argv[1:]:
            (runs / pathlib.Path(run).name).symlink_to(os.path.abspath(run))
        os.chdir(folder)
        rows = duckdb.sql(query).fetchall()
        # Whichever run's files come first must not matter.
        printed = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert len(rows) >= 10 and f"shape: ({len(rows)}, 6)" in printed, (len(rows), printed)
    print(f"both give {len(rows)} rows of epoch and class")


if __name__ == "__main__":
    main()
