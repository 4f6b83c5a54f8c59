"""Terms of the generator's own, by values that a hand computes."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganforge.losses.adversarial import NonSaturating
from ganforge.losses.generator_terms import PathLength
from ganforge.losses.objective import AdversarialObjective, Generation
from ganforge.losses.regularizers import Lazy
from ganforge.networks.mapped import MappedGenerator
from ganforge.utils.errors import UserError
from models.tiny_translators import make_cyclegan
from tiny import RandomImages, make_gan, make_trainer

Z = torch.tensor([[1.0, 2.0], [3.0, -1.0]])


def one_pixel(w):
    """An image of one pixel, 3·w₀ + 4·w₁: ‖Jᵀy‖ = 5·|y|."""
    return (3 * w[:, :1] + 4 * w[:, 1:]).reshape(-1, 1, 1, 1)


def lengths(seed, count=2):
    torch.manual_seed(seed)
    return 5 * torch.randn(count, 1, 1, 1).flatten().abs()


def test_path_length_is_that_of_the_jacobian():
    term = PathLength(weight=3.0, decay=0.25)
    expected = lengths(0)
    torch.manual_seed(0)
    value = term(Generation(Z, torch.clone, one_pixel))
    mean = 0.25 * expected.mean()
    assert_close(term.mean, mean)
    assert_close(value, (expected - mean).square().mean())


def test_the_random_image_is_scaled_by_its_side():
    term = PathLength(decay=1.0)
    torch.manual_seed(0)
    value = term(Generation(Z, torch.clone, lambda w: w[:, :1, None, None].expand(-1, 1, 8, 8)))
    torch.manual_seed(0)
    moved = (torch.randn(2, 1, 8, 8) / 8).sum((1, 2, 3)).abs()  # J is 1 at every pixel
    assert_close(value, moved.var(correction=0))


def test_its_gradient_reaches_synthesis_and_mapping():
    generator = MappedGenerator(nn.Sequential(nn.Linear(2, 2), nn.Tanh()), nn.Linear(2, 3))
    cubed = lambda w: generator.synthesis(w).pow(3)[:, :, None, None]  # noqa: E731
    PathLength()(Generation(Z, generator.styles, cubed)).backward()
    assert all(p.grad.abs().sum() > 0 for p in generator.parameters())


def test_lazily_it_acts_at_its_turns_and_is_shown_between():
    term = Lazy(PathLength(weight=2.0), every=2)
    objective = AdversarialObjective(NonSaturating(), generator_terms={"path": term})
    said = [objective.of_generator(Generation(Z, torch.clone, one_pixel))["path"] for _ in "123"]
    assert [each.weight for each in said] == [4.0, 0.0, 4.0]
    assert_close(said[1].value, said[0].value.detach())
    assert not said[1].value.requires_grad
    names = set(objective.state_dict())
    assert {"generator_memories.path.last", "generator_memories.path.regularizer.mean"} <= names


class Height:
    """The mean of what is made, to be minimised alone."""

    weight = 0.5

    def __call__(self, generation):
        self.parts = [*getattr(self, "parts", []), generation.part]
        return generation.synthesis(generation.mapping(generation.latents)).mean()


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_term_enters_the_generators_update_alone(accumulate, tmp_path):
    module = make_gan(accumulate=accumulate)
    term = module.objective.generator_terms["height"] = Height()
    seen = []
    module.observers.append(lambda player, readings, _: seen.append((player, readings)))
    make_trainer(tmp_path, max_steps=1).fit(module, RandomImages())
    (_, critics), (player, readings) = seen
    assert "height" not in critics
    assert player == "generator"
    assert_close(readings["loss"], readings["adversarial"] + 0.5 * readings["height"])
    assert term.parts == list(range(accumulate))


def test_a_recorded_step_asks_the_generators_terms_once():
    module = make_gan({"r1": Lazy(Height())}, n_critic=3)
    objective = AdversarialObjective(NonSaturating(), generator_terms={"p": Lazy(Height())})
    module.objective.generator_memories = objective.generator_memories
    assert module.calls_of(module.objective.memories["r1"]) == 3
    assert module.calls_of(module.objective.generator_memories["p"]) == 1


def test_settings_without_a_class_name_their_group():
    with pytest.raises(ValueError, match=r"choose it with generator_term=\[path\]"):
        AdversarialObjective(NonSaturating(), generator_terms={"path": {"weight": 1}})


def test_a_translator_refuses_what_reads_latents(tmp_path):
    module = make_cyclegan()
    module.objective.generator_terms["path_length"] = PathLength()
    with pytest.raises(UserError, match=r"generator_term=\[path_length\] reads the latents"):
        make_trainer(tmp_path, max_steps=1).fit(module, [])
