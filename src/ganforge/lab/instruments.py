"""What reads pictures beside a generator: a classifier of attributes, and the training images."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock

from torch import Tensor

from ganforge.api.models import TrainedGenerator
from ganforge.latent.groups import Query, spell
from ganforge.latent.space import Space
from ganforge.trained.space import build_space
from ganforge.utils.neighbours import nearest


@dataclass
class Instruments:
    """The instruments of one generator, made when they are first needed."""

    model: TrainedGenerator
    data_path: str | None = None
    _spaces: dict[tuple[str, int | None], Space] = field(default_factory=dict)
    _embedded: Tensor | None = None
    _lock: Lock = field(default_factory=Lock)

    def space(self, name: str, label: int | None) -> Space:
        """A space with its instruments."""
        with self._lock:
            if (name, label) not in self._spaces:
                self._spaces[name, label] = build_space(
                    self.model.loaded, self.model.features(), name=name, label=label,
                    data_path=self.data_path,
                )  # fmt: skip
            return self._spaces[name, label]

    def read(self, space: Space, images: Tensor) -> list[Query]:
        """The likeliest value of each attribute, of each image; nothing without a classifier."""
        if space.classify is None:
            return []
        best = {name: logits.argmax(1).tolist() for name, logits in space.logits(images).items()}
        return [{name: values[i] for name, values in best.items()} for i in range(len(images))]

    def nearest(self, space: Space, image: Tensor, count: int) -> Tensor:
        """The training images that look most like an image, uint8 ``count×C×H×W``."""
        with self._lock:
            if self._embedded is None:
                self._embedded = space.embed(space.train.images)
        found = nearest(space.embed(image[None]), self._embedded, count).indices[0]
        return space.train.images[found]


def spelled(query: Query, names: Mapping[str, list[str]]) -> str:
    """A query in words that people read."""
    return spell(query, names).replace("=", " ").replace("_", " ").replace(",", ", ")
