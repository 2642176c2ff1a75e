#!/usr/bin/env python3
"""Makes the pictures under `pictures/`, and pictures.safetensors with their pixels, by Pillow, an independent decoder.

    python make_pictures.py            needs Pillow, and the packages that make_fixtures.py needs

In the .safetensors, each file name has the pixels of the file as RGB, [3, H, W], uint8. `resized/WIDTHxHEIGHT` is rgb.png, resized
with Pillow's antialiased bilinear filter. `middle/SIDE` is the middle square of rgb.png, with the shorter edge resized to 8/7 of
SIDE first.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "models"))

import safetensors_io  # noqa: E402

HEIGHT, WIDTH = 21, 33


def scene() -> np.ndarray:
    """Makes a picture (H, W, 3) with slopes, an edge and a little texture."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    red = 255 * x / (WIDTH - 1)
    green = np.where((x - 16) ** 2 + (y - 10) ** 2 < 49, 220, 40) + 10 * ((x + y) % 2)
    blue = 255 * y / (HEIGHT - 1)
    return np.stack([red, green, blue], 2).astype(np.uint8)


def rgb(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image.convert("RGB")).copy()).permute(2, 0, 1).contiguous()


def main() -> None:
    folder = HERE / "pictures"
    folder.mkdir(exist_ok=True)
    pixels = scene()
    colour, grey = Image.fromarray(pixels), Image.fromarray(pixels[:, :, 1])
    alpha = Image.fromarray(np.dstack([pixels, pixels[:, :, 0]]))
    palette = colour.quantize(16)
    deep = (pixels[:, :, 1].astype(np.uint16) * 257 + pixels[:, :, 0] % 100).astype(np.uint16)
    saved = {
        "rgb.png": (colour, {}),
        "grey.png": (grey, {}),
        "alpha.png": (alpha, {}),
        "palette.png": (palette, {}),
        "transparent-palette.png": (palette, {"transparency": 3}),
        "one-bit.png": (grey.convert("1"), {}),
        "grey-alpha.png": (alpha.convert("LA"), {}),
        "baseline.jpg": (colour, {"quality": 90}),
        "full-chroma.jpg": (colour, {"quality": 90, "subsampling": 0}),
        "progressive.jpg": (colour, {"quality": 90, "progressive": True}),
        "grey.jpg": (grey, {"quality": 90}),
        "cmyk.jpg": (colour.convert("CMYK"), {"quality": 95}),
    }
    tensors = {}
    for name, (image, options) in saved.items():
        image.save(folder / name, optimize=True, **options)
        tensors[name] = rgb(Image.open(folder / name))
    # Computes the expected pixels as v / 257 with halves rounded up, because Pillow clips 16-bit values instead.
    Image.fromarray(deep).save(folder / "sixteen-bit.png")
    tensors["sixteen-bit.png"] = (
        torch.from_numpy(((deep.astype(np.int64) + 128) // 257).astype(np.uint8)).expand(3, -1, -1).contiguous()
    )
    for width, height in ((17, 13), (40, 30), (50, 10)):
        tensors[f"resized/{width}x{height}"] = rgb(colour.resize((width, height), Image.Resampling.BILINEAR))
    for side in (14, 28):
        shorter = side * 8 // 7
        scaled = colour.resize((shorter * WIDTH // HEIGHT, shorter), Image.Resampling.BILINEAR)
        top, left = (round((edge - side) / 2) for edge in (scaled.height, scaled.width))
        tensors[f"middle/{side}"] = rgb(scaled.crop((left, top, left + side, top + side)))
    safetensors_io.write(HERE / "pictures.safetensors", tensors)


if __name__ == "__main__":
    main()
