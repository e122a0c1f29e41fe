"""Where a spec declares something."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

from optgen.errors import Location

_LANGUAGE = str(Path(__file__).parent)


def calling_frame() -> FrameType:
    """The innermost frame outside the language: where a spec declares what is being made."""
    frame = sys._getframe(1)  # noqa: SLF001 - as warnings and namedtuple do
    while frame.f_back is not None and (
        frame.f_code.co_filename.startswith(_LANGUAGE) or frame.f_code.co_filename == "<string>"
    ):
        frame = frame.f_back
    return frame


def caller() -> Location:
    """File and line of that frame."""
    frame = calling_frame()
    return Location(frame.f_code.co_filename, frame.f_lineno)
