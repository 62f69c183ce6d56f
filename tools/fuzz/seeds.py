#!/usr/bin/env python3
"""Writes small JPEGs of all kinds into a folder, for the fuzzer to start from. Needs Pillow.

    python3 seeds.py corpus/rewrite
"""
import itertools
import pathlib
import random
import sys

from PIL import Image


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    noise = random.Random(1).randbytes(5 * 4 * 3)
    picture = Image.frombytes("RGB", (5, 4), noise).resize((37, 21), Image.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    for mode, sampling, progressive, restart in itertools.product(
        ("L", "RGB", "CMYK"), ("4:4:4", "4:2:2", "4:2:0", "4:1:1"), (False, True), (0, 2)
    ):
        name = f"{mode}-{sampling.replace(':', '')}-{progressive:d}-{restart}.jpg"
        extra = {"exif": exif, "comment": "a", "icc_profile": b"b" * 200} if restart and progressive else {}
        picture.convert(mode).save(folder / name, quality=60, subsampling=sampling, progressive=progressive,
                                   restart_marker_blocks=restart, **extra)


if __name__ == "__main__":
    main()
