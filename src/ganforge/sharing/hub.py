"""Bundles in repositories of the Hugging Face hub."""

import tempfile
from pathlib import Path

from ganforge.sharing.export import Wish, fill
from ganforge.trained.load import LoadedRun
from ganforge.trained.named import HUB, hub, hub_errors, repository
from ganforge.utils.errors import UserError


def push(loaded: LoadedRun, repo: str, wish: Wish, *, private: bool = False) -> str:
    """Upload the bundle of a run, or a bundle, in one commit; returns its address.

    Whoever pushes is known by ``HF_TOKEN``, or by ``hf auth login`` once.
    """
    name, revision = repository(repo)
    if revision:
        raise UserError(f"repo={repo} names a commit, and a push makes one: write repo={name}")
    library = hub(f"repo={repo}")
    api = library.HfApi(library_name="ganforge")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = fill(loaded, folder, HUB + name, wish)
        adds = [library.CommitOperationAdd(file, folder / file) for file in files]
        try:
            api.create_repo(name, private=private, exist_ok=True)
            api.create_commit(
                name, adds, commit_message=f"Step {loaded.step} of {loaded.run.folder.name}"
            )
        except hub_errors() as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(
                f"{repo} cannot be written ({reason}): is it yours, and does HF_TOKEN hold a token "
                "that may write (or run `hf auth login`)?"
            ) from error
    return f"{api.endpoint}/{name}"
