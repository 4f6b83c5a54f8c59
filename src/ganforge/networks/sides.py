"""Which sides a network takes."""

from torch import Tensor


def need_multiples(images: Tensor, multiple: int, network: str, remedy: str) -> None:
    """Raise ValueError unless both sides of ``N×C×H×W`` are multiples of ``multiple``."""
    height, width = images.shape[-2:]
    if height % multiple or width % multiple:
        raise ValueError(
            f"this {network} takes sides that are multiples of {multiple}, not "
            f"{height}×{width}: {remedy}"
        )
