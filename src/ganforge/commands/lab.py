"""``ganforge lab``: trained models under one's fingers, in the browser."""

from importlib.util import find_spec

from omegaconf import DictConfig

from ganforge.utils.errors import UserError


def lab(config: DictConfig) -> None:
    """Serve the pages until the command is interrupted."""
    if find_spec("nicegui") is None:
        raise UserError("ganforge lab needs nicegui: pip install 'ganforge[lab]'")
    from ganforge.lab.server import check, serve

    check(config)
    serve(config)
