"""Pages of the site that are no files of docs/: README.md first, and what the docstrings say."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
REFERENCE = {
    "Trained models": ["ganforge.api.models", "ganforge.api.runs", "ganforge.api.scores"],
    "Models": [
        f"ganforge.models.{name}"
        for name in ("base", "latent", "translator", "gan", "cyclegan", "pix2pix", "region")
    ],
    "Losses": [f"ganforge.losses.{name}" for name in ("objective", "adversarial", "regularizers")],
    "Scores": [
        f"ganforge.metrics.{name}" for name in ("protocol", "comparison", "features", "scores")
    ],
    "Latent space": [f"ganforge.latent.{name}" for name in ("space", "priors", "interpolation")],
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    readme = re.sub(r'(\]\(|src=")docs/', r"\1", readme)
    parts = ["# Reference\n"]
    for title, modules in REFERENCE.items():
        parts += [f"## {title}\n", *(f"::: {module}\n" for module in modules)]
    for name, content in {"index.md": readme, "reference.md": "\n".join(parts)}.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """The README is the site's first page."""
    return markdown.replace("](../README.md", "](index.md")
