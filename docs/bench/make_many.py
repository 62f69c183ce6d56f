#!/usr/bin/env python3
"""Writes shards of as many samples as ImageNet has, all of one small JPEG: what a large manifest costs.

    python3 make_many.py --out many
Takes 4.3 GB and half a minute; needs Pillow.
"""
import argparse
import io
import pathlib
import tarfile

from PIL import Image

SHARDS, PER_SHARD = 128, 10_000
BLOCK = 512
CHECKSUM = slice(148, 156)


def member(name, data):
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % BLOCK)


def renamed(block, name):
    """The same member under another name of the same length."""
    block = bytearray(block)
    block[:len(name)] = name
    block[CHECKSUM] = b" " * 8
    block[CHECKSUM] = b"%06o\0 " % sum(block[:BLOCK])
    return bytes(block)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=pathlib.Path, required=True)
    out = options.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    jpeg = io.BytesIO()
    Image.effect_noise((64, 48), 40).convert("RGB").save(jpeg, "JPEG", quality=60)
    image, label = member("k00000000.jpg", jpeg.getvalue()), member("k00000000.cls", b"0")
    for shard in range(SHARDS):
        with open(out / f"many-{shard:06d}.tar", "wb") as file:
            for number in range(shard * PER_SHARD, (shard + 1) * PER_SHARD):
                file.write(renamed(image, b"k%08d.jpg" % number))
                file.write(renamed(label, b"k%08d.cls" % number))
            file.write(bytes(2 * BLOCK))


if __name__ == "__main__":
    main()
