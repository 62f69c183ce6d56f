#!/usr/bin/env python3
"""How much more often tokens on the object were masked than tokens on the background.

The built-in data set says in every sample's .json where its object is; the mask log says which crop
was seen and which tokens were masked. A token counts as object where at least half of it lies in
the object's box, as background where none of it does. Objects lie more often in the middle of a view, so a
mask that merely prefers the middle would count too: `control` is the same figure with every sample's box
replaced by another sample's, and what is above it is about content.

    python3 examples/analysis/object_tokens.py --shards SHARDS RUN [RUN …]
"""
import argparse
import glob
import json
import os
import tarfile

import numpy as np
import pyarrow.parquet as pq


def boxes_of(shards):
    """Key → [x, y, width, height] of the object, in pixels of the whole image."""
    boxes = {}
    for shard in sorted(glob.glob(os.path.join(shards, "*.tar"))):
        with tarfile.open(shard) as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    boxes[member.name[:-len(".json")]] = json.load(tar.extractfile(member))["box"]
    return boxes


def overlap(edges, start, stop):
    """Share of each interval between neighbouring edges that lies between start and stop."""
    low, high = np.maximum(edges[:-1], start), np.minimum(edges[1:], stop)
    return np.maximum(high - low, 0) / (edges[1:] - edges[:-1])


def object_share(box, row, grid):
    """The share of every token that lies in the object's box, as a grid of the crop."""
    (x, y, width, height), (rows, columns) = box, grid
    across = overlap(np.linspace(row["crop_x"], row["crop_x"] + row["crop_width"], columns + 1), x, x + width)
    down = overlap(np.linspace(row["crop_y"], row["crop_y"] + row["crop_height"], rows + 1), y, y + height)
    return np.outer(down, across[::-1] if row["flip"] else across)


def rates(run, boxes):
    """Masked share of object tokens and of background tokens, over samples that show both."""
    masked, count = np.zeros(2), np.zeros(2)
    for path in sorted(glob.glob(os.path.join(run, "masks", "**", "*.parquet"), recursive=True)):
        file = pq.ParquetFile(path)
        metadata = file.metadata.metadata
        grid = int(metadata[b"sbam.grid_height"]), int(metadata[b"sbam.grid_width"])
        columns = ["key", "crop_x", "crop_y", "crop_width", "crop_height", "flip", "mask", "loss_weight"]
        for row in file.read(columns=columns).to_pylist():
            if row["loss_weight"] <= 0:
                continue
            bits = np.unpackbits(np.frombuffer(row["mask"], np.uint8))[:grid[0] * grid[1]].reshape(grid)
            share = object_share(boxes[row["key"]], row, grid)
            on_object, on_background = share >= 0.5, share == 0
            if on_object.any() and on_background.any():
                masked += bits[on_object].sum(), bits[on_background].sum()
                count += on_object.sum(), on_background.sum()
    return masked / count


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--shards", required=True, help="the folder of the built-in data set's shards")
    options.add_argument("runs", nargs="+")
    args = options.parse_args()
    boxes = boxes_of(args.shards)
    for run in args.runs:
        on_object, on_background = rates(run, boxes)
        keys = sorted(boxes)
        others = {key: boxes[other] for key, other in zip(keys, keys[len(keys) // 2:] + keys[:len(keys) // 2])}
        control_object, control_background = rates(run, others)
        print(json.dumps({"run": run, "object_masked": round(on_object, 4), "background_masked": round(on_background, 4),
                          "object_over_background": round(on_object / on_background, 3),
                          "control": round(control_object / control_background, 3)}))


if __name__ == "__main__":
    main()
