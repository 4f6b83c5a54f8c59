"""Where an Optuna study lies; nothing here is imported before a study is used."""

import time
from pathlib import Path
from typing import Any


def open_storage(address: str) -> Any:
    """A database's address (``sqlite:///...``), a journal file, or the folder of a sweep."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if Path(address).is_dir():
        address = f"sqlite:///{address}/study.db"
    if "://" not in address:
        backend = optuna.storages.journal.JournalFileBackend(address)
        return optuna.storages.JournalStorage(backend)
    try:
        return optuna.storages.get_storage(address)
    except storage_errors():  # where two processes make the tables of one database at a time
        time.sleep(1)
        return optuna.storages.get_storage(address)


def storage_errors() -> tuple[type[Exception], ...]:
    """What a storage raises that is damaged, locked or gone."""
    from optuna.exceptions import OptunaError
    from sqlalchemy.exc import SQLAlchemyError

    return OptunaError, SQLAlchemyError, OSError, KeyError, ValueError, ImportError
