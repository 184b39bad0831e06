"""Lines, boxes and words on a sheet, written as SVG or (with Pillow) as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Literal, TypeAlias

from penchant_daemon.evaluation.errors import EvaluationError

__all__ = ["Box", "Line", "Sheet", "Words", "can_write"]

Anchor = Literal["start", "middle", "end"]
#: PNG is drawn at twice the size, for screens of today.
PNG_SCALE = 2


@dataclass(frozen=True, slots=True)
class Box:
    """A filled rectangle; `title` is what SVG viewers show under the pointer."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A polyline through points."""

    points: Sequence[tuple[float, float]]
    colour: str
    width: float = 1.0


@dataclass(frozen=True, slots=True)
class Words:
    """One line of text; (x, y) is its baseline's start, middle or end."""

    x: float
    y: float
    text: str
    size: float = 12.0
    anchor: Anchor = "start"
    colour: str = "#222222"


Mark: TypeAlias = Box | Line | Words


@dataclass(slots=True)
class Sheet:
    """What is drawn, in order; later marks cover earlier ones."""

    width: float
    height: float
    title: str
    marks: list[Mark] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write it in the format of the path's ending.

        :raises EvaluationError: another ending, or PNG without Pillow.
        """
        can_write(path)
        if path.suffix.lower() == ".svg":
            path.write_text(self.svg(), encoding="utf-8")
        else:
            self._write_png(path)

    def svg(self) -> str:
        """The sheet as an SVG document."""
        size = f'width="{self.width:g}" height="{self.height:g}" viewBox="0 0 {self.width:g} {self.height:g}"'
        marks = "\n".join(_as_svg(mark) for mark in self.marks)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" role="img">\n'
            f"<title>{escape(self.title)}</title>\n"
            f'<rect width="100%" height="100%" fill="#ffffff"/>\n{marks}\n</svg>\n'
        )

    def _write_png(self, path: Path) -> None:
        from PIL import Image, ImageDraw, ImageFont

        image = Image.new("RGB", (round(self.width * PNG_SCALE), round(self.height * PNG_SCALE)), "#ffffff")
        draw = ImageDraw.Draw(image)
        for mark in self.marks:
            match mark:
                case Box():
                    corner = (mark.x + mark.width, mark.y + mark.height)
                    if mark.height > 0 and mark.width > 0:
                        draw.rectangle((_scaled(mark.x, mark.y), _scaled(*corner)), fill=mark.colour)
                case Line():
                    points = [_scaled(x, y) for x, y in mark.points]
                    draw.line(points, fill=mark.colour, width=max(1, round(mark.width * PNG_SCALE)))
                case Words():
                    font = ImageFont.load_default(mark.size * PNG_SCALE)
                    anchor = {"start": "ls", "middle": "ms", "end": "rs"}[mark.anchor]
                    draw.text(_scaled(mark.x, mark.y), mark.text, fill=mark.colour, font=font, anchor=anchor)
        image.save(path)


def can_write(path: Path) -> None:
    """
    :raises EvaluationError: the path's ending is neither .svg nor .png, or Pillow is not here for .png.
    """
    ending = path.suffix.lower()
    if ending not in (".svg", ".png"):
        raise EvaluationError(f"{path}: a picture ends in .svg or .png, not in {ending or 'nothing'}")
    if ending == ".png":
        try:
            import PIL.ImageDraw  # noqa: F401
        except ImportError as error:
            raise EvaluationError(
                f"{path}: a PNG is drawn by Pillow, which is not installed",
                "pip install 'penchant[eval]', or name an .svg",
            ) from error


def _scaled(x: float, y: float) -> tuple[float, float]:
    return x * PNG_SCALE, y * PNG_SCALE


def _as_svg(mark: Mark) -> str:
    match mark:
        case Box():
            place = f'x="{mark.x:.1f}" y="{mark.y:.1f}" width="{mark.width:.1f}" height="{mark.height:.1f}"'
            title = f"<title>{escape(mark.title)}</title>" if mark.title else ""
            return f'<rect {place} fill="{mark.colour}">{title}</rect>'
        case Line():
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in mark.points)
            stroke = f'stroke="{mark.colour}" stroke-width="{mark.width:g}"'
            return f'<polyline points="{points}" fill="none" {stroke}/>'
        case Words():
            place = f'x="{mark.x:.1f}" y="{mark.y:.1f}" font-size="{mark.size:g}" fill="{mark.colour}"'
            return f'<text {place} text-anchor="{mark.anchor}">{escape(mark.text)}</text>'
