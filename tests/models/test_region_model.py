import pytest
import torch
from lightning.pytorch import LightningDataModule
from torch.testing import assert_close

from ganforge.losses.adversarial import Hinge
from ganforge.losses.objective import AdversarialObjective
from ganforge.models.region import RegionTranslator, strangers
from ganforge.networks.patchgan import PatchGAN
from ganforge.networks.region import ExemplarEditor, HolePainter
from ganforge.utils.images import to_float
from ganforge.utils.regions import Region
from models.tiny_translators import adam

REGION = Region([[0.25, 0.25], [0.75, 0.25]], [[0.5, 0.25, 0.3, 0.15]], aspect=0.5)
SHAPE = (3, 16, 32)


def make(seed=0, **options):
    torch.manual_seed(seed)
    return RegionTranslator(
        ExemplarEditor(3, downsamplings=3, width=4),
        PatchGAN(3, 4, 1, channels_condition=3),
        AdversarialObjective(Hinge()),
        REGION,
        32,
        adam,
        adam,
        seed=seed,
        **options,
    )


def windows(count, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, *SHAPE), generator=rng).byte()


def batch(count=4, people=(0, 0, 1, 2)):
    sides = {side: to_float(windows(count, i)) for i, side in enumerate(("exemplar", "truth"))}
    return {**sides, "input": to_float(windows(count, 2)), "person": torch.tensor(people)}


class Eyes(LightningDataModule):
    def train_dataloader(self):
        return torch.utils.data.DataLoader([batch()] * 20, batch_size=None)


def test_outside_of_the_region_every_bit_is_the_input():
    module = make()
    seen, exemplar = windows(3), windows(3, 1)
    made = module.retouch(seen, exemplar)
    outside = (module.soft == 0).expand_as(seen)
    assert 0 < outside.float().mean() < 1
    assert_close(made[outside], seen[outside], rtol=0, atol=0)
    assert (made != seen).any()


def test_the_hole_is_hidden_from_the_generator():
    """Whatever the eyes of the input look like, what is generated is the same."""
    module = make().eval()
    seen, exemplar = to_float(windows(2)), to_float(windows(2, 1))
    other = torch.where(module.hole == 1, -seen, seen)
    for ours, theirs in zip(
        module.change(seen, exemplar), module.change(other, exemplar), strict=True
    ):
        assert_close(ours, theirs, rtol=0, atol=0)


def test_without_a_correction_the_exemplar_is_pasted():
    module = make()
    torch.nn.init.zeros_(module.generator.output[1].weight)
    torch.nn.init.zeros_(module.generator.output[1].bias)
    seen, exemplar = windows(2), windows(2, 1)
    inside = (module.hole == 1).expand_as(seen)
    assert_close(module.retouch(seen, exemplar)[inside], exemplar[inside], rtol=0, atol=0)


def test_the_painter_looks_at_no_exemplar():
    module = make()
    module.generator = HolePainter(3, downsamplings=3, width=4)
    seen, exemplar, other = windows(2), windows(2, 1), windows(2, 2)
    made = module.retouch(seen, exemplar)
    assert_close(made, module.retouch(seen, other), rtol=0, atol=0)
    assert (made != seen).any()


def test_strangers_are_the_next_other_people():
    stranger, found = strangers(torch.tensor([4, 4, 7, 4]))
    assert stranger[:3].tolist() == [2, 2, 3]
    assert stranger[3].item() == 2
    assert found.all()
    assert not strangers(torch.tensor([5, 5]))[1].any()


def test_the_critic_sees_half_generated_half_mismatched(tiny_trainer):
    """The second and fourth pair are a truth beside a stranger; those of one person stay fakes."""
    module, seen = make(), []
    module.discriminator.register_forward_hook(lambda _, inputs, out: seen.append(inputs[0]))
    module.log_dict = lambda *_, **__: None
    tiny_trainer(max_steps=1).fit(module, datamodule=Eyes())
    real, false, generated = seen
    given = batch()
    truth, exemplar = given["truth"], given["exemplar"]
    assert_close(real, torch.cat([truth, exemplar], 1))
    for row, stranger in ((1, 2), (3, 0)):
        assert_close(false[row], torch.cat([truth[row], exemplar[stranger]]))
    assert_close(false[::2], generated.detach()[::2])
    assert_close(generated[:, 3:], exemplar)


def test_l1_counts_the_region_alone(tiny_trainer):
    """A generated region that is off by a constant has that as L1."""
    module, readings = make(lambda_adversarial=0.0), []
    module.fill = lambda images, exemplar, sound: (
        batch()["truth"] + 0.25 * module.soft.sign() + 0 * next(module.generator.parameters()).sum()
    )
    module.observers.append(lambda player, values, _: readings.append((player, values)))
    tiny_trainer(max_steps=1).fit(module, datamodule=Eyes())
    ((player, values),) = readings  # no critic
    assert player == "generator"
    assert values["l1"].item() == pytest.approx(0.25, rel=1e-5)
    assert values["loss"].item() == pytest.approx(20 * 0.25, rel=1e-5)


def test_a_few_steps_bring_the_region_nearer(tiny_trainer):
    module = make(lambda_adversarial=0.1)
    given = batch()

    def distance():
        made = module.fill(given["input"], given["exemplar"])
        return ((made - given["truth"]).abs() * module.soft).sum().item()

    before = distance()
    tiny_trainer(max_steps=20).fit(module, datamodule=Eyes())
    assert distance() < 0.8 * before


def test_pairs_translate_and_other_ways_are_refused():
    module, seen, exemplar = make(), windows(2), windows(2, 1)
    pairs = torch.cat([seen, exemplar], dim=1)
    assert_close(module.translate(pairs, "input_to_truth"), module.retouch(seen, exemplar))
    with pytest.raises(ValueError, match="input_to_truth"):
        module.translate(pairs, "a_to_b")


def test_masks_are_no_part_of_a_checkpoint():
    assert not {"soft", "hole"} & set(make().state_dict())
