#!/usr/bin/env python3
"""Writes boxes.safetensors: the crop boxes of torchvision's own RandomResizedCrop.get_params, fed with our draws.

Its module gets a `torch` whose random numbers are those of the package's generator, in double precision.
"""
import pathlib
import types
from unittest import mock

import numpy as np
import torch
import torchvision
from safetensors.numpy import save_file
from torchvision.transforms import RandomResizedCrop, transforms

SIZES = [(500, 375), (375, 500), (1, 1), (2, 3), (10, 1000), (1000, 10), (65535, 3), (3, 65535), (224, 224), (16, 9)]
SETTINGS = [([0.2, 1.0], [3 / 4, 4 / 3]), ([0.08, 1.0], [3 / 4, 4 / 3]), ([0.9, 1.0], [0.5, 0.6])]
SAMPLES = 25
SEED, EPOCH = 77, 3
MASK64 = 2**64 - 1


def mix64(value):
    z = (value + 0x9E3779B97F4A7C15) & MASK64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK64
    return z ^ (z >> 31)


def philox4x32_10(counter, key):
    for _ in range(10):
        a, b = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [(b >> 32) ^ counter[1] ^ key[0], b & 0xFFFFFFFF, (a >> 32) ^ counter[3] ^ key[1], a & 0xFFFFFFFF]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return counter


class Draws:
    """The draws of src/draws.rs for view 0 and the purpose `Crop`."""

    def __init__(self, sample):
        mixed = mix64(mix64(SEED) ^ EPOCH)
        self.words, self.block = [], 0
        self.sample, self.key = sample, [mixed & 0xFFFFFFFF, mixed >> 32]

    def word(self):
        if not self.words:
            self.words = philox4x32_10([self.block, 0, self.sample, 0], self.key)
            self.block += 1
        return self.words.pop(0)

    def bits64(self):
        return self.word() | self.word() << 32

    def uniform_(self, low, high):
        return torch.tensor([float(low) + (float(high) - float(low)) * ((self.bits64() >> 11) * 2.0**-53)])

    def randint(self, low, high, size):
        n = high - low
        while True:
            product = self.bits64() * n
            if product & MASK64 >= -n % 2**64 % n:
                return torch.tensor([low + (product >> 64)])


def main():
    torch.set_default_dtype(torch.float64)
    rows = []
    for number, (scale, ratio) in enumerate(SETTINGS):
        for width, height in SIZES:
            for _ in range(SAMPLES):
                draws = Draws(len(rows))
                ours = types.SimpleNamespace(
                    empty=lambda *_: draws, randint=draws.randint, tensor=torch.tensor, log=torch.log, exp=torch.exp
                )
                image = torch.empty(1).expand(3, height, width)
                with mock.patch.object(transforms, "torch", ours):
                    top, left, h, w = RandomResizedCrop.get_params(image, scale, ratio)
                rows.append([number, width, height, left, top, w, h])
    tensors = {"setting_width_height_box": np.array(rows, np.int32), "settings": np.array(SETTINGS)}
    save_file(tensors, pathlib.Path(__file__).with_suffix(".safetensors"), {"torchvision": torchvision.__version__})


if __name__ == "__main__":
    main()
