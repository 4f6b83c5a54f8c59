import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganforge.losses.objective import Critique
from ganforge.losses.regularizers import (
    R1,
    R2,
    Consistency,
    GradientPenalty,
    Lazy,
    LeCam,
    input_gradient,
)


def critique(critic, real, fake=None):
    fake = torch.zeros_like(real) if fake is None else fake
    return Critique(critic, real, fake, critic(real), critic(fake))


def half_square(x):
    """D(x) = ½‖x‖²: ∇D = x."""
    return 0.5 * x.flatten(1).square().sum(1, keepdim=True)


# A linear critic of patches: a 2×2 kernel of 1, 2, 3 and 4 at the four places of a 3×3 image.
KERNEL = torch.tensor([[1.0, 2.0], [3.0, 4.0]])


def patches(x):
    """Logits ``N×1×2×2``; the image's own is their mean."""
    return nn.functional.conv2d(x, KERNEL[None, None])


# Each pixel's weights in the four patches, over 4.
OF_PIXELS = torch.tensor([[1.0, 3.0, 2.0], [4.0, 10.0, 6.0], [3.0, 7.0, 4.0]]) / 4


def test_a_critic_of_patches_has_one_logit_an_image():
    """Not the sum of its patches', which is their number times as steep: 16 times in R1."""
    x = torch.randn(3, 1, 3, 3)
    assert_close(input_gradient(patches, x), OF_PIXELS.flatten().expand(3, 9))
    shown = critique(patches, x)
    square = (1 + 9 + 4 + 16 + 100 + 36 + 9 + 49 + 16) / 16  # of the gradient's norm: 15
    assert R1()(shown).item() == pytest.approx(square / 2)
    assert R2()(shown).item() == pytest.approx(square / 2)
    assert Lazy(R1())(shown).item() == pytest.approx(square / 2)
    assert GradientPenalty()(shown).item() == pytest.approx((square**0.5 - 1) ** 2, rel=1e-5)


@pytest.mark.parametrize("size", [16, 64])
def test_r1_of_a_critic_of_patches_does_not_grow_with_its_patches(size):
    """Every patch sees the brightness of one pixel: the image's logit is the mean brightness."""
    x = torch.randn(2, 1, size, size)
    found = R1()(critique(lambda image: image, x)).item()
    assert found == pytest.approx(0.5 / size**2)


def test_consistency_of_a_critic_of_patches_compares_one_logit_an_image():
    """A shift that only moves what the patches say costs nothing."""
    x = torch.randn(2, 1, 4, 4)
    shifted = nn.Module()
    shifted.forward = lambda images: images.roll(1, -1)
    shown = Critique(lambda image: image, x, x, x, x)
    assert Consistency(shifted)(shown).item() == pytest.approx(0, abs=1e-12)


def test_input_gradient_is_per_sample():
    x = torch.randn(3, 2, 4, 4)
    assert_close(input_gradient(half_square, x), x.flatten(1))


@pytest.mark.parametrize(("penalty", "value"), [(R1(), 0.0), (R2(), 0.0), (GradientPenalty(), 1.0)])
def test_a_dead_critic_gets_no_nan(penalty, value):
    """A critic whose gradient vanishes has a finite penalty with a finite gradient."""
    critic = nn.Linear(3, 1)
    nn.init.zeros_(critic.weight)
    found = penalty(critique(critic, torch.randn(4, 3)))
    found.backward()
    assert found.item() == value
    assert critic.weight.grad.isfinite().all()


def test_r1_of_a_linear_critic():
    critic = nn.Linear(3, 1)
    with torch.no_grad():
        critic.weight.copy_(torch.tensor([[1.0, 2.0, 2.0]]))
    assert R1()(critique(critic, torch.randn(5, 3))).item() == pytest.approx(0.5 * 9)


def test_r1_of_a_quadratic_critic_reads_only_real():
    real = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    fake = torch.full((2, 2), 100.0)
    assert R1()(critique(half_square, real, fake)).item() == pytest.approx(0.5 * (25 + 4) / 2)


def test_gradient_penalty_of_a_linear_critic():
    critic = nn.Linear(3, 1)
    with torch.no_grad():
        critic.weight.copy_(torch.tensor([[1.0, 2.0, 2.0]]))
    found = GradientPenalty()(critique(critic, torch.randn(5, 3), torch.randn(5, 3)))
    assert found.item() == pytest.approx((3 - 1) ** 2, rel=1e-5)


def test_gradient_penalty_takes_one_norm_a_sample():
    """One norm over the batch would be √(25 + 1) - 1 squared: 16.8, not the mean of 16 and 0."""
    real = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    found = GradientPenalty()(critique(half_square, real, real))
    assert found.item() == pytest.approx((16 + 0) / 2, rel=1e-6)


def test_gradient_penalty_interpolates_with_one_epsilon_a_sample():
    """Every interpolate lies on its own segment, at its own place, alike in all pixels."""
    seen = []

    def critic(x):
        seen.append(x.detach())
        return half_square(x)

    real = torch.ones(64, 3, 4, 4)
    fake = -torch.ones(64, 3, 4, 4)
    torch.manual_seed(0)
    GradientPenalty()(Critique(critic, real, fake, torch.zeros(64), torch.zeros(64)))
    (between,) = seen
    positions = between.flatten(1)
    assert_close(positions, positions[:, :1].expand_as(positions))
    assert len(positions[:, 0].unique()) == 64
    assert positions.min() >= -1
    assert positions.max() <= 1
    # Uniform on [-1, 1]: mean 0 ± 0.58/8, so five deviations.
    assert positions[:, 0].mean().item() == pytest.approx(0, abs=0.36)


@pytest.mark.parametrize("penalty", [R1(), R2(), GradientPenalty()])
def test_gradients_reach_the_critic_only(penalty):
    critic = nn.Sequential(nn.Linear(4, 8), nn.Softplus(), nn.Linear(8, 1))
    generator = nn.Linear(2, 4)
    fake = generator(torch.randn(6, 2))
    penalty(critique(critic, torch.randn(6, 4), fake)).backward()
    assert critic[0].weight.grad.abs().sum() > 0
    assert critic[2].weight.grad.abs().sum() > 0
    assert generator.weight.grad is None


@pytest.mark.parametrize("penalty", [R1(), R2(), GradientPenalty()])
def test_penalties_leave_no_gradient_on_images(penalty):
    real, fake = torch.randn(4, 3), torch.randn(4, 3)
    critic = nn.Linear(3, 1)
    penalty(critique(critic, real, fake)).backward()
    assert not real.requires_grad
    assert real.grad is None
    assert fake.grad is None


@pytest.mark.parametrize("penalty", [R1(), R2(), GradientPenalty()])
def test_fp32_under_autocast(penalty):
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Flatten(), nn.Linear(48, 64), nn.Softplus(), nn.Linear(64, 1))
    real, fake = torch.randn(8, 3, 4, 4), torch.randn(8, 3, 4, 4)

    def run(autocast):
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            return penalty(critique(critic, real, fake))

    plain, mixed = run(False), run(True)
    assert mixed.dtype == torch.float32
    assert_close(mixed, plain, rtol=0, atol=0)


@pytest.mark.parametrize("penalty", [R1(), R2(), GradientPenalty()])
def test_bf16_images_are_widened(penalty):
    """Under autocast the generator's images are bf16: the critic's fp32 weights must take them."""
    critic = nn.Linear(3, 1)
    fake = torch.randn(4, 3).bfloat16()
    said = critic(fake.float())
    found = penalty(Critique(critic, torch.randn(4, 3), fake, said, said))
    assert found.dtype == torch.float32


def test_penalties_work_inside_no_grad():
    with torch.no_grad():
        value = R1()(critique(half_square, torch.tensor([[3.0, 4.0]])))
    assert value.item() == pytest.approx(12.5)


@pytest.mark.parametrize("penalty", [R1, R2, GradientPenalty])
def test_weight_is_carried_not_applied(penalty):
    real = torch.tensor([[3.0, 4.0]])
    light, heavy = penalty(weight=0.1), penalty(weight=50)
    assert (light.weight, heavy.weight) == (0.1, 50)
    assert_close(light(critique(half_square, real, real)), heavy(critique(half_square, real, real)))


def test_r2_of_a_quadratic_critic_reads_only_fake():
    fake = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    real = torch.full((2, 2), 100.0)
    assert R2()(critique(half_square, real, fake)).item() == pytest.approx(0.5 * (25 + 4) / 2)


def said(real, fake):
    """A critique of which only the logits matter."""
    real, fake = torch.tensor(real), torch.tensor(fake)
    return Critique(half_square, real, fake, real, fake)


def test_lecam_by_hand():
    """Real answers above the anchor of generated ones, generated ones below that of real ones."""
    lecam = LeCam(decay=0.5)
    # The first batch sets the anchors: real 2, fake -1.
    first = lecam(said([1.0, 3.0], [-1.0, -1.0]))
    assert first.item() == pytest.approx((2**2 + 4**2) / 2 + 3**2)
    # Means 4 and 1 move them half the way: real 3, fake 0.
    second = lecam(said([4.0], [1.0]))
    assert second.item() == pytest.approx((4 - 0) ** 2 + (3 - 1) ** 2)


def test_lecam_leaves_answers_on_the_near_side_of_an_anchor_alone():
    """Anchors 1 and 0: of 3 and -1 only the 3 is beyond 0, of -4 and 4 only the -4 is below 1."""
    real = torch.tensor([3.0, -1.0], requires_grad=True)
    fake = torch.tensor([-4.0, 4.0], requires_grad=True)
    value = LeCam()(Critique(half_square, real, fake, real, fake))
    assert value.item() == pytest.approx(3**2 / 2 + 5**2 / 2)
    value.backward()
    assert_close(real.grad, torch.tensor([3.0, 0.0]))
    assert_close(fake.grad, torch.tensor([-5.0, 0.0]))


def test_lecam_pulls_the_answers_not_the_anchors():
    real, fake = torch.tensor([2.0], requires_grad=True), torch.tensor([-1.0], requires_grad=True)
    LeCam()(Critique(half_square, real, fake, real, fake)).backward()
    assert real.grad.item() == pytest.approx(2 * (2 - -1))
    assert fake.grad.item() == pytest.approx(2 * (-1 - 2))


class PlusOne(nn.Module):
    def forward(self, images):
        return images + 1


def test_consistency_by_hand():
    """D is the sum of two numbers: T adds 2 to it."""

    def critic(images):
        return images.sum(1, keepdim=True)

    found = Consistency(PlusOne())(critique(critic, torch.randn(5, 2), torch.randn(5, 2)))
    assert found.item() == pytest.approx(4, rel=1e-5)
    assert Consistency(nn.Identity())(critique(critic, torch.randn(5, 2))).item() == 0


def test_lazy_acts_at_every_kth_update_k_times_as_heavy():
    lazy = Lazy(R1(weight=3.0), every=4)
    seen = []
    for i in range(9):
        real = torch.full((1, 2), float(i))
        value = lazy(critique(half_square, real))
        seen.append((value.item(), lazy.weight))
    # R1 of ½‖x‖² is ½‖x‖²: 0 at update 0, 16 at update 4, 64 at update 8.
    turns = [(0.0, 12.0), (16.0, 12.0), (64.0, 12.0)]
    assert seen[0::4] == turns
    assert seen[1:4] == [(0.0, 0.0)] * 3
    assert seen[5:8] == [(16.0, 0.0)] * 3


def test_lazy_costs_no_pass_of_the_critic_between_its_turns():
    calls = []

    def critic(images):
        calls.append(len(images))
        return half_square(images)

    lazy = Lazy(R1(), every=3)
    shown = Critique(critic, torch.ones(2, 2), torch.ones(2, 2), torch.ones(2), torch.ones(2))
    for _ in range(6):
        lazy(shown)
    assert len(calls) == 2


def test_lazy_is_per_sample_where_its_regularizer_is():
    assert Lazy(GradientPenalty()).per_sample
    assert not Lazy(R1()).per_sample


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="every 0"):
        Lazy(R1(), every=0)
    with pytest.raises(ValueError, match="decay is 1"):
        LeCam(decay=1.0)
