import dataclasses

import pytest
import torch

from ganforge.latent.perceptual import distance, embed
from ganforge.latent.projection import Projection, best_samples
from ganforge.latent.space import Reals
from ganforge.utils.errors import UserError
from ganforge.utils.images import to_float


def test_the_start_is_the_best_of_all_candidates(space):
    z = space.prior.draw(300, space.rng(1))
    targets = space.test.images[:4]
    maps = embed(space.activations, to_float(targets))
    found, values = best_samples(space, maps, z, torch.device("cpu"))
    seen = embed(space.activations, to_float(space.images(z)))
    for i in range(4):
        every = distance(seen, [m[i : i + 1] for m in maps])
        assert values[i].item() == pytest.approx(every.min().item(), abs=1e-7)
        assert torch.equal(found[i], z[every.argmin()])


def test_projection_finds_generated_targets_again(space):
    findings = Projection(count=4, candidates=10, steps=150, prior_weight=0.0, shown=2)(space)
    numbers = findings.numbers
    assert numbers["reduction"] > 0.9
    assert numbers["rms"] < 0.3 * numbers["rms_of_best_sample"]
    assert numbers["distance_of_best_sample"] == pytest.approx(
        sum(numbers["distances_of_best_samples"]) / 4
    )
    sheet, film = findings.pictures["projection"], findings.pictures["search"]
    assert sheet.images.shape == (6, 3, 8, 8)
    assert not film.loops
    assert torch.equal(film.frames[-1][2:], sheet.images[[2, 5]])
    assert torch.equal(film.frames[0][2:], sheet.images[[1, 4]])


def test_one_file_needs_no_list(space_with):
    opened = []

    def open_image(path):
        opened.append(path)
        return torch.zeros(3, 8, 8, dtype=torch.uint8)

    Projection("me.png", candidates=4, steps=1, frames=1)(space_with(open_image=open_image))
    Projection(["a.png", "b.png"], candidates=4, steps=1, frames=1)(
        space_with(open_image=open_image)
    )
    assert opened == ["me.png", "a.png", "b.png"]


def test_the_prior_keeps_latents_at_their_length(space):
    tool = Projection(count=3, candidates=10, steps=100, prior_weight=100.0)
    z = torch.tensor(tool(space).numbers["z"])
    torch.testing.assert_close(z.square().mean(1), torch.ones(3), atol=0.05, rtol=0)


def test_files_are_projected(space):
    opened = []

    def open_image(path):
        opened.append(path)
        return space.test.images[0]

    with_files = dataclasses.replace(space, open_image=open_image)
    findings = Projection(images=["a.png", "b.png"], candidates=5, steps=2)(with_files)
    assert opened == ["a.png", "b.png"]
    assert findings.numbers["targets"] == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"count": 101}, "there are 100"), ({"images": []}, "empty list"), ({"count": 0}, "=0 held")],
)
def test_mistakes_are_one_sentence(space, changes, message):
    with pytest.raises(UserError, match=message):
        Projection(**changes)(space)


def test_features_that_cannot_be_differentiated_are_refused(space_with):
    with pytest.raises(UserError, match="features=cnn"):
        Projection()(space_with(activations=None, test=Reals(torch.zeros(1))))
