#!/usr/bin/env python3
"""Compares the loader's views with Pillow (pixels) and torchvision (distribution of crop boxes).

Half of the pictures are of grey blocks that every decoder reads alike, so what differs there is the resize. Their edges
are hard: an axis resized out of Pillow's order shows. augment/tests/golden.rs does the same for noise, without JPEG.

    python3 crops.py --bin TARGET/release --work FOLDER
"""
import argparse
import io
import pathlib
import random
import subprocess

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image
from safetensors.numpy import load_file
from torchvision.transforms import RandomResizedCrop


def make_folder(root, count):
    """Even numbers: smooth colours without chroma subsampling, where decoders differ by rounding alone.

    Odd numbers: grey blocks of JPEG's own size at full quality, of which a decoder has nothing to round.
    """
    draw = random.Random(9)
    for number in range(count):
        size = draw.randint(60, 240), draw.randint(60, 240)
        path = root / f"picture_{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % 2:
            levels = np.frombuffer(draw.randbytes(30 * 30), np.uint8).reshape(30, 30)
            levels = np.where(levels % 2, levels, 255 * (levels // 128)).astype(np.uint8)  # half of them black or white
            blocks = levels.repeat(8, axis=0).repeat(8, axis=1)[: size[1] // 8 * 8, : size[0] // 8 * 8]
            Image.fromarray(blocks).save(path, "JPEG", quality=100)
        else:
            small = np.frombuffer(draw.randbytes(9 * 12 * 3), np.uint8).reshape(9, 12, 3)
            Image.fromarray(small).resize(size, Image.BICUBIC).save(path, "JPEG", quality=95, subsampling=0)


def image_is_grey(image):
    red, green, blue = image.split()
    return red == green == blue


def largest_gap(a, b):
    """Kolmogorov and Smirnov's distance between two samples."""
    grid = np.sort(np.concatenate([a, b]))
    share = [np.searchsorted(np.sort(values), grid, side="right") / len(values) for values in (a, b)]
    return np.abs(share[0] - share[1]).max()


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bin", type=pathlib.Path, required=True)
    options.add_argument("--work", type=pathlib.Path, required=True)
    args = options.parse_args()
    make_folder(args.work / "pictures", 96)
    shards, dump = args.work / "shards", args.work / "views.safetensors"
    subprocess.run([args.bin / "shard_imagenet", args.work / "pictures", shards], check=True)
    subprocess.run([args.bin / "examples/dump_views", shards, dump], check=True)
    ours, rows = load_file(dump), pq.read_table(shards / "manifest.parquet").to_pylist()

    differences = {"colours": [], "blocks": []}
    for pixels, (index, x, y, width, height, flip) in zip(ours["pixels"], ours["views"].tolist()):
        row = rows[index]
        with open(shards / row["shard"], "rb") as shard:
            shard.seek(row["offset"])
            image = Image.open(io.BytesIO(shard.read(row["length"]))).convert("RGB")
        view = image.crop((x, y, x + width, y + height)).resize((96, 64), Image.BICUBIC)
        theirs = np.asarray(view)[:, ::-1] if flip else np.asarray(view)
        kind = "blocks" if image_is_grey(image) else "colours"
        differences[kind].append(np.abs(pixels.astype(int) - theirs.astype(int)).ravel())
    for kind, found in differences.items():
        views, found = len(found), np.concatenate(found)
        within = [(found <= levels).mean() for levels in (1, 2)]
        print(f"{views} views of {kind} against Pillow: mean difference {found.mean():.3f} levels, "
              f"{100 * within[0]:.3f} % within 1, {100 * within[1]:.3f} % within 2, largest {found.max()}")
        if kind == "blocks":
            good = within[0] >= 0.999 and found.max() <= 2
        else:
            good = found.mean() < 0.5 and within[1] > 0.999
        assert good, f"crop, resize or flip of {kind} differ from Pillow's"

    torch.manual_seed(1)
    boxes = ours["boxes"].astype(float)
    sizes = np.array([(rows[int(index)]["width"], rows[int(index)]["height"]) for index in boxes[:, 0]], float)
    theirs = []
    for width, height in sizes.astype(int):
        top, left, h, w = RandomResizedCrop.get_params(torch.empty(3, height, width), [0.2, 1.0], [0.75, 4 / 3])
        theirs.append((left, top, w, h))
    theirs = np.array(theirs, float)

    def figures(found):
        x, y, w, h = found.T
        free_x, free_y = sizes[:, 0] - w, sizes[:, 1] - h
        return {"area": w * h / sizes.prod(1), "ratio": np.log(w / h), "x": x[free_x > 9] / free_x[free_x > 9],
                "y": y[free_y > 9] / free_y[free_y > 9]}

    a, b = figures(boxes[:, 1:]), figures(theirs)
    for name in a:
        gap = largest_gap(a[name], b[name])
        bound = 1.95 * (1 / len(a[name]) + 1 / len(b[name])) ** 0.5  # exceeded by chance once in a thousand
        print(f"{name}: {len(a[name])} crops against torchvision's, largest gap {gap:.4f}, bound {bound:.4f}")
        assert gap < bound, f"the distribution of {name} differs from torchvision's"


if __name__ == "__main__":
    main()
