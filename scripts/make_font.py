"""Draws the letters that labels are made of: crates/vqvae/src/figures/font/sans-SIZE.png and .txt, from DejaVu Sans.

    python scripts/make_font.py /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf

The picture has all letters beside each other, dark on light reversed (255 is ink), each in a cell of its advance and one
pixel more on either side. The text has the letter and its advance in pixels, a line each, in the same order.
"""

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

LETTERS = (
    "".join(map(chr, [*range(0x20, 0x7F), *range(0xA0, 0x100)]))
    + "ŁłŒœŠšŸŽž–—‘’“”„†•…‰€→←↑↓−×÷≈≠≤≥∞√∑ΔΣΩαβγδεθλμνπρσττφω₀₁₂₃₄⁻⁰¹⁴�"
)
FOLDER = Path(__file__).parent.parent / "crates/vqvae/src/figures/font"

for size in (13, 18):
    font = ImageFont.truetype(sys.argv[1], size)
    ascent, descent = font.getmetrics()
    letters = list(dict.fromkeys(LETTERS))
    advances = [round(font.getlength(letter)) for letter in letters]
    atlas = Image.new("L", (sum(advances) + 2 * len(letters), ascent + descent))
    draw = ImageDraw.Draw(atlas)
    x = 0
    for letter, advance in zip(letters, advances):
        draw.text((x + 1, 0), letter, font=font, fill=255)
        x += advance + 2
    atlas.save(FOLDER / f"sans-{size}.png", optimize=True)
    (FOLDER / f"sans-{size}.txt").write_text("".join(f"{ord(l):04X} {a}\n" for l, a in zip(letters, advances)))
