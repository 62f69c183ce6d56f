#!/usr/bin/env python3
"""Compares `trainer forward` with PyTorch and timm on freshly drawn weights, images and noise.

The encoder's and decoder's blocks are timm's; salience, ratio and mask are written here from their
definition (DESIGN: A = attention, s_j = sum_i A_ij, r = base - var + 2 var y, keep the lowest scores).

    python3 model.py --bin TARGET/release --work FOLDER
"""
import argparse
import pathlib
import subprocess

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from timm.models.vision_transformer import Block, PatchEmbed


class Mae(torch.nn.Module):
    def __init__(self, size, patch, dim, depth, heads, decoder_dim, decoder_depth, decoder_heads):
        super().__init__()
        self.patch, self.grid = patch, (size[0] // patch, size[1] // patch)
        tokens = self.grid[0] * self.grid[1]
        self.patch_embed = PatchEmbed(size, patch, 3, dim)
        self.cls_token = torch.nn.Parameter(torch.randn(1, 1, dim) * 0.2)
        self.pos_embed = torch.nn.Parameter(torch.randn(1, 1 + tokens, dim) * 0.1)
        self.blocks = torch.nn.ModuleList(Block(dim, heads, 4, qkv_bias=True, norm_layer=norm) for _ in range(depth))
        self.norm = norm(dim)
        self.decoder_embed = torch.nn.Linear(dim, decoder_dim)
        self.mask_token = torch.nn.Parameter(torch.randn(1, 1, decoder_dim) * 0.2)
        self.decoder_pos_embed = torch.nn.Parameter(torch.randn(1, 1 + tokens, decoder_dim) * 0.1)
        self.decoder_blocks = torch.nn.ModuleList(
            Block(decoder_dim, decoder_heads, 4, qkv_bias=True, norm_layer=norm) for _ in range(decoder_depth))
        self.decoder_norm = norm(decoder_dim)
        self.decoder_pred = torch.nn.Linear(decoder_dim, patch * patch * 3)

    def with_cls(self, x):
        return torch.cat([(self.cls_token + self.pos_embed[:, :1]).expand(len(x), -1, -1), x], 1)

    def embed(self, images):
        return self.patch_embed(images) + self.pos_embed[:, 1:]

    def salience(self, images, source, layer):
        x = self.embed(images)
        if source == "embedding":
            return (x @ x.transpose(1, 2)).softmax(-1).sum(1)
        x = self.with_cls(x)
        for block in self.blocks[:layer - 1]:
            x = block(x)
        block = self.blocks[layer - 1]
        n, t, d = x.shape
        heads = block.attn.num_heads
        q, k, _ = block.attn.qkv(block.norm1(x)).reshape(n, t, 3, heads, d // heads).permute(2, 0, 3, 1, 4)
        attention = (q @ k.transpose(2, 3) / (d // heads) ** 0.5).softmax(-1).mean(1)[:, 1:, 1:]
        return (attention / attention.sum(-1, keepdim=True)).sum(1)

    def one(self, image, restore, keep, norm_pix):
        """Loss and prediction of a single image, the plain way: no padding, no batch."""
        shuffle = restore.argsort()
        x = self.with_cls(self.embed(image)[:, shuffle[:keep]])
        for block in self.blocks:
            x = block(x)
        x = self.decoder_embed(self.norm(x))
        filled = torch.cat([x[:, 1:], self.mask_token.expand(1, len(restore) - keep, -1)], 1)[:, restore]
        x = torch.cat([x[:, :1], filled], 1) + self.decoder_pos_embed
        for block in self.decoder_blocks:
            x = block(x)
        pred = self.decoder_pred(self.decoder_norm(x))[0, 1:]
        (rows, columns), p = self.grid, self.patch
        target = image[0].reshape(3, rows, p, columns, p).permute(1, 3, 2, 4, 0).reshape(rows * columns, -1)
        if norm_pix:
            target = (target - target.mean(-1, keepdim=True)) / (target.var(-1, keepdim=True) + 1e-6).sqrt()
        return pred, ((pred - target) ** 2).mean(-1)


def norm(dim, **options):
    return torch.nn.LayerNorm(dim, eps=1e-6, **options)


def smooth_pictures(count, size):
    """Random pictures with something to see: white noise would make salience flat, a test of nothing."""
    coarse = torch.randn(count, 3, 5, 7)
    return torch.nn.functional.interpolate(coarse, size, mode="bicubic") + 0.1 * torch.randn(count, 3, *size)


def close(ours, theirs, tolerance, name):
    gap = ((ours - theirs).norm() / theirs.norm()).item()
    assert gap < tolerance, f"{name}: relative difference {gap}"
    return gap


def compare(args, case, seed, size, patch, shape, settings):
    torch.manual_seed(seed)
    dim, depth, heads, decoder_dim, decoder_depth, decoder_heads = shape
    model = Mae(size, patch, *shape).eval()
    # At full size, now and then a picture's tokens are so long that each sees itself alone, and salience is flat.
    model.patch_embed.proj.weight.data *= 0.5
    count, tokens = 6, model.grid[0] * model.grid[1]
    images, noise = smooth_pictures(count, size), torch.rand(count, tokens)
    weights, source, result = (args.work / f"{case}-{name}.safetensors" for name in ("weights", "input", "output"))
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, weights)
    save_file({"images": images.contiguous(), "noise": noise}, source)
    options = {"model.image_size": f"[{size[0]}, {size[1]}]", "model.patch_size": patch, "model.dim": dim,
               "model.depth": depth, "model.heads": heads, "model.decoder_dim": decoder_dim,
               "model.decoder_depth": decoder_depth, "model.decoder_heads": decoder_heads, **settings}
    sets = [part for key, value in options.items() for part in ("--set", f"{key}={value}")]
    subprocess.run([args.bin / "trainer", "forward", "--weights", weights, "--input", source, "--output", result, *sets],
                   check=True)
    ours = load_file(result)

    with torch.no_grad():
        layer = settings.get("mask.layer", depth)
        salience = model.salience(images, settings.get("mask.source", "encoder"), layer)
        gap = close(ours["salience"], salience, 1e-4, "salience")
        # From our salience on, everything must be equal, not close: scores nearer than rounding decide masks.
        s, u = ours["salience"].numpy(), noise.numpy()
        if settings["mask.strategy"] == "random":
            scores, keep = u, np.full(count, int(tokens * (1 - 0.75)))
        else:
            low, high = s.min(1, keepdims=True), s.max(1, keepdims=True)
            assert (high > low * 1.01).all(), "salience is flat: a test of nothing"
            normalised = (s - low) / (high - low)
            y = ((normalised > np.float32(settings.get("mask.delta", 0.25))).sum(1) / np.float32(tokens)).astype(np.float32)
            if settings["mask.ratio_mode"] == "batch-mean":
                y = np.full(count, y.astype(np.float64).mean(), np.float32)
            ratio = np.float32(0.75 - 0.1) + np.float32(2 * 0.1) * y
            keep = np.trunc(np.float32(tokens) * (np.float32(1) - ratio)).astype(int)
            scores = normalised + np.float32(0.5) * u
            assert (ours["ratio"].numpy() == ratio).all(), "ratio"
        assert (ours["n_keep"].numpy() == keep).all(), "n_keep"
        shuffle = np.argsort(scores, axis=1, kind="stable")
        restore = np.argsort(shuffle, axis=1, kind="stable")
        assert (ours["ids_restore"].numpy() == restore).all(), "ids_restore"
        assert (ours["mask"].numpy() == (restore >= keep[:, None])).all(), "mask"
        masked = ours["mask"]
        norm_pix = settings.get("model.norm_pix_loss", "true") == "true"
        found = [model.one(images[i:i + 1], torch.from_numpy(restore[i]), int(keep[i]), norm_pix) for i in range(count)]
        pred, patch_loss = (torch.stack(parts) for parts in zip(*found))
        close(ours["pred"], pred, 1e-4, "pred")
        close(ours["loss_per_sample"], (patch_loss * masked).sum(1) / masked.sum(1), 1e-4, "loss_per_sample")
        close(ours["loss"], ((patch_loss * masked).sum() / masked.sum())[None], 1e-4, "loss")
    print(f"{case}: salience within {gap:.1e}, {len(set(keep))} lengths, masks equal, pred and loss within 1e-4")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bin", type=pathlib.Path, required=True)
    options.add_argument("--work", type=pathlib.Path, required=True)
    args = options.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    seed = int.from_bytes(np.random.default_rng().bytes(4), "little")
    print(f"seed {seed}")
    per_sample = {"mask.strategy": "salience", "mask.ratio_mode": "per-sample"}
    tiny = (192, 3, 3, 96, 2, 3)
    compare(args, "encoder-last", seed, (96, 96), 8, tiny, per_sample)
    compare(args, "encoder-first", seed + 1, (96, 96), 8, tiny, {**per_sample, "mask.layer": 1})
    compare(args, "embedding-batch-mean", seed + 2, (64, 96), 16, tiny,
            {"mask.strategy": "salience", "mask.source": "embedding", "mask.ratio_mode": "batch-mean"})
    compare(args, "random-raw-pixels", seed + 3, (224, 224), 16, (64, 2, 4, 32, 1, 2),
            {"mask.strategy": "random", "model.norm_pix_loss": "false"})
    compare(args, "wide-grid", seed + 4, (48, 160), 16, (64, 2, 4, 32, 1, 2), {**per_sample, "train.length_multiple": 8})


if __name__ == "__main__":
    main()
