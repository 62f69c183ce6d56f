#!/usr/bin/env python3
"""Packs a folder of pictures with shard_imagenet and reads the shards back with Python's webdataset and tarfile.

    python3 shards.py --bin TARGET/release --work FOLDER
"""
import argparse
import glob
import io
import pathlib
import random
import subprocess
import tarfile

import numpy as np
import pyarrow.parquet as pq
import webdataset
from PIL import Image


def make_folder(root, count):
    """Smooth random pictures, four classes, one long name, names with dots, the same name in two classes."""
    draw = random.Random(5)
    files = {}
    for number in range(count):
        class_name = f"n{number % 4:08d}"
        name = f"{class_name}_{number}"
        if number == 7:
            name = "x" * 140 + "_long"
        if number in (8, 9):
            name = "photo.of.something"
        small = np.frombuffer(draw.randbytes(6 * 8 * 3), np.uint8).reshape(6, 8, 3)
        size = draw.randint(40, 90), draw.randint(40, 90)
        encoded = io.BytesIO()
        Image.fromarray(small).resize(size, Image.BICUBIC).save(encoded, "JPEG", quality=90)
        path = root / "train" / class_name / f"{name}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded.getvalue())
        files[path] = (encoded.getvalue(), number % 4)
    return files


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bin", type=pathlib.Path, required=True)
    options.add_argument("--work", type=pathlib.Path, required=True)
    args = options.parse_args()
    files = make_folder(args.work / "photographs", 120)
    outputs = [args.work / "one", args.work / "two"]
    for out, threads in zip(outputs, ("1", "2")):
        subprocess.run([args.bin / "shard_imagenet", "--shard-count", "3", "--seed", "3", "--threads", threads,
                        args.work / "photographs", out], check=True)
    names = sorted(path.name for path in outputs[0].iterdir())
    assert names == sorted(path.name for path in outputs[1].iterdir()) and len(names) == 4, names
    for name in names:
        assert (outputs[0] / name).read_bytes() == (outputs[1] / name).read_bytes(), f"{name} depends on threads"

    shards = sorted(glob.glob(str(outputs[0] / "*.tar")))
    expected = sorted(files.values())
    dataset = webdataset.WebDataset(shards, shardshuffle=False)
    samples = list(dataset)
    assert len({sample["__key__"] for sample in samples}) == len(samples) == len(files)
    assert sorted((sample["jpg"], int(sample["cls"])) for sample in samples) == expected, "webdataset: bytes and labels"
    members = [member for shard in shards for member in tarfile.open(shard)]
    assert len(members) == 2 * len(files) and {member.mtime for member in members} == {0}
    assert [sample["jpg"] for sample in samples] != [data for data, _ in files.values()], "samples are shuffled"

    rows = pq.read_table(outputs[0] / "manifest.parquet").to_pylist()
    assert [row["key"] for row in rows] == [sample["__key__"] for sample in samples], "the manifest is in shard order"
    for row, sample in zip(rows, samples):
        with open(outputs[0] / row["shard"], "rb") as shard:
            shard.seek(row["offset"])
            assert shard.read(row["length"]) == sample["jpg"]
        assert (row["width"], row["height"]) == Image.open(io.BytesIO(sample["jpg"])).size
        assert row["label"] == int(sample["cls"])
    print(f"{len(samples)} samples in {len(shards)} shards: the same bytes and labels by webdataset, tarfile and the manifest")


if __name__ == "__main__":
    main()
