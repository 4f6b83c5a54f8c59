"""A bundle with a small Gradio program beside it: a folder that is a Space of Hugging Face."""

import shutil
from pathlib import Path

import yaml

from ganforge import __version__
from ganforge.models.region import RegionTranslator
from ganforge.models.translator import Translator
from ganforge.sharing.card import license_keys
from ganforge.sharing.export import BUNDLE, Wish, check_output, fill
from ganforge.trained.bundle import CARD, CONFIG, read_facts
from ganforge.trained.load import LoadedRun
from ganforge.utils.errors import UserError
from ganforge.utils.folders import atomic_folder

APP, REQUIREMENTS = "app.py", "requirements.txt"
PROGRAMS = Path(__file__).parent / "apps"


def write_space(loaded: LoadedRun, output: Path, wish: Wish) -> list[str]:
    """Write the bundle of a run, or a copy of a bundle, with a program and what it needs."""
    if isinstance(loaded.module, RegionTranslator):
        raise UserError(
            f"{loaded.run.folder} changes a region of photos after an exemplar, for which there is "
            "no page: take format=safetensors"
        )
    check_output(output, wish.overwrite, (*BUNDLE, APP, REQUIREMENTS))
    kind = "translator" if isinstance(loaded.module, Translator) else "generator"
    with atomic_folder(output) as folder:
        files = fill(loaded, folder, output.name, wish)
        shutil.copyfile(PROGRAMS / f"{kind}.py", folder / APP)
        (folder / REQUIREMENTS).write_text(f"ganforge>={__version__}\ngradio>=5\n")
        _as_space(folder)
    return [*files, APP, REQUIREMENTS]


def _as_space(folder: Path) -> None:
    """Let the card say what a Space is told by, in place of what a model is told by."""
    facts, card = read_facts(folder / CONFIG), folder / CARD
    told = {"title": facts["name"], "sdk": "gradio", "app_file": APP}
    front = yaml.safe_dump({**told, **license_keys(facts.get("license"))}, sort_keys=False)
    _, _, text = card.read_text(encoding="utf-8").removeprefix("---\n").partition("---\n")
    card.write_text(f"---\n{front}---\n{text}", encoding="utf-8")
