#!/usr/bin/env python3
"""Real photographs of every chroma subsampling: boxes equal whole decodes, which are near libjpeg's; views are Pillow's
of the same pixels.

    python3 photographs.py --bin TARGET/release --work FOLDER --photographs FOLDER
The photographs are docs/bench/make_corpus.py's.
"""
import argparse
import io
import pathlib
import random
import subprocess

import numpy as np
import pyarrow.parquet as pq
from PIL import Image
from safetensors.numpy import load_file

# Pillow's, and greyscale.
SUBSAMPLINGS = {"444": 0, "422": 1, "420": 2, "grey": None, "progressive": 2}


def encode(photographs, out, draw):
    """Each photograph in its own subsampling and cut to a size that is no multiple of a block."""
    for number, path in enumerate(photographs):
        picture = Image.open(path).convert("RGB")
        width, height = picture.size
        picture = picture.crop((0, 0, width - draw.randrange(16), height - draw.randrange(16)))
        name = sorted(SUBSAMPLINGS)[number % len(SUBSAMPLINGS)]
        target = out / f"{name}_{number:04d}.jpg"
        if name == "grey":
            picture.convert("L").save(target, "JPEG", quality=92)
        else:
            picture.save(target, "JPEG", quality=draw.choice([75, 90, 95]), subsampling=SUBSAMPLINGS[name],
                         progressive=name == "progressive")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bin", type=pathlib.Path, required=True)
    options.add_argument("--work", type=pathlib.Path, required=True)
    options.add_argument("--photographs", type=pathlib.Path, required=True)
    args = options.parse_args()
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    found = sorted(args.photographs.rglob("*.JPEG"))
    assert found, f"no photographs in {args.photographs}"
    folder = args.work / "encoded"
    folder.mkdir(parents=True)
    encode(found, folder, random.Random(seed))
    for kind in ("--keep-bytes", "--crop-ready"):
        shards, out = args.work / kind[2:], args.work / f"{kind[2:]}.safetensors"
        subprocess.run([args.bin / "shard_imagenet", folder, shards, kind], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([args.bin / "examples/photograph_boxes", shards, out, str(seed)], check=True)
        tensors, rows = load_file(out), pq.read_table(shards / "manifest.parquet").to_pylist()
        differences, decoders = [], []
        for name, view in tensors.items():
            if not name.startswith("view."):
                continue
            x, y, width, height, flip = tensors[name.replace("view", "box")].tolist()
            whole, row = tensors[name.replace("view", "photograph")], rows[int(name.split(".")[1])]
            with open(shards / row["shard"], "rb") as shard:
                shard.seek(row["offset"])
                theirs = Image.open(io.BytesIO(shard.read(row["length"]))).convert("RGB")
            decoders.append(np.abs(whole.astype(int) - np.asarray(theirs).astype(int)).mean())
            photograph = Image.fromarray(whole)
            theirs = photograph.crop((x, y, x + width, y + height)).resize((224, 224), Image.BICUBIC)
            theirs = np.asarray(theirs)[:, ::-1] if flip else np.asarray(theirs)
            differences.append(np.abs(view.astype(int) - theirs.astype(int)).ravel())
        print(f"{len(decoders)} whole photographs against libjpeg's decode: mean differences {np.mean(decoders):.3f} levels, "
              f"{max(decoders):.3f} at most")
        # Decoders round differently; a wrong colour or a row too many is far more.
        assert max(decoders) < 1, "photographs are decoded differently from libjpeg"
        gaps = np.concatenate(differences)
        print(f"{len(differences)} views against Pillow's crop().resize(BICUBIC) of the same pixels: "
              f"{100 * (gaps <= 1).mean():.4f} % of values within 1 level, largest difference {gaps.max()}")
        assert (gaps <= 1).mean() >= 0.999 and gaps.max() <= 2, "views differ from Pillow's"


if __name__ == "__main__":
    main()
