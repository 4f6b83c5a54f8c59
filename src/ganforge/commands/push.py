"""``ganforge push``: a trained generator to the Hugging Face hub."""

from omegaconf import DictConfig

from ganforge.sharing.export import Wish
from ganforge.sharing.hub import push as to_hub
from ganforge.trained.health import refuse_broken
from ganforge.trained.load import load_run
from ganforge.utils.terminal import terminal


def push(config: DictConfig) -> None:
    """Upload the bundle, and say where it is and how others load it."""
    loaded = load_run(config.run, config.checkpoint, config.device, config.trusted)
    refuse_broken(loaded)
    wish = Wish(picture=config.picture, license=config.license, half=config.half)
    address = to_hub(loaded, config.repo, wish, private=config.private)
    terminal().print(
        f"Step {loaded.step} of {loaded.run.folder.name} at {address}; others load it with "
        f"run=hf:{config.repo}",
        soft_wrap=True,
    )
