"""A badge: a name and a state in one small picture, drawn here so that nobody has to be asked for it."""

from __future__ import annotations

import unicodedata
from xml.etree import ElementTree

from modelship.core.words import clean
from modelship.history.health import Health, State

_COLOURS: dict[State, str] = {
    "healthy": "#1a7f37",
    "degraded": "#9a6700",
    "in trouble": "#cf222e",
    "rolled back": "#bc4c00",
    "unknown": "#59636e",
}
"""White text on each has a contrast of at least 4.5 to 1."""
_NAME_COLOUR = "#24292f"
_HEIGHT, _PADDING, _SIZE = 20, 7, 11
_NAME_LIMIT, _TOLD_LIMIT = 60, 300

_WIDTHS = {
    28: "'IJijl", 33: " ,./:;\\|·", 37: "-f", 40: "!()[]rt", 46: '"', 50: "*_`?sz", 57: "FLckPTYaeovxy",
    64: "$0123456789EKSbdghnpqu{}", 69: "ABCRVXZU", 77: "&DGHN", 82: "OQw#+<=>^~", 88: "M", 97: "%m", 100: "@W",
}  # fmt: skip
"""Hundredths of the font's size by character, as DejaVu Sans and Verdana have them; a browser fits other fonts into the same room."""
_WIDTH = {character: hundredths for hundredths, characters in _WIDTHS.items() for character in characters}
_OTHER, _WIDE = 64, 100


def badge(model: str, health: Health) -> str:
    """The badge of a model as an SVG file: `flight-delay | v7 live · healthy`."""
    name = clean(model, _NAME_LIMIT)
    live = f"v{health.version} live" if health.version is not None else "not live"
    state = f"{live} · {health.state}"
    left, right = (_PADDING * 2 + _text_width(text) for text in (name, state))
    root = ElementTree.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "width": f"{left + right:g}",
            "height": str(_HEIGHT),
            "role": "img",
            "aria-label": f"{name}: {state}",
        },
    )
    ElementTree.SubElement(root, "title").text = clean(f"{name}: {state}. {health.told}", _TOLD_LIMIT)
    corners = ElementTree.SubElement(ElementTree.SubElement(root, "clipPath", {"id": "corners"}), "rect")
    corners.attrib |= {"width": f"{left + right:g}", "height": str(_HEIGHT), "rx": "4"}
    plates = ElementTree.SubElement(root, "g", {"clip-path": "url(#corners)"})
    for x, wide, colour in ((0.0, left, _NAME_COLOUR), (left, right, _COLOURS[health.state])):
        ElementTree.SubElement(plates, "rect", {"x": f"{x:g}", "width": f"{wide:g}", "height": str(_HEIGHT), "fill": colour})
    style = {"fill": "#fff", "font-family": "Verdana,DejaVu Sans,Geneva,sans-serif", "font-size": str(_SIZE)}
    written = ElementTree.SubElement(root, "g", style)
    for x, text in ((0.0, name), (left, state)):
        place = {"x": f"{x + _PADDING:g}", "y": "14", "textLength": f"{_text_width(text):g}", "lengthAdjust": "spacingAndGlyphs"}
        ElementTree.SubElement(written, "text", place).text = text
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _text_width(text: str) -> float:
    """About how many pixels a text takes, to a tenth."""
    return round(max(sum(map(_character_width, text)), 1) * _SIZE / 100, 1)


def _character_width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return _WIDTH.get(character) or (_WIDE if unicodedata.east_asian_width(character) in "WF" else _OTHER)
