"""make docs: a site of all pages, whose links lead somewhere, and which needs no network."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_site_is_whole(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir"]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        [*build, str(tmp_path)], cwd=ROOT, env=quiet, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert pages | {"index", "reference", "404"} == {path.stem for path in tmp_path.glob("*.html")}
    for page in tmp_path.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        for link in re.findall(r'(?:src|href)="([^"#?]+)', text):
            if not link.startswith(("http", "mailto:", "/", ".")):
                assert (tmp_path / link).exists(), f"{page.name}: {link}"
        assert not re.findall(r'<(?:script|img)[^>]*src="http', text)
        assert not re.findall(r'<link[^>]*rel="stylesheet"[^>]*href="http', text)
    assert "TrainedGenerator" in (tmp_path / "reference.html").read_text(encoding="utf-8")
