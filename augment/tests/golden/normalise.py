#!/usr/bin/env python3
"""Writes normalise.safetensors: every level of every channel as torchvision normalises it, [3, 256, 1]."""
import pathlib

import torch
import torchvision
from safetensors.torch import save_file
from torchvision.transforms import v2


def main():
    levels = torch.arange(256, dtype=torch.uint8).view(1, 256, 1).expand(3, 256, 1)
    to_float = v2.ToDtype(torch.float32, scale=True)
    sets = {
        "imagenet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        "half": ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
    }
    tensors = {name: v2.Normalize(mean, std)(to_float(levels)) for name, (mean, std) in sets.items()}
    save_file(tensors, pathlib.Path(__file__).with_suffix(".safetensors"), {"torchvision": torchvision.__version__})


if __name__ == "__main__":
    main()
