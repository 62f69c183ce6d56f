#!/usr/bin/env python3
"""Repeats training steps with PyTorch: the gradient from the same weights, images and masks, and AdamW's update.

A small run with different lengths in a batch saves a checkpoint after every step. The gradient that it used is
(m_t - beta_1 m_{t-1}) / (1 - beta_1) of the saved moments.

    python3 training.py --bin TARGET/release --work FOLDER
"""
import argparse
import json
import pathlib
import subprocess

import numpy as np
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file

from crops import make_folder
from model import Mae

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
STEPS, BATCH, TOKENS, SEED = 6, 16, 24, 11
BETAS, WEIGHT_DECAY = (0.9, 0.95), 0.05


def run(args):
    """Trains on the batches that `dump_views` writes out: same seed, data, size and order."""
    make_folder(args.work / "pictures", 96)
    shards, dump, out = (args.work / name for name in ("shards", "views.safetensors", "run"))
    subprocess.run([args.bin / "shard_imagenet", args.work / "pictures", shards], check=True)
    subprocess.run([args.bin / "examples/dump_views", shards, dump], check=True)
    settings = {"seed": SEED, "model.image_size": "[64, 96]", "model.patch_size": 16, "model.dim": 64, "model.depth": 2,
                "model.heads": 4, "model.decoder_dim": 32, "model.decoder_depth": 1, "model.decoder_heads": 2,
                "data.batch_size": BATCH // 2, "optim.accumulate": 2, "data.streams": 4, "data.window_shards": 2,
                "mask.ratio": 0.5, "mask.ratio_var": 0.3, "optim.lr": 1e-3, "optim.warmup_epochs": 0, "train.steps": STEPS,
                "checkpoint.every_steps": 1, "checkpoint.keep_last": STEPS, "log.pictures": 0}
    sets = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    subprocess.run([args.bin / "trainer", "run", "--data", shards, "--out", out, *sets], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return out, load_file(dump)


def to_ours(name, array):
    """From MAE's layout to the flat one in which moments are saved."""
    if name == "patch_embed.proj.weight":
        return array.permute(2, 3, 1, 0).reshape(-1)
    return (array.T if array.dim() == 2 else array).reshape(-1)


def gradients(weights, images, rows):
    net = Mae((64, 96), 16, 64, 2, 4, 32, 1, 2)
    net.load_state_dict(weights)
    total, count = 0, 0
    for image, row in zip(images, rows):
        masked = np.unpackbits(np.frombuffer(row["mask"], np.uint8))[:TOKENS].astype(bool)
        order = np.concatenate([np.where(~masked)[0], np.where(masked)[0]])
        _, patch_loss = net.one(image[None], torch.from_numpy(np.argsort(order)), int((~masked).sum()), True)
        total, count = total + patch_loss[torch.from_numpy(masked)].sum(), count + int(masked.sum())
    (total / count).backward()
    return (total / count).item(), {name: value.grad for name, value in net.named_parameters() if "pos_embed" not in name}


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bin", type=pathlib.Path, required=True)
    options.add_argument("--work", type=pathlib.Path, required=True)
    args = options.parse_args()
    out, dump = run(args)
    table = pq.read_table(sorted(map(str, out.glob("masks/**/*.parquet"))), partitioning=None).to_pylist()
    metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    images = ((dump["pixels"].float() / 255 - MEAN) / STD).permute(0, 3, 1, 2)
    load = lambda step, name: load_file(out / f"checkpoints/step-{step:08d}/{name}.safetensors")

    worst_gradient, worst_update, lengths = 0.0, 0.0, set()
    for step in range(1, STEPS):
        rows = [row for row in table if row["step"] == step]
        seen = slice(step * BATCH, (step + 1) * BATCH)
        assert [row["sample_index"] for row in rows] == dump["views"][seen, 0].tolist(), "the same batch"
        lengths |= {row["n_keep"] for row in rows}
        before, after, old, new = load(step, "model"), load(step + 1, "model"), load(step, "optimizer"), load(step + 1, "optimizer")
        loss, true = gradients(before, images[seen], rows)
        assert abs(loss / metrics[step]["loss"] - 1) < 1e-5, (loss, metrics[step]["loss"])
        norm = torch.sqrt(sum((value.double() ** 2).sum() for value in true.values())).item()
        assert abs(norm / metrics[step]["gradient_norm"] - 1) < 1e-4, (norm, metrics[step]["gradient_norm"])
        for name, gradient in true.items():
            moment = new[f"{name}.exp_avg"].double()
            ours = (moment - BETAS[0] * old[f"{name}.exp_avg"].double()) / (1 - BETAS[0])
            # The bias of the keys has no gradient but rounding: compare against the layer's scale.
            gap = (ours - to_ours(name, gradient).double()).norm() / max(gradient.double().norm(), 1e-6 * norm)
            worst_gradient = max(worst_gradient, gap.item()) if "qkv.bias" not in name else worst_gradient
            assert gap < 1e-4 or "qkv.bias" in name, (name, gap)
            # AdamW by its formula from the saved moments; decay on matrices alone (the patch embedding is one).
            rate, count = metrics[step]["learning_rate"], step + 1
            square = new[f"{name}.exp_avg_sq"].double()
            decay = WEIGHT_DECAY if gradient.dim() in (2, 4) else 0.0
            update = (moment / (1 - BETAS[0] ** count)) / ((square / (1 - BETAS[1] ** count)).sqrt() + 1e-8)
            expected = to_ours(name, before[name]).double() * (1 - rate * decay) - rate * update
            gap = (expected - to_ours(name, after[name]).double()).abs().max().item()
            worst_update = max(worst_update, gap)
            assert gap < 1e-6, (name, gap)
    assert len(lengths) > 3, lengths
    print(f"{STEPS - 1} steps with {len(lengths)} lengths: gradients within {worst_gradient:.1e}, AdamW within {worst_update:.1e}")


if __name__ == "__main__":
    main()
