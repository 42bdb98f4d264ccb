"""An SVG file as an element of an HTML page: ids that no other figure has, nothing active, nothing fetched."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

from rmt.errors import InputError

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_HREF = ("href", f"{{{_XLINK}}}href")
_DRAWING = (  # the elements a plot is made of; anything else (scripts, foreign objects, metadata) is dropped
    *("svg", "g", "defs", "path", "use", "text", "tspan", "clipPath", "rect", "circle", "ellipse", "line", "polyline"),
    *("polygon", "image", "title", "desc", "linearGradient", "radialGradient", "stop", "pattern", "marker", "mask"),
)
_KEPT = {f"{{{_SVG}}}{name}" for name in _DRAWING}
_PX_PER_PT = 96 / 72
_PHONE = 560  # pixels: what is wider cannot shrink to a phone's screen and stay legible, and scrolls there


def inline_svg(path: Path, prefix: str, label: str) -> str:
    """The figure in `path` as one `<svg>` element for an HTML page.

    Args:
        path: SVG file, of matplotlib's kind.
        prefix: put before every id, and before every reference to one.
        label: the text alternative, for those who cannot see the figure.

    Returns:
        Markup, safe to insert unescaped. Its style carries the native width in pixels as `--w`; its class is
        `wide` if a phone has to scroll it.

    Raises:
        InputError: the file is missing, cannot be read, or is not SVG.
    """
    try:
        return svg_element(path.read_text(encoding="utf-8"), prefix, label)
    except OSError as error:
        raise InputError(f"{path}: the figure cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # bytes that are no text, too
        raise InputError(f"{path}: the figure is not SVG: {error}") from error


def svg_element(svg: str, prefix: str, label: str) -> str:
    """As `inline_svg`, of the text of a figure.

    Raises:
        ValueError: it is not SVG with a viewBox.
    """
    try:
        root = ET.fromstring(svg)
    except ET.ParseError as error:
        raise ValueError(str(error)) from error
    box = _numbers(root.get("viewBox", ""))
    if root.tag != f"{{{_SVG}}}svg" or len(box) != 4 or box[2] <= 0:
        raise ValueError("it has no viewBox")
    _clean(root, prefix)
    width = box[2] * _PX_PER_PT
    root.attrib = {
        **({"class": "wide"} if width > _PHONE else {}),
        "viewBox": " ".join(f"{x:g}" for x in box),
        "role": "img",
        "aria-label": label,
        # matplotlib says this in a style sheet for "*", which would reach the whole page
        "style": f"--w:{width:.0f}px;stroke-linejoin:round;stroke-linecap:butt",
    }
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _XLINK)
    return ET.tostring(root, encoding="unicode")


def _clean(parent: ET.Element, prefix: str) -> None:
    for child in list(parent):
        if child.tag in _KEPT:
            child.attrib = {
                name: _own(value, name, prefix) for name, value in child.attrib.items() if _harmless(name, value)
            }
            _clean(child, prefix)
        else:
            parent.remove(child)


def _own(value: str, name: str, prefix: str) -> str:
    """An attribute whose ids, defined or referred to, are this figure's own."""
    if name == "id":
        return prefix + value
    if name in _HREF and value.startswith("#"):
        return f"#{prefix}{value[1:]}"
    return re.sub(r"url\(\s*['\"]?#([^)'\"]+)['\"]?\s*\)", rf"url(#{prefix}\1)", value)


def _harmless(name: str, value: str) -> bool:
    """No event handlers, and references only into the figure itself or to image data within it."""
    if name.lower().startswith("on"):
        return False
    if name in _HREF:
        return value.startswith(("#", "data:image/png"))
    targets = re.findall(r"url\(\s*['\"]?(.)", value, re.IGNORECASE)
    return all(first == "#" for first in targets)


def _numbers(text: str) -> list[float]:
    try:
        return [float(x) for x in text.replace(",", " ").split()]
    except ValueError:
        return []
