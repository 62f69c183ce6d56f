#!/usr/bin/env python3
"""Writes the golden files of this folder from the definitions, in plain Python.

Positions: a token at (row, column) is sin(column w) | cos(column w) | sin(row w) | cos(row w) with
w_k = 10000 ** (-k / (dim / 4)), preceded by a row of zeros for the class token.
Patches: a patch is its pixels in the order (row, column, channel); patches run row by row.

    python3 positions_and_patches.py
"""
import math
import pathlib

HERE = pathlib.Path(__file__).parent


def positions(dim, rows, columns):
    quarter = dim // 4
    omega = [1.0 / 10000 ** (k / quarter) for k in range(quarter)]
    values = [0.0] * dim
    for row in range(rows):
        for column in range(columns):
            for place in (column, row):
                values += [math.sin(place * w) for w in omega] + [math.cos(place * w) for w in omega]
    return values


def patches(channels, height, width, patch):
    """Of an image in channel-row-column order whose value at each place is its index."""
    def value(c, y, x):
        return (c * height + y) * width + x
    return [value(c, top + p, left + q)
            for top in range(0, height, patch) for left in range(0, width, patch)
            for p in range(patch) for q in range(patch) for c in range(channels)]


(HERE / "positions_dim8_2x3.txt").write_text("\n".join(f"{v:.9g}" for v in positions(8, 2, 3)) + "\n")
(HERE / "patchify_4x6_patch2.txt").write_text("\n".join(str(v) for v in patches(3, 4, 6, 2)) + "\n")
