#!/usr/bin/env python3
"""Makes the pictures under `pictures/`, and pictures.safetensors with their pixels, by Pillow, an independent decoder.

    python make_pictures.py            needs Pillow, and the packages that make_fixtures.py needs

In the .safetensors, each file name has the pixels of the file as RGB, [3, H, W], uint8. `resized/WIDTHxHEIGHT` is rgb.png, resized
with Pillow's antialiased bilinear filter, and `bicubic/WIDTHxHEIGHT` with its bicubic filter. `middle/SIDE` is the middle square of
rgb.png, with the shorter edge resized to 8/7 of SIDE first. `luma` is rgb.png in Pillow's mode L, and `crop/28` its middle.
"""

import struct
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


def handmade(pixels: np.ndarray) -> dict[str, bytes]:
    """Makes the files that Pillow reads but does not write."""
    height, width, _ = pixels.shape
    size = f"{width} {height}"
    numbers = "\n".join(" ".join(map(str, row)) for row in (pixels // 2).reshape(height, -1).tolist())
    bits = "\n".join("".join("1" if value < 128 else "0" for value in row) for row in pixels[:, :, 1].tolist())
    files = {
        "plain.ppm": f"P3\n# a comment\n{size}\n127\n{numbers}\n".encode(),
        "plain.pbm": f"P1 # a comment\n{size}\n{bits}\n".encode(),
        "bits.pbm": f"P4 {size}\n".encode() + np.packbits(pixels[:, :, 1] < 128, axis=1).tobytes(),
        "deep.ppm": f"P6 {size} 1000\n".encode() + (pixels.astype(np.uint16) * 3).astype(">u2").tobytes(),
    }

    def bmp(bits: int, coding: int, data: bytes, colours: bytes = b"", masks: bytes = b"", flip: int = 1) -> bytes:
        start = 54 + len(masks) + len(colours)
        header = struct.pack("<IiiHHIIiiII", 40, width, flip * height, 1, bits, coding, len(data), 0, 0, len(colours) // 4, 0)
        return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + header + masks + colours + data

    five = pixels.astype(np.uint16) >> 3
    words = five[:, :, 0] << 10 | five[:, :, 1] << 5 | five[:, :, 2]
    padded = np.pad(words, ((0, 0), (0, width % 2)))
    files["sixteen-bit.bmp"] = bmp(16, 0, padded[::-1].astype("<u2").tobytes())
    words = five[:, :, 0] << 11 | (pixels[:, :, 1].astype(np.uint16) >> 2) << 5 | five[:, :, 2]
    padded = np.pad(words, ((0, 0), (0, width % 2)))
    files["masks.bmp"] = bmp(16, 3, padded[::-1].astype("<u2").tobytes(), masks=struct.pack("<III", 0xF800, 0x07E0, 0x1F))
    three = np.pad(pixels, ((0, 0), (0, 0), (0, 0)))[:, :, ::-1].reshape(height, -1)
    files["from-top.bmp"] = bmp(24, 0, np.pad(three, ((0, 0), (0, -three.shape[1] % 4))).tobytes(), flip=-1)
    grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 4, 1)
    grey[:, 3] = 0
    codes = bytearray()
    for row in (pixels[::-1, :, 1] // 32 * 32).tolist():
        # A run for each pixel but the last three, which come as they are, with a byte to fill.
        for value in row[:-3]:
            codes += bytes([1, value])
        codes += bytes([0, 3, *row[-3:], 0, 0, 0])
    files["runs.bmp"] = bmp(8, 1, bytes(codes) + b"\0\1", colours=grey.tobytes())
    codes = bytearray()
    for row in (pixels[::-1, :, 1] // 16).tolist():
        for left, right in zip(row[0:-1:2], row[1::2], strict=True):
            codes += bytes([2, left << 4 | right])
        codes += bytes([1, row[-1] << 4, 0, 0])
    files["runs-of-four.bmp"] = bmp(4, 2, bytes(codes) + b"\0\1", colours=grey[::17].tobytes())
    return files


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
        "rgb.ppm": (colour, {}),
        "grey.pgm": (grey, {}),
        "rgb.bmp": (colour, {}),
        "palette.bmp": (palette, {}),
        "one-bit.bmp": (grey.convert("1"), {}),
        "alpha.bmp": (alpha, {}),
        "rgb.tif": (colour, {}),
        "deflate.tif": (colour, {"compression": "tiff_adobe_deflate"}),
        "lzw-palette.tif": (palette, {"compression": "tiff_lzw"}),
        "alpha.tif": (alpha, {"compression": "tiff_lzw"}),
        "grey.tif": (grey, {}),
        "fax.tif": (grey.convert("1"), {"compression": "group4"}),
        "turned.tif": (colour, {"tiffinfo": {274: 6}}),
        "lossless.webp": (colour, {"lossless": True}),
        "lossy.webp": (colour, {"quality": 90}),
        "alpha.webp": (alpha, {"lossless": True, "exact": True}),
    }
    tensors = {}
    for name, (image, options) in saved.items():
        image.save(folder / name, **{"optimize": True} | options if name.endswith(("png", "jpg")) else options)
        tensors[name] = rgb(Image.open(folder / name))
    for name, contents in handmade(pixels).items():
        (folder / name).write_bytes(contents)
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
    tensors["luma"] = torch.from_numpy(np.asarray(colour.convert("L")).copy())[None]
    for width, height in ((17, 13), (40, 30)):
        tensors[f"bicubic/{width}x{height}"] = rgb(colour.resize((width, height), Image.Resampling.BICUBIC))
    # torchvision's CenterCrop(28) fills the rows that the picture lacks with black: 3 above and 4 below.
    padded = np.pad(pixels, ((3, 4), (0, 0), (0, 0)))[:, 2:30]
    tensors["crop/28"] = torch.from_numpy(padded.copy()).permute(2, 0, 1).contiguous()
    safetensors_io.write(HERE / "pictures.safetensors", tensors)


if __name__ == "__main__":
    main()
