#!/usr/bin/env python3
"""Reads what two runs left behind with DuckDB, Polars, NumPy, TensorBoard and Pillow, and checks that it holds together.

    python3 run_folder.py SALIENCE_RUN RANDOM_RUN --shards SHARDS
"""
import argparse
import glob
import importlib.util
import json
import pathlib
import sys

import duckdb
import numpy as np
import polars as pl
import pyarrow.parquet as pq
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

ROOT = pathlib.Path(__file__).resolve().parents[2]


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def metrics(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def check_queries(run):
    """The README's query and script give the same figures, by two libraries."""
    pattern = str(run / "masks/**/*.parquet")
    sql = (ROOT / "examples/analysis/ratio_percentiles.sql").read_text().replace("runs/*/masks/**/*.parquet", pattern)
    theirs = duckdb.sql(sql).pl()
    ours = load(ROOT / "examples/analysis/ratio_percentiles.py").ratio_percentiles(pattern)
    assert len(theirs) == len(ours) > 0, (len(theirs), len(ours))
    for name in ("ratio_p05", "ratio_p50", "ratio_p95", "masked_share"):
        difference = (theirs[name] - ours[name]).abs().max()
        assert difference < 1.1e-3, (name, difference)
    print(ours.head(4))


def check_rows(run, with_salience):
    table = pq.read_table(sorted(map(str, run.glob("masks/**/*.parquet"))), partitioning=None).to_pydict()
    lines = metrics(run)
    steps = np.array(table["step"])
    assert sorted(set(steps)) == [line["step"] for line in lines], "every step, once"
    loss = np.array(table["loss"])
    n_tokens, n_keep = np.array(table["n_tokens"]), np.array(table["n_keep"])
    for line in lines:
        rows = steps == line["step"]
        masked = (n_tokens - n_keep)[rows]
        mean = (loss[rows] * masked).sum() / masked.sum()
        assert abs(mean - line["loss"]) < 1e-4 * line["loss"], (line["step"], mean, line["loss"])
        assert abs(np.array(table["mask_ratio"])[rows].mean() - line["mask_ratio_mean"]) < 1e-6
    masks = np.unpackbits(np.array([list(mask) for mask in table["mask"]], np.uint8), axis=1)[:, :n_tokens[0]]
    assert (masks.sum(1) == n_tokens - n_keep).all()
    ratio = np.array(table["mask_ratio"], np.float32)
    keep = np.trunc(n_tokens.astype(np.float32) * (np.float32(1) - ratio)).astype(int)
    if not with_salience:
        assert set(n_keep) == {int(n_tokens[0] * 0.25)} and table["salient_fraction"][0] is None
        return
    assert (keep == n_keep).all(), "n_keep = trunc(L (1 - r)) in f32"
    fraction = np.array(table["salient_fraction"], np.float32)
    assert (ratio == np.float32(0.75 - 0.1) + np.float32(2 * 0.1) * fraction).all(), "r = base - var + 2 var y in f32"
    assert len(set(ratio)) > 10, "the ratio adapts to the sample"
    levels = np.array(table["salience"], float) / 255
    for name, q in (("salience_q10", 0.1), ("salience_q50", 0.5), ("salience_q90", 0.9)):
        assert np.abs(np.quantile(levels, q, axis=1) - np.array(table[name])).max() < 0.006, name
    assert np.abs(np.array(table["salience_mean"]) - 1).max() < 1e-3, "rows of the attention sum to one"
    # s = min + (max - min) times normalised salience: the statistics follow from the stored levels, to their
    # rounding. Where one token has nearly everything, 256 levels are too coarse for the others.
    column = {name: np.array(table[name]) for name in table if name.startswith(("salience_", "masked_")) and name != "salience"}
    low, high = column["salience_min"], column["salience_max"]
    fine = high - low < 6
    assert fine.sum() > 100, fine.sum()
    salience = (low[:, None] + (high - low)[:, None] * levels)[fine]
    share = salience / salience.sum(1, keepdims=True)
    ordered, ranks = np.sort(salience, 1), np.arange(1, salience.shape[1] + 1)
    recomputed = {
        "salience_mean": salience.mean(1),
        "salience_std": salience.std(1),
        "salience_entropy": -(share * np.log(np.maximum(share, 1e-12))).sum(1) / np.log(share.shape[1]),
        "salience_gini": 2 * (ordered * ranks).sum(1) / (ranks.size * ordered.sum(1)) - (ranks.size + 1) / ranks.size,
        "masked_salience_share": (salience * masks[fine]).sum(1) / salience.sum(1),
    }
    for name, values in recomputed.items():
        assert np.abs(values - column[name][fine]).max() < 0.01, (name, np.abs(values - column[name][fine]).max())


def check_schema(run):
    """No unsigned or dictionary columns, which surprise readers; the grid in the metadata; readable by globs."""
    part = sorted(run.glob("masks/**/*.parquet"))[0]
    schema = pq.read_schema(part)
    for field in schema:
        if field.name != "salience":
            assert "uint" not in str(field.type) and "dictionary" not in str(field.type), field
    metadata = pq.ParquetFile(part).metadata.metadata
    assert metadata[b"sbam.grid_height"] == b"12" and metadata[b"sbam.schema_version"] == b"1"
    assert len(metadata[b"sbam.config_hash"]) == 64
    rows = pl.scan_parquet(str(run / "masks/**/*.parquet"), hive_partitioning=False).select(pl.len()).collect().item()
    assert rows == duckdb.sql(f"SELECT count(*) FROM '{run}/masks/**/*.parquet'").fetchall()[0][0]


def check_events(run):
    events = EventAccumulator(str(run))
    events.Reload()
    points = events.Scalars("train/loss")
    lines = metrics(run)
    assert [point.step for point in points] == [line["step"] for line in lines]
    assert all(abs(point.value - line["loss"]) < 1e-5 for point, line in zip(points, lines))


def check_manifest(shards):
    manifest = f"{shards}/manifest.parquet"
    (rows,) = duckdb.sql(f"SELECT count(*), count(DISTINCT key) FROM '{manifest}'").fetchall()
    assert rows[0] == rows[1] > 1000, rows
    frame = pl.read_parquet(manifest)
    row = frame.row(17, named=True)
    with open(shards / row["shard"], "rb") as shard:
        shard.seek(row["offset"])
        jpeg = shard.read(row["length"])
    import io
    assert Image.open(io.BytesIO(jpeg)).size == (row["width"], row["height"])


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("salience", type=pathlib.Path)
    options.add_argument("random", type=pathlib.Path)
    options.add_argument("--shards", type=pathlib.Path, required=True)
    args = options.parse_args()
    check_schema(args.salience)
    check_rows(args.salience, True)
    check_rows(args.random, False)
    check_queries(args.salience)
    check_events(args.salience)
    check_manifest(args.shards)
    lines = metrics(args.salience)
    first, last = np.mean([line["loss"] for line in lines[:5]]), np.mean([line["loss"] for line in lines[-5:]])
    assert last < first, f"the loss does not fall: {first} to {last}"
    for picture in glob.glob(str(args.salience / "pictures/*.png")):
        assert Image.open(picture).size == (4 * 100 + 4, 8 * 100 + 4)
    tokens = load(ROOT / "examples/analysis/object_tokens.py")
    boxes = tokens.boxes_of(args.shards)
    for run in (args.salience, args.random):
        on_object, on_background = tokens.rates(str(run), boxes)
        print(f"{run.name}: object tokens masked {on_object:.3f}, background {on_background:.3f}")
    assert abs(on_object - 0.75) < 0.03 and abs(on_background - 0.75) < 0.03, "random masks do not see the object"
    print(f"loss {first:.4f} to {last:.4f}: run folders hold together")


if __name__ == "__main__":
    sys.exit(main())
