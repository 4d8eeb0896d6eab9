#!/usr/bin/env python3
"""Writes news.html with four invented photographs, a sheet (sheet.csv) and a source text (text.c) into a directory.

The photographs are sums of smooth waves with grain, as PNG, always the same; nothing is downloaded.
"""
import math, pathlib, random, struct, sys, zlib

out = pathlib.Path(sys.argv[1])
rng = random.Random(7)


def png(path, w, h, seed):
    r = random.Random(seed)
    waves = [[(r.uniform(-0.03, 0.03), r.uniform(-0.03, 0.03), r.uniform(0, 6.3), r.uniform(8, 40)) for _ in range(5)]
             for _ in range(3)]
    rows = bytearray()
    for y in range(h):
        rows.append(0)
        for x in range(w):
            grain = r.gauss(0, 3)
            for channel in waves:
                v = 120 + grain + sum(a * math.sin(fx * x + fy * y + p) for fx, fy, p, a in channel)
                rows.append(max(0, min(255, int(v))))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(rows), 6))
                     + chunk(b"IEND", b""))


WORDS = "the harbour council voted on a new bridge after years of delay while residents asked who pays for it".split()


def sentence():
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(8, 18))).capitalize() + ". "


for i in range(4):
    png(out / f"photo{i}.png", 640, 360, i)
body = "".join(
    f"<h2>{sentence()}</h2><img src=photo{i % 4}.png><p>" + "".join(sentence() for _ in range(14)) + "</p>"
    for i in range(12))
(out / "news.html").write_text(f"<html><head><title>News</title></head><body style='margin:20px 200px'>{body}</body></html>")
(out / "sheet.csv").write_text("\n".join(
    ",".join(str(rng.randint(0, 99999) / 100) for _ in range(16)) for _ in range(300)))
(out / "text.c").write_text("\n".join(
    f"static int step_{i}(const struct state *s, int {rng.choice(WORDS)})\n{{\n\t/* {sentence()}*/\n"
    f"\treturn s->{rng.choice(WORDS)} * {rng.randint(1, 999)} + \"{rng.choice(WORDS)}\"[{i % 7}];\n}}\n" for i in range(400)))
