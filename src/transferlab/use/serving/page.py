"""The page at ``/docs``; it loads nothing from elsewhere, so that it opens in a closed network too."""

from pathlib import Path

PAGE = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
