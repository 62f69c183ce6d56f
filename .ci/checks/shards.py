#!/usr/bin/env python3
"""Packs a folder of pictures with shard_imagenet and reads the shards back with Python's webdataset and tarfile.

With --keep-bytes every image has its file's bytes; by default Pillow decodes the same pixels, and finds the same
metadata, and restart markers are as far apart as the manifest says.

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
from PIL import Image, ImageCms


def save_options(number):
    """Progressive, subsampled and annotated files among plain ones."""
    exif = Image.Exif()
    exif[0x0112] = 6
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return [
        {}, {"progressive": True}, {"subsampling": "4:4:4"}, {"subsampling": "4:2:2", "progressive": True},
        {"exif": exif}, {"icc_profile": srgb}, {"icc_profile": lab}, {"comment": "a comment"}, {"optimize": True},
    ][number % 9]


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
        size = draw.randint(40, 300), draw.randint(40, 90)
        encoded = io.BytesIO()
        picture = Image.fromarray(small).resize(size, Image.BICUBIC)
        if number % 10 == 3:
            picture = picture.convert(("L", "CMYK")[number // 10 % 2])
        picture.save(encoded, "JPEG", quality=90, **save_options(number))
        path = root / "train" / class_name / f"{name}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded.getvalue())
        files[path] = (encoded.getvalue(), number % 4)
    return files


def seen(data):
    """What Pillow sees in a JPEG: pixels, mode, size, EXIF, comment, and the profile unless it is sRGB."""
    image = Image.open(io.BytesIO(data))
    profile = image.info.get("icc_profile")
    if profile is not None:
        named = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
        profile = None if "sRGB" in named else profile
    meta = image.mode, image.size, dict(image.getexif()), image.info.get("comment"), profile
    return np.asarray(image).tobytes(), meta


def restart_interval(data):
    """The restart interval, from the segment that defines it; 0 without one."""
    at = 2
    while data[at + 1] != 0xDA:
        length = int.from_bytes(data[at + 2:at + 4], "big")
        if data[at + 1] == 0xDD:
            return int.from_bytes(data[at + 4:at + 6], "big")
        at += 2 + length
    return 0


def pack(args, out, *flags):
    subprocess.run([args.bin / "shard_imagenet", "--shard-count", "3", "--seed", "3", *flags,
                    args.work / "photographs", out], check=True)
    return out


def read(out):
    """The samples by webdataset, checked against tarfile and the manifest."""
    shards = sorted(glob.glob(str(out / "*.tar")))
    samples = list(webdataset.WebDataset(shards, shardshuffle=False))
    members = [member for shard in shards for member in tarfile.open(shard)]
    assert len(members) == 2 * len(samples) and {member.mtime for member in members} == {0}
    rows = pq.read_table(out / "manifest.parquet").to_pylist()
    assert [row["key"] for row in rows] == [sample["__key__"] for sample in samples], "the manifest is in shard order"
    for row, sample in zip(rows, samples):
        with open(out / row["shard"], "rb") as shard:
            shard.seek(row["offset"])
            assert shard.read(row["length"]) == sample["jpg"]
        assert (row["width"], row["height"]) == Image.open(io.BytesIO(sample["jpg"])).size
        assert row["label"] == int(sample["cls"])
        sample["restart_mcus"] = row["restart_mcus"]
    return samples


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bin", type=pathlib.Path, required=True)
    options.add_argument("--work", type=pathlib.Path, required=True)
    args = options.parse_args()
    files = make_folder(args.work / "photographs", 120)
    for flags in (), ("--keep-bytes",):
        one = pack(args, args.work / f"one{len(flags)}", "--threads", "1", *flags)
        two = pack(args, args.work / f"two{len(flags)}", "--threads", "2", *flags)
        names = sorted(path.name for path in one.iterdir())
        assert names == sorted(path.name for path in two.iterdir()) and len(names) == 4, names
        for name in names:
            assert (one / name).read_bytes() == (two / name).read_bytes(), f"{name} depends on threads"
    cut, kept = read(args.work / "one0"), read(args.work / "one1")

    assert len({sample["__key__"] for sample in kept}) == len(kept) == len(files)
    expected = sorted(files.values())
    assert sorted((sample["jpg"], int(sample["cls"])) for sample in kept) == expected, "bytes and labels"
    assert [sample["jpg"] for sample in kept] != [data for data, _ in files.values()], "samples are shuffled"
    assert {sample["restart_mcus"] for sample in kept} == {0}

    assert [(s["__key__"], s["cls"]) for s in cut] == [(s["__key__"], s["cls"]) for s in kept], "the same order"
    for sample, original in zip(cut, kept):
        before, after = seen(original["jpg"]), seen(sample["jpg"])
        assert before == after, f"{sample['__key__']} looks different: {before[1]}, {after[1]}"
        assert sample["restart_mcus"] == restart_interval(sample["jpg"]) > 0, sample["__key__"]
    print(f"{len(kept)} samples in 3 shards: the same bytes (--keep-bytes), or pixels and metadata, and labels by "
          f"webdataset, tarfile, Pillow and the manifest")


if __name__ == "__main__":
    main()
