#!/usr/bin/env python3
"""Writes resize.safetensors: pixels, boxes, and what Pillow makes of them."""
import pathlib

import numpy as np
import PIL
from PIL import Image
from safetensors.numpy import save_file

# (source, box as x, y, width, height, output as width, height)
CASES = [
    (0, (0, 0, 40, 30), (23, 17)),  # shrinks both
    (0, (3, 2, 31, 25), (48, 40)),  # enlarges both
    (0, (5, 1, 30, 28), (44, 11)),  # rows shrink, columns grow: rows first
    (0, (0, 4, 40, 20), (9, 30)),  # columns shrink, rows grow
    (1, (0, 0, 40, 30), (23, 17)),
    (1, (7, 0, 30, 30), (30, 12)),  # one axis, rows
    (1, (7, 0, 30, 30), (12, 30)),  # one axis, columns
    (1, (1, 1, 36, 29), (31, 14)),  # loses three times as many rows as columns: rows first
    (1, (0, 0, 40, 30), (5, 7)),
    (1, (39, 29, 1, 1), (3, 4)),
    (2, (0, 0, 64, 48), (32, 32)),
    (2, (9, 3, 50, 41), (40, 45)),
    (3, (0, 0, 64, 48), (50, 14)),
    (3, (4, 8, 33, 40), (33, 40)),  # only cut out
]


def picture(draw, height, width):
    """A spectrum like a photograph's (amplitude falls as 1/frequency), and hard edges."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)) + 1 / width
    spectrum = np.fft.fft2(draw.normal(size=(3, height, width))) / frequency
    smooth = np.fft.ifft2(spectrum).real
    pixels = 128 + 60 * smooth / smooth.std() + 90 * np.sign(smooth[:1] - smooth[1:2])
    return np.ascontiguousarray(pixels.clip(0, 255).astype(np.uint8).transpose(1, 2, 0))


def main():
    draw = np.random.default_rng(4)
    sources = [
        draw.integers(0, 256, (30, 40, 3), np.uint8),
        draw.integers(0, 2, (30, 40, 3), np.uint8) * 255,
        picture(draw, 48, 64),
        picture(draw, 48, 64),
    ]
    tensors = {f"source.{number}": np.ascontiguousarray(pixels) for number, pixels in enumerate(sources)}
    for number, (source, (x, y, width, height), size) in enumerate(CASES):
        image = Image.fromarray(sources[source]).crop((x, y, x + width, y + height))
        tensors[f"case.{number:02}.source_box"] = np.array([source, x, y, width, height], np.int32)
        tensors[f"case.{number:02}.pixels"] = np.asarray(image.resize(size, Image.BICUBIC))
    save_file(tensors, pathlib.Path(__file__).with_suffix(".safetensors"), {"pillow": PIL.__version__})


if __name__ == "__main__":
    main()
