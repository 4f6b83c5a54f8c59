"""``ganforge train``: data, model and callbacks meet, and a run comes out."""

from ganforge.training.fit import train

__all__ = ["train"]
