import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from ganforge.data.drawn_eyes import DrawnEyes
from ganforge.data.people import SHUT, Mouth, Person, random_pose
from ganforge.data.regions import CLOSED, OPEN, RegionDataModule, Windows
from ganforge.data.source import Chunk, Names
from ganforge.data.store import Images
from ganforge.data.windows import cut, resample
from ganforge.utils.errors import UserError
from ganforge.utils.regions import Placement, Region

REGION = Region(
    [[0.292, 0.312], [0.708, 0.312]],
    [[0.292, 0.312, 0.198, 0.156], [0.708, 0.312, 0.198, 0.156]],
    aspect=2 / 3,
)
# Rows of (person, picture, eyes): 0 has three pictures and shuts the eyes in one of them, 1 has
# two, one of them with both windows, 2 has one open picture, 3 two and a closed one.
ROWS = [
    (0, 0, OPEN), (0, 1, OPEN), (0, 2, CLOSED), (1, 3, OPEN), (1, 3, CLOSED), (1, 4, OPEN),
    (2, 5, OPEN), (2, 6, CLOSED), (3, 7, OPEN), (3, 8, OPEN), (3, 9, CLOSED), (0, 10, OPEN),
]  # fmt: skip


def numbered(rows=ROWS, size=(3, 8, 12)):
    """Windows whose level is their row."""
    levels = torch.arange(len(rows), dtype=torch.uint8)
    images = levels[:, None, None, None].expand(-1, *size)
    return Images(images, None, torch.tensor(rows), "")


class Numbered:
    """The same behind the cache."""

    label = None

    def check(self, size, channels):
        pass

    def key(self):
        return {"numbered": 1}

    def names(self):
        return Names(attributes={"person": [], "picture": [], "eyes": []})

    def chunks(self, split, size, channels):
        held = numbered()
        yield Chunk(held.images.numpy(), attributes=held.attributes.numpy())


def levels(images):
    return images[:, 0, 0, 0].tolist()


def module(tmp_path, source=None, **options):
    options = {"shape": (3, 8, 12), "size": 12, "channels": 3, "batch_size": 2, **options}
    return RegionDataModule("eyes", source or Numbered(), REGION, data_dir=tmp_path, **options)


def test_truths_have_open_eyes_and_another_such_picture():
    windows = Windows(numbered())
    assert sorted(windows.truths.tolist()) == [0, 1, 3, 5, 8, 9, 11]
    assert windows.people == 3


def test_every_exemplar_is_another_picture_of_the_person():
    windows = Windows(numbered())
    numbers = torch.arange(len(windows.truths))
    seen = {}
    for drawn in torch.linspace(0, 0.999, 20).double():
        rows = windows.exemplars(numbers, drawn.expand(len(numbers)))
        for truth, row in zip(windows.truths.tolist(), rows.tolist(), strict=True):
            seen.setdefault(truth, set()).add(row)
    others = {0: {1, 11}, 1: {0, 11}, 11: {0, 1}, 3: {5}, 5: {3}, 8: {9}, 9: {8}}
    assert seen == others


def test_cases_are_all_pairs_with_the_closed_window_where_there_is_one():
    cases = Windows(numbered()).cases()
    pairs = list(zip(*(levels(cases[s]) for s in ("truth", "exemplar", "input")), strict=True))
    assert sorted(pairs) == [
        (0, 1, 0), (0, 11, 0), (1, 0, 1), (1, 11, 1), (3, 5, 4), (5, 3, 5),
        (8, 9, 8), (9, 8, 9), (11, 0, 11), (11, 1, 11),
    ]  # fmt: skip
    assert cases["person"].tolist() == [ROWS[truth][0] for truth, _, _ in pairs]


def test_closed_windows_without_a_truth_go_beside_every_open_one():
    alone = Windows(numbered()).closed_alone()
    pairs = zip(levels(alone["input"]), levels(alone["exemplar"]), strict=True)
    assert sorted(pairs) == [(2, 0), (2, 1), (2, 11), (7, 6), (10, 8), (10, 9)]


def test_batches_hold_truth_exemplar_input_and_person(tmp_path):
    data = module(tmp_path, flip=False)
    loader = data.train_dataloader()
    truths, inputs = [], set()
    for _ in range(12):
        for batch in loader:
            assert batch["truth"].dtype == torch.uint8
            sides = (levels(batch[side]) for side in ("truth", "exemplar", "input"))
            for truth, exemplar, seen, who in zip(*sides, batch["person"].tolist(), strict=True):
                assert ROWS[truth][0] == ROWS[exemplar][0] == who
                assert truth != exemplar
                assert ROWS[exemplar][2] == OPEN
                assert seen in ((3, 4) if truth == 3 else (truth,))
                truths.append(truth)
                inputs.add((truth, seen))
    assert set(truths) == {0, 1, 3, 5, 8, 9, 11}
    assert {(3, 3), (3, 4)} <= inputs


@pytest.mark.parametrize("consumed", [1, 3, 4, 5])
def test_a_loaded_position_goes_on_exactly(tmp_path, consumed):
    data = module(tmp_path)

    def stream(loader):
        while True:
            yield from loader

    loader, other = data.train_dataloader(), data.train_dataloader()
    batches = stream(loader)
    for _ in range(consumed):
        next(batches)
    other.load_state_dict(loader.state_dict())
    for _, ours, theirs in zip(range(8), batches, stream(other), strict=False):
        for key in ours:
            assert_close(theirs[key], ours[key], rtol=0, atol=0)


def test_all_sides_mirror_alike_and_become_floats(tmp_path):
    images = torch.arange(12, dtype=torch.uint8).expand(2, 3, 8, 12)
    sides = dict.fromkeys(("exemplar", "truth", "input"), images)
    batch = {**sides, "person": torch.tensor([0, 1]), "flip": torch.tensor([True, False])}
    out = module(tmp_path).on_after_batch_transfer(batch, 0)
    assert set(out) == {*sides, "person"}
    row = torch.arange(12) / 127.5 - 1
    for side in sides:
        assert_close(out[side][0, 0, 0], row.flip(0))
        assert_close(out[side][1, 0, 0], row)


def test_too_few_people_and_wrong_shapes_are_named(tmp_path):
    class Alone(Numbered):
        def key(self):
            return {"alone": 1}

        def chunks(self, split, size, channels):
            held = numbered(ROWS[:3])
            yield Chunk(held.images.numpy(), attributes=held.attributes.numpy())

    with pytest.raises(UserError, match="1 people with a truth"):
        module(tmp_path, Alone()).setup()
    with pytest.raises(UserError, match=r"\[3, 8, 12\]"):
        module(tmp_path, shape=(3, 12, 12))


# Drawn people


@pytest.fixture(scope="module")
def drawn():
    source = DrawnEyes(REGION, train_count=3, test_count=2, workers=1)
    return {split: next(source.chunks(split, 48, 3)) for split in ("train", "test")}


def test_each_picture_is_drawn_with_open_and_with_closed_eyes(drawn):
    chunk = drawn["train"]
    assert chunk.images.shape == (12, 3, 32, 48)
    assert chunk.attributes.tolist() == [
        [who, 2 * who + picture, eyes] for who in range(3) for picture in (0, 1) for eyes in (1, 0)
    ]


def test_open_and_closed_differ_in_the_region_alone(drawn):
    images = torch.from_numpy(drawn["train"].images).float()
    outside = (
        REGION.weights(
            (torch.arange(48) + 0.5)[None, :] / 48, (torch.arange(32) + 0.5)[:, None] / 48
        )
        == 0
    )
    changed = (images[::2] - images[1::2]).abs()
    assert changed.amax((1, 2, 3)).min() > 60
    assert changed[..., outside].mean() < 0.02 * changed[..., ~outside].mean()


def test_people_and_pictures_differ_and_the_seed_decides(drawn):
    again = next(DrawnEyes(REGION, 3, 2, workers=1).chunks("train", 48, 3))
    assert_close(again.images, drawn["train"].images, rtol=0, atol=0)
    other = next(DrawnEyes(REGION, 3, 2, seed=1, workers=1).chunks("train", 48, 3))
    assert (other.images != again.images).any()
    both = np.concatenate([drawn["train"].images[::2], drawn["test"].images[::2]])
    assert len({image.tobytes() for image in both}) == len(both)


def test_eyes_of_a_drawn_person_lie_where_the_pose_says():
    """Irises are where closed and open eyes differ most: their middle is the place of an eye."""
    who, pose = Person("7"), random_pose(np.random.default_rng(0))
    open_eyes, closed = (np.asarray(who.draw(pose, 280, o), float) for o in (1.0, 0.0))
    changed = np.abs(open_eyes - closed).sum(2)
    for x, y in pose.eyes(280):
        rows, columns = np.mgrid[:280, :280] + 0.5
        near = changed * (np.hypot(columns - x, rows - y) < 26)
        middle = (near * columns).sum() / near.sum(), (near * rows).sum() / near.sum()
        assert middle == pytest.approx((x, y), abs=6)


def test_lips_open_and_lids_close_where_they_are_told():
    who, pose = Person("7"), random_pose(np.random.default_rng(0))
    shut, wide = (np.asarray(who.draw(pose, 140, mouth=Mouth(o, 0, 0)), int) for o in (0.0, 1.0))
    rows = np.abs(shut - wide).sum((1, 2))
    assert rows[: int(pose.eyes(140)[0][1])].sum() == 0
    assert rows.sum() > 0
    lines = [np.asarray(who.draw(pose, 140, o), int) for o in (0.0, SHUT / 2)]
    assert_close(*lines, rtol=0, atol=0)


def test_grey_and_too_few_people_are_refused():
    with pytest.raises(UserError, match="2 people in each split"):
        DrawnEyes(REGION, train_count=1)
    with pytest.raises(UserError, match="in colour"):
        DrawnEyes(REGION).check(48, 1)


# Windows


def test_a_window_of_the_picture_itself_is_the_picture():
    picture = np.random.default_rng(0).integers(256, size=(24, 36, 3)).astype(np.uint8)
    flat = Region([[0.25, 0.25], [0.75, 0.25]], REGION.ellipses, aspect=2 / 3)
    placement = Placement.of(flat, (9.0, 9.0), (27.0, 9.0))
    window = cut(Image.fromarray(picture), placement, (24, 36))
    assert_close(window, picture.transpose(2, 0, 1), rtol=0, atol=0)


def test_windows_follow_turned_and_scaled_eyes():
    """A smooth picture cut out at a place is its colours there."""
    y, x = np.mgrid[:200, :300]
    picture = Image.fromarray(np.stack([x * 0.8, y, 0 * x], -1).astype(np.uint8))
    for eyes in (((100.0, 80.0), (160.0, 120.0)), ((150.0, 90.0), (162.0, 92.0))):
        placement = Placement.of(REGION, *eyes)
        window = cut(picture, placement, (32, 48)).astype(float)
        for row, column in ((0, 0), (10, 40), (31, 20)):
            px, py = placement.at((column + 0.5) / 48, (row + 0.5) / 48)
            # Pixel i holds the level of x = i, and its centre lies at i + 0.5.
            assert window[:2, row, column] == pytest.approx([0.8 * px - 0.9, py - 0.5], abs=1.5)


def test_shrinking_averages_instead_of_picking_pixels():
    """Fine stripes become grey."""
    stripes = np.tile(np.array([0, 255], np.uint8), (160, 80))
    small = np.asarray(resample(Image.fromarray(stripes), (10, 0, 0, 0, 10, 0), (16, 16)))
    assert np.abs(small.astype(int) - 127).max() <= 3
