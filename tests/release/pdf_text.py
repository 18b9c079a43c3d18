"""The text of a PDF by fpdf2, read from its bytes as a PDF reader does it."""

import re


def text_of(pdf: bytes) -> list[str]:
    """The text of each page; lines are joined by single spaces."""
    objects = dict(re.findall(rb"\n(\d+) 0 obj\n(.*?)\nendobj", pdf, re.DOTALL))
    fonts = {}
    for name, number in re.findall(rb"/(F\d+) (\d+) 0 R", pdf):
        (unicode,) = re.findall(rb"/ToUnicode (\d+) 0 R", objects[number])
        fonts[name] = _letters(objects[unicode])
    pages = [one for one in objects.values() if b"\nBT /F" in one]
    return [_page(one, fonts) for one in pages]


def _letters(unicode: bytes) -> dict[int, str]:
    return {
        int(code, 16): bytes.fromhex(letter.decode()).decode("utf-16-be")
        for code, letter in re.findall(rb"<([0-9A-F]{4})> <([0-9A-F]{4,8})>\n", unicode)
    }


def _page(content: bytes, fonts: dict[bytes, dict[int, str]]) -> str:
    found, font = [], {}
    for name, shown in re.findall(
        rb"/(F\d+) [\d.]+ Tf|\(((?:\\.|[^\\)])*)\) Tj", content, re.DOTALL
    ):
        if name:
            font = fonts[name]
            continue
        raw = re.sub(rb"\\(.)", lambda kept: _plain(kept[1]), shown, flags=re.DOTALL)
        codes = [int.from_bytes(raw[i : i + 2]) for i in range(0, len(raw), 2)]
        found.append("".join(font[code] for code in codes))
    return " ".join(" ".join(found).split())


def _plain(escaped: bytes) -> bytes:
    return {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"b": b"\b", b"f": b"\f"}.get(escaped, escaped)
