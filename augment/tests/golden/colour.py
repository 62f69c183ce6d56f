#!/usr/bin/env python3
"""Writes colour.safetensors: pixels, and what torchvision makes of them."""
import pathlib

import numpy as np
import torch
import torchvision
from safetensors.torch import save_file
from torchvision.transforms.v2 import ColorJitter
from torchvision.transforms.v2 import functional as F

STEPS = [F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue]
FACTORS = [
    [0.0, 0.37, 0.8, 1.0, 1.21, 2.6],
    [0.0, 0.37, 0.8, 1.0, 1.21, 2.6],
    [0.0, 0.37, 0.8, 1.0, 1.21, 2.6],
    [-0.5, -0.31, -0.04, 0.0, 0.12, 0.5],
]


def main():
    draw = np.random.default_rng(5)
    image = draw.integers(0, 256, (16, 16, 3), np.uint8)
    image[:2] = image[:2, :, :1]  # greys
    image[2, :, 0] = image[2, :, 1]  # ties for the largest channel
    image[3, :, 1] = image[3, :, 2]
    image[4] = draw.integers(0, 2, (16, 3), np.uint8) * 255
    image = torch.from_numpy(image).permute(2, 0, 1)
    tensors = {"image": image.permute(1, 2, 0).contiguous()}

    def add(name, order, factors, changed):
        tensors[f"{name}.order"] = torch.tensor(order, dtype=torch.int32)
        tensors[f"{name}.factors"] = torch.tensor(factors, dtype=torch.float32)  # NaN: not applied
        tensors[f"{name}.pixels"] = changed.permute(1, 2, 0).contiguous()

    for step, factors in enumerate(FACTORS):
        for factor in np.float32(factors).tolist():
            given = [float("nan")] * 4
            given[step] = factor
            add(f"step.{step}.{factor:+.2f}", [0, 1, 2, 3], given, STEPS[step](image, factor))
    torch.manual_seed(6)
    jitter = ColorJitter(0.4, 0.4, 0.4, 0.2)
    for number in range(24):
        params = jitter.make_params([image])
        factors = [params[f"{name}_factor"] for name in ("brightness", "contrast", "saturation", "hue")]
        add(f"all.{number:02}", params["fn_idx"].tolist(), factors, jitter.transform(image, params))
    save_file(tensors, pathlib.Path(__file__).with_suffix(".safetensors"), {"torchvision": torchvision.__version__})


if __name__ == "__main__":
    main()
