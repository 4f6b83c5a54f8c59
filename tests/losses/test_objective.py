import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganforge.augment.ada import ADA
from ganforge.augment.diffaugment import Color, Cutout, DiffAugment, Translation
from ganforge.augment.instance_noise import InstanceNoise
from ganforge.losses.adversarial import (
    Hinge,
    LeastSquares,
    NonSaturating,
    Relativistic,
    Wasserstein,
)
from ganforge.losses.objective import AdversarialObjective, Critique
from ganforge.losses.regularizers import R1, R2, Lazy, LeCam


class Double(nn.Module):
    def forward(self, images):
        return 2 * images


class Constant:
    """A regularizer of known value that remembers what it was shown."""

    def __init__(self, value, weight):
        self.value, self.weight = value, weight

    def __call__(self, critique):
        self.critique = critique
        return torch.tensor(self.value)


def total(x):
    return x.flatten(1).sum(1, keepdim=True)


REAL = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
FAKE = torch.tensor([[0.5, 0.5], [0.0, 1.0]])


def test_terms_are_named_and_unweighted():
    objective = AdversarialObjective(Wasserstein(), {"r1": R1(weight=10.0)})
    terms = objective.discriminator(total, REAL, FAKE)
    readings = ["D(x)", "D(G(z))", "logit(x)", "logit(G(z))"]
    assert list(terms) == ["adversarial", "r1", *readings]
    assert terms["logit(x)"].value.item() == pytest.approx(5)
    assert terms["logit(G(z))"].value.item() == pytest.approx(1)
    assert terms["adversarial"].value.item() == pytest.approx(1 - 5)
    assert terms["adversarial"].weight == 1
    # ∇ of a sum is ones: ½·2, whatever the weight.
    assert terms["r1"].value.item() == pytest.approx(1)
    assert terms["r1"].weight == 10


def test_a_weight_of_zero_still_computes():
    regularizer = Constant(3.0, weight=0.0)
    terms = AdversarialObjective(Wasserstein(), {"c": regularizer}).discriminator(total, REAL, FAKE)
    assert terms["c"].value.item() == 3
    assert terms["c"].weight == 0


def test_readings_are_probabilities_without_weight_or_gradient():
    real = REAL.clone().requires_grad_()
    terms = AdversarialObjective(LeastSquares()).discriminator(lambda x: x / 10, real, FAKE)
    assert terms["D(x)"].value.item() == pytest.approx(0.25)
    assert terms["D(G(z))"].value.item() == pytest.approx(0.05)
    for name in ("D(x)", "D(G(z))"):
        assert terms[name].weight == 0
        assert not terms[name].value.requires_grad


def test_fake_is_detached_for_the_discriminator():
    generator, critic = nn.Linear(2, 2), nn.Linear(2, 1)
    terms = AdversarialObjective(NonSaturating(), {"r1": R1()}).discriminator(
        critic, REAL, generator(REAL)
    )
    sum(term.value for term in terms.values()).backward()
    assert critic.weight.grad.abs().sum() > 0
    assert generator.weight.grad is None


def test_both_sides_are_augmented():
    seen = Constant(0.0, weight=1.0)
    objective = AdversarialObjective(Wasserstein(), {"seen": seen}, Double())
    terms = objective.discriminator(total, REAL, FAKE)
    assert terms["adversarial"].value.item() == pytest.approx(2 * (1 - 5))
    assert_close(seen.critique.real, 2 * REAL)
    assert_close(seen.critique.fake, 2 * FAKE)
    assert_close(seen.critique.real_logits, total(2 * REAL))
    assert_close(seen.critique.fake_logits, total(2 * FAKE))
    generator = objective.generator(total, FAKE)
    assert generator["adversarial"].value.item() == pytest.approx(-2)


def test_noise_comes_after_the_augmentation():
    class AddOne(nn.Module):
        def forward(self, images):
            return images + 1

    seen = Constant(0.0, weight=1.0)
    objective = AdversarialObjective(Wasserstein(), {"seen": seen}, Double(), AddOne())
    objective.discriminator(total, REAL, FAKE)
    assert_close(seen.critique.real, 2 * REAL + 1)
    assert_close(seen.critique.fake, 2 * FAKE + 1)
    # total(2·FAKE + 1) is 4 and 4.
    assert objective.generator(total, FAKE)["adversarial"].value.item() == pytest.approx(-4)


class Listener(nn.Identity):
    """Notes what an adaptive augmentation is told."""

    def observe(self, verdicts):
        self.heard = verdicts
        return {"level": torch.tensor(0.25)}


@pytest.mark.parametrize(
    ("loss", "verdicts"),
    [
        # Real totals are 3 and 7, generated ones 1 and 1.
        (NonSaturating(), [0.4526, 0.4991]),  # σ(3) - 0.5, σ(7) - 0.5
        (LeastSquares(), [-0.2, 0.2]),  # a tenth of the totals below: 0.3 and 0.7 minus 0.5
        (Relativistic(), [0.3808, 0.4975]),  # σ(2) - 0.5, σ(6) - 0.5
    ],
)
def test_what_adapts_is_told_the_verdicts_on_real_images(loss, verdicts):
    listener = Listener()
    share = 0.1 if isinstance(loss, LeastSquares) else 1.0
    objective = AdversarialObjective(loss, augment=listener)
    terms = objective.discriminator(lambda x: share * total(x), REAL, FAKE)
    assert listener.heard.flatten().tolist() == pytest.approx(verdicts, abs=1e-4)
    assert terms["level"].value.item() == 0.25
    assert terms["level"].weight == 0


@pytest.mark.parametrize(
    ("loss", "undecided"), [(NonSaturating(), 0.0), (LeastSquares(), 0.5), (Hinge(), 0.0)]
)
def test_a_critic_at_chance_leaves_adaptive_augmentation_alone(loss, undecided):
    """Half of the answers on either side of the boundary: r_t is 0, p falls towards 0."""
    ada = ADA(speed_kimg=1, interval=1, p=0.5)
    answers = undecided + torch.tensor([[0.2], [-0.2], [0.1], [-0.1]])
    objective = AdversarialObjective(loss, augment=ada)
    critique = Critique(None, REAL, FAKE, answers, answers)
    assert objective._observe(critique)["augment_p"].value.item() == pytest.approx(0.496)


def test_adaptive_augmentation_refuses_a_loss_without_boundary():
    with pytest.raises(ValueError, match="Wasserstein answers have no boundary"):
        AdversarialObjective(Wasserstein(), augment=ADA())


def test_settings_without_a_class_are_no_regularizer():
    with pytest.raises(ValueError, match=r"regularizer r1 is settings without a class"):
        AdversarialObjective(Wasserstein(), {"r1": {"weight": 0.1}})


def test_a_loss_that_does_not_compare_never_sees_real_images():
    shown = []

    def critic(images):
        shown.append(images)
        return total(images)

    AdversarialObjective(Wasserstein()).generator(critic, FAKE, REAL)
    assert len(shown) == 1


def test_readings_of_a_comparing_loss_ignore_what_both_sides_share():
    """Relativistic logits are known up to a constant: σ of the distance to the others' mean."""
    readings = []
    for shift in (0.0, 100.0):
        terms = AdversarialObjective(Relativistic()).discriminator(
            lambda x, shift=shift: total(x) + shift, REAL, FAKE
        )
        readings.append([terms[name].value for name in ("D(x)", "D(G(z))")])
    # Totals: real 3 and 7, fake 1 and 1.
    real = (torch.tensor([2.0, 6.0]).sigmoid()).mean()
    assert_close(readings[0], [real, torch.tensor(-4.0).sigmoid()])
    assert_close(readings[1], readings[0], rtol=1e-4, atol=1e-4)


def test_what_a_regularizer_remembers_is_saved():
    def made():
        return AdversarialObjective(Wasserstein(), {"lecam": LeCam(), "r1": R1(), "l": Lazy(R1())})

    first, second = made(), made()
    for _ in range(3):
        first.discriminator(total, REAL, FAKE)
    second.load_state_dict(first.state_dict())
    for _ in range(20):
        ours, theirs = (o.discriminator(total, 2 * REAL, FAKE) for o in (first, second))
        assert {n: (t.value.item(), t.weight) for n, t in ours.items()} == {
            n: (t.value.item(), t.weight) for n, t in theirs.items()
        }


@pytest.mark.parametrize(
    "augment", [None, Color(), Translation(), DiffAugment([Color(), Translation(), Cutout()])]
)
def test_gradients_reach_the_generator_through_the_augmentation(augment):
    torch.manual_seed(0)
    latents = torch.randn(4, 3, 8, 8, requires_grad=True)
    terms = AdversarialObjective(NonSaturating(), augment=augment).generator(total, latents.tanh())
    terms["adversarial"].value.backward()
    assert (latents.grad.flatten(1).abs().sum(1) > 0).all()


def test_a_paired_loss_gets_real_logits():
    class Relative(Wasserstein):
        needs_real = True

        def generator(self, fake_logits, real_logits=None):
            return (real_logits - fake_logits).mean()

    objective = AdversarialObjective(Relative(), augment=Double())
    terms = objective.generator(total, FAKE, REAL)
    assert terms["adversarial"].value.item() == pytest.approx(2 * (5 - 1))


def test_bf16_logits_enter_the_loss_in_fp32():
    logits = torch.tensor([[256.0], [258.0], [260.0], [261.0]])

    def critic(x):
        return logits.bfloat16() if x is REAL else torch.zeros(4, 1).bfloat16()

    terms = AdversarialObjective(Wasserstein()).discriminator(critic, REAL, FAKE)
    # bf16 holds even numbers up to 512: 261 arrives as 260, and the mean 258.5 is no bf16 number.
    assert terms["adversarial"].value.dtype == torch.float32
    assert terms["adversarial"].value.item() == -258.5
    assert terms["D(x)"].value.dtype == torch.float32


def test_bf16_generator_logits_enter_the_loss_in_fp32():
    terms = AdversarialObjective(Wasserstein()).generator(
        lambda _: torch.tensor([256.0, 258.0, 260.0, 260.0]).bfloat16(), FAKE
    )
    assert terms["adversarial"].value.item() == -258.5


def test_regularizers_come_from_any_mapping():
    given = {"c": Constant(1.0, weight=2.0)}
    objective = AdversarialObjective(Wasserstein(), given)
    given.clear()
    assert "c" in objective.discriminator(total, REAL, FAKE)


class Darker(nn.Module):
    """Half as bright, but for the first pixel, which is lost."""

    def forward(self, images):
        return images * torch.tensor([0.0, 0.5])


@pytest.mark.parametrize("penalty", [R1(), R2(), Lazy(R1())])
def test_gradients_are_taken_through_the_augmentation(penalty):
    """As in StyleGAN2-ADA: D(T(x)) = x₂ / 2, whose gradient by x is (0, ½)."""
    terms = AdversarialObjective(
        Wasserstein(), {"penalty": penalty}, augment=Darker()
    ).discriminator(total, REAL, FAKE)
    assert terms["penalty"].value.item() == pytest.approx(0.5 * 0.25)


@pytest.mark.parametrize("augment", [ADA(p=1.0), DiffAugment([Color(), Translation(), Cutout()])])
def test_r1_teaches_the_critic_through_every_augmentation(augment):
    """Against differences: the penalty of the same draws with a weight moved a little."""
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Softplus(), nn.Flatten(), nn.Linear(72, 1))
    real = torch.rand(3, 3, 8, 8) * 2 - 1

    def penalty():
        torch.manual_seed(3)
        return R1()(Critique(critic, real, real, real, real, augment))

    weight = critic[0].weight
    (gradient,) = torch.autograd.grad(penalty(), weight)
    with torch.no_grad():
        weight[0, 0, 0, 0] += 1e-2
        above = penalty().item()
        weight[0, 0, 0, 0] -= 2e-2
        below = penalty().item()
    assert gradient[0, 0, 0, 0].item() == pytest.approx((above - below) / 2e-2, rel=2e-2)


def in_parts(objective, critic, real, fake, parts):
    """Terms of all parts, and the critic's gradient that ``update`` would make of them."""
    critic.zero_grad()
    matches = zip([critic] * parts, real.chunk(parts), fake.chunk(parts), strict=True)
    found = list(objective.discriminator_in_parts(matches, parts))
    for terms in found:
        (sum(t.weight * t.value for t in terms.values() if t.weight) / parts).backward()
    return found, critic.weight.grad.clone()


def test_parts_of_a_batch_move_what_is_remembered_once():
    """Fading noise, a lazy turn, the anchors: a batch of 8 in 4 parts is one batch."""
    real, fake = torch.randn(8, 5), torch.randn(8, 5)
    results = []
    for parts in (1, 4):
        torch.manual_seed(0)
        critic, lazy, lecam = nn.Linear(5, 1), Lazy(R1(), every=2), LeCam(decay=0.5)
        noise = InstanceNoise(std=0.0, kimg=1.0)
        objective = AdversarialObjective(
            NonSaturating(), {"lazy": lazy, "lecam": lecam}, noise=noise
        )
        for update, weight in enumerate([20.0, 0.0, 20.0], start=1):
            terms, gradient = in_parts(objective, critic, real, fake, parts)
            assert [t["lazy"].weight for t in terms] == [weight] * parts
            means = {name: sum(t[name].value for t in terms) / parts for name in terms[0]}
            results.append((means, gradient, lecam.anchors.clone(), lazy.last.clone()))
            assert noise.get_extra_state() == {"images": 8 * update}
    readings = [means.pop("noise_std", None) for means, *_ in results]
    assert readings[0] == 0
    assert_close(results[3:], results[:3])


def test_an_adapted_probability_moves_once_a_batch():
    ada = ADA(speed_kimg=1, interval=2)
    real = torch.zeros(8, 3, 8, 8)
    objective = AdversarialObjective(NonSaturating(), augment=ada)
    for p in (0.0, 0.016):
        matches = [(lambda x: 5 + total(x), part, part) for part in real.chunk(4)]
        terms = list(objective.discriminator_in_parts(matches, 4))
        assert ada.p.item() == pytest.approx(p)
        assert terms[-1]["augment_p"].value.item() / 4 == pytest.approx(p)
        assert all("augment_p" not in t for t in terms[:-1])
