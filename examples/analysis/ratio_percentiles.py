#!/usr/bin/env python3
"""Percentiles of the mask ratio per epoch and class with Polars, as ratio_percentiles.sql has them.

    python3 examples/analysis/ratio_percentiles.py 'runs/*/masks/**/*.parquet'
"""
import sys

import polars as pl


def ratio_percentiles(pattern):
    ratio = pl.col("mask_ratio")
    return (
        pl.scan_parquet(pattern, hive_partitioning=False, extra_columns="ignore", missing_columns="insert")
        .filter(pl.col("loss_weight") > 0)
        .group_by("epoch", "label")
        .agg(
            samples=pl.len(),
            ratio_p05=ratio.quantile(0.05, "linear"),
            ratio_p50=ratio.quantile(0.50, "linear"),
            ratio_p95=ratio.quantile(0.95, "linear"),
            masked_share=((pl.col("n_tokens") - pl.col("n_keep")) / pl.col("n_tokens")).mean(),
            loss=pl.col("loss").mean(),
        )
        .sort("epoch", "label")
        .collect()
    )


if __name__ == "__main__":
    with pl.Config(tbl_rows=40, float_precision=3):
        print(ratio_percentiles(sys.argv[1] if len(sys.argv) > 1 else "runs/*/masks/**/*.parquet"))
