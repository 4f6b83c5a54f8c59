"""What augmentations may be shown."""

from torch import Tensor, nn


def need_images(samples: Tensor, augmentation: nn.Module) -> None:
    """Raise ValueError for samples that are no images ``N×C×H×W``, such as points of a toy."""
    if samples.dim() != 4:
        raise ValueError(
            f"{type(augmentation).__name__} changes images, and the data are points of "
            f"{samples[0].numel()} numbers: remove augment, or regularizer=[consistency]"
        )
