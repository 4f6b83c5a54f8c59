"""How labels reach the critic without the objective's knowledge."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganforge.losses.objective import Critic, Term, Terms


class LabelledCritic:
    """A discriminator together with the labels of the images that it is shown.

    An auxiliary classifier's logits are split off and kept, one entry a call in ``class_logits``.
    """

    def __init__(self, discriminator: nn.Module, labels: Tensor) -> None:
        self.discriminator = discriminator
        self.labels = labels
        self.class_logits: list[Tensor] = []

    def __call__(self, images: Tensor) -> Tensor:
        """Logits ``N×1`` of images ``N×...``, each under its label."""
        answer = self.discriminator(images, self.labels)
        if torch.is_grad_enabled():  # a look at the whole batch before its parts teaches nothing
            self.class_logits.append(answer[:, 1:])
        return answer[:, :1]


def critic_of(discriminator: nn.Module, labels: Tensor | None) -> Critic:
    """The critic that an objective may call."""
    return discriminator if labels is None else LabelledCritic(discriminator, labels)


def classification(critic: Critic, calls: int, weight: float) -> Terms:
    """Cross entropy of an auxiliary classifier, summed over a critic's first ``calls`` calls.

    Odena et al. 2017, eq. 3: the objective shows real and then generated images in the
    discriminator's update, first the generated ones in the generator's. No term without classifier.
    """
    if not isinstance(critic, LabelledCritic) or not critic.class_logits[0].shape[1]:
        return {}
    said = critic.class_logits[:calls]
    entropy = torch.stack([F.cross_entropy(logits.float(), critic.labels) for logits in said]).sum()
    return {"classes": Term(entropy, weight)}
