import io
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from ganforge.data.avatar_domains import AvatarDomain
from ganforge.data.avatars import render
from ganforge.data.paired import PairedFolder
from ganforge.data.pairs import Edges, Grey
from ganforge.data.source import Chunk, Names
from ganforge.data.translation import TranslationDataModule
from ganforge.data.unpaired import UnpairedFolder
from ganforge.utils.errors import UserError


class Numbered:
    """Row i is an image of the level i: what became of it is plain to see."""

    label = None

    def __init__(self, train=10, test=4, first=0, load_size=None):
        self.counts, self.first, self.load_size = {"train": train, "test": test}, first, load_size

    def check(self, size, channels):
        pass

    def key(self):
        return {"numbered": [self.counts, self.first, self.load_size]}

    def names(self):
        return Names()

    def chunks(self, split, size, channels):
        side = self.load_size if self.load_size and split == "train" else size
        levels = self.first + np.arange(self.counts[split], dtype=np.uint8)
        images = np.broadcast_to(levels[:, None, None, None], (len(levels), channels, side, side))
        # The level is in every pixel; the first channel's columns say where a piece came from.
        images = images.copy()
        images[:, 0] = np.arange(side)
        yield Chunk(images)


def module(tmp_path, a=None, b=None, paired=False, truth=True, **options):
    return TranslationDataModule(
        "numbered",
        a or Numbered(),
        b or Numbered(first=100),
        (3, 8, 8),
        **{"size": 8, "channels": 3, "channels_a": 3, "batch_size": 2, **options},
        data_dir=tmp_path,
        paired=paired,
        truth=truth,
    )


def levels(images):
    return images[:, 1, 0, 0].long()


def epoch(loader):
    batches = list(loader)
    return tuple(torch.cat([levels(batch[side]) for batch in batches]) for side in "ab")


def test_pairs_stay_pairs_and_are_shuffled(tmp_path):
    data = module(tmp_path, paired=True)
    a, b = epoch(data.train_dataloader())
    assert sorted(a.tolist()) == list(range(10))
    assert not torch.equal(a, a.sort().values)
    assert_close(b, a + 100)


def test_strangers_are_shuffled_apart(tmp_path):
    a, b = epoch(module(tmp_path, truth=False).train_dataloader())
    assert sorted(b.tolist()) == list(range(100, 110))
    assert not torch.equal(b, a + 100)


def test_an_epoch_is_one_pass_over_the_larger_side(tmp_path):
    data = module(tmp_path, b=Numbered(train=25, first=100), truth=False)
    loader = data.train_dataloader()
    assert len(loader) == 12
    a, b = epoch(loader)
    assert len(set(b.tolist())) == 24
    counts = torch.bincount(a, minlength=10)
    assert counts.min() >= 2
    assert counts.max() <= 3


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("consumed", [1, 4, 5, 7])
def test_a_loaded_position_goes_on_exactly(tmp_path, paired, consumed):
    b = Numbered(train=10 if paired else 7, first=100)
    data = module(tmp_path, b=b, paired=paired, flip=True)

    def stream(loader):
        while True:
            yield from loader

    loader, other = data.train_dataloader(), data.train_dataloader()
    batches = stream(loader)
    for _ in range(consumed):
        next(batches)
    other.load_state_dict(loader.state_dict())
    for _, ours, theirs in zip(range(12), batches, stream(other), strict=False):
        for key in ours:
            assert_close(theirs[key], ours[key], rtol=0, atol=0)


@pytest.mark.parametrize("paired", [True, False])
def test_pieces_and_mirrors_are_drawn_and_pairs_share_them(tmp_path, paired):
    sides = [Numbered(train=60, first=first, load_size=12) for first in (0, 100)]
    data = module(tmp_path, *sides, paired=paired, load_size=12, batch_size=20)
    loader = data.train_dataloader()
    batch = next(iter(loader))
    out = data.on_after_batch_transfer(batch, 0)
    ways = []
    for side in "ab":
        assert out[side].shape == (20, 3, 8, 8)
        assert out[side].dtype == torch.float32
        columns = ((out[side][:, 0, 0] + 1) * 127.5).round().long()
        steps = columns.diff(dim=1)
        assert set(steps.unique().tolist()) == {-1, 1}
        assert len(columns.min(1).values.unique()) > 2
        ways.append(columns)
    assert torch.equal(*ways) is paired


def test_test_images_are_whole_and_domains_are_data_modules(tmp_path):
    data = module(tmp_path, Numbered(load_size=12), Numbered(load_size=12), load_size=12)
    data.setup()
    test = data.domain("b").split("test").images
    assert test.shape == (4, 3, 8, 8)
    assert data.domain("a").take("test", 2).shape == (2, 3, 8, 8)
    assert data.domain("a").content_hash("test")


def test_sides_that_should_be_pairs_must_be_equally_long(tmp_path):
    with pytest.raises(UserError, match="train split of 'numbered' has 10 images A and 9 images B"):
        module(tmp_path, b=Numbered(train=9), paired=True).setup()
    with pytest.raises(UserError, match="test split"):
        module(tmp_path, b=Numbered(test=3)).setup()
    module(tmp_path, b=Numbered(train=9, test=3), truth=False).setup()
    with pytest.raises(UserError, match=r"load_size is 4, smaller than data\.size 8"):
        module(tmp_path, load_size=4)
    with pytest.raises(UserError, match="truth=true"):
        module(tmp_path, paired=True, truth=False)


# Made pairs


class Photos(Numbered):
    def chunks(self, split, size, channels):
        rng = np.random.default_rng(0)
        yield Chunk(rng.integers(256, size=(6, channels, size, size)).astype(np.uint8))


def test_grey_is_the_brightness_of_its_partner(tmp_path):
    data = module(tmp_path, Grey(Photos()), Photos(), paired=True, channels_a=1)
    data.setup()
    grey, colour = (data.domain(side).split("train").images for side in "ab")
    assert grey.shape == (6, 1, 8, 8)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    assert_close(grey[:, 0].float(), (colour * weights).sum(1).round(), rtol=0, atol=1)
    # Pillow's own conversion agrees to a level.
    pillow = np.asarray(Image.fromarray(colour[0].permute(1, 2, 0).numpy()).convert("L"))
    assert np.abs(pillow.astype(int) - grey[0, 0].numpy()).max() <= 1


def test_edges_are_dark_lines_where_brightness_changes():
    image = np.zeros((1, 16, 16), np.uint8)
    image[:, :, 8:] = 255
    lines = Edges(Numbered()).make(image)[0]
    assert lines.min() == 0
    assert (lines[:, 7:9] < 100).all()
    assert (lines[:, :5] == 255).all()
    assert (lines[:, 11:] == 255).all()


def test_derived_sides_tell_their_source_apart():
    keys = [str(source.key()) for source in (Grey(Numbered()), Edges(Numbered()), Grey(Photos(9)))]
    assert len(set(keys)) == 3
    with pytest.raises(UserError, match=r"leave data\.channels_a at 1"):
        Grey(Numbered()).check(8, 3)


# Drawn domains


def domain(side, **options):
    return AvatarDomain(side, **{"train_count": 6, "test_count": 4, "workers": 1, **options})


def rows(source, split):
    return np.concatenate([chunk.images for chunk in source.chunks(split, 32, 3)])


def test_held_out_pairs_are_the_same_person():
    plain, glasses = (
        rows(domain(side, attributes={"glasses": value}), "test")
        for side, value in (("a", "none"), ("b", "glasses"))
    )
    assert (plain[1] == render("0-test-1", 32, glasses="none")).all()
    changed = (np.abs(plain.astype(int) - glasses).max(1) > 8).mean((1, 2))
    assert (changed > 0.005).all()
    assert (changed < 0.2).all()


def test_nobody_is_trained_on_both_sides():
    people = [{image.tobytes() for image in rows(domain(side), "train")} for side in "ab"]
    assert len(people[0]) == 6
    assert not people[0] & people[1]


def test_other_styles_are_domains_too():
    toons = rows(domain("b", style="toon-head"), "test")
    assert toons.shape == (4, 3, 32, 32)
    assert np.abs(toons.astype(int) - rows(domain("b"), "test")).mean() > 10
    with pytest.raises(UserError, match="no style 'manga'"):
        domain("a", style="manga")
    with pytest.raises(UserError, match="Only avataaars has attributes"):
        domain("a", style="toon-head", attributes={"glasses": "none"})
    with pytest.raises(UserError, match="no glasses=monocle"):
        domain("a", attributes={"glasses": "monocle"})


# Folders


def picture(path, mode="RGB", size=(20, 10), level=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new(mode, size, level if level is not None else 0)
    image.save(path)


def sides(root, mode_b="RGB"):
    for i in range(3):
        picture(root / "trainA" / f"{i}.png")
        picture(root / "trainB" / f"{i}.png", mode_b)
    picture(root / "testA" / "x.png")
    picture(root / "testB" / "x.png", mode_b)


def test_unpaired_folders(tmp_path):
    sides(tmp_path)
    source = UnpairedFolder(tmp_path, "trainA", "testA", load_size=12)
    assert [c.images.shape for c in source.chunks("train", 8, 3)] == [(3, 3, 12, 12)]
    assert [c.images.shape for c in source.chunks("test", 8, 3)] == [(1, 3, 8, 8)]
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in tmp_path.glob("t*/*.png"):
            archive.write(path, path.relative_to(tmp_path))
    source = UnpairedFolder(tmp_path / "set.zip", "trainB", "testB")
    assert [c.images.shape for c in source.chunks("train", 8, 3)] == [(3, 3, 8, 8)]


def test_a_side_without_images_is_named(tmp_path):
    sides(tmp_path)
    with pytest.raises(UserError, match="trainC"):
        list(UnpairedFolder(tmp_path, "trainC", "testA").chunks("train", 8, 3))


def test_sides_of_different_channels_are_refused_by_name(tmp_path):
    sides(tmp_path, mode_b="L")
    with pytest.raises(UserError, match=r"side 'trainB' is grey, such as 'trainB/0\.png'"):
        list(UnpairedFolder(tmp_path, "trainB", "testB").chunks("train", 8, 3))
    for options, channels in (({"convert": True}, 3), ({}, 1)):
        source = UnpairedFolder(tmp_path, "trainB", "testB", **options)
        assert next(source.chunks("train", 8, channels)).images.shape == (3, channels, 8, 8)
    picture(tmp_path / "trainB" / "9.png", "RGB")  # one colour image makes it a colour side
    list(UnpairedFolder(tmp_path, "trainB", "testB").chunks("train", 8, 3))


def test_pairs_side_by_side(tmp_path):
    for i in range(10):
        image = Image.new("RGB", (41, 20), (i, 0, 0))
        image.paste((200 + i, 0, 0), (21, 0, 41, 20))
        (tmp_path / "all").mkdir(exist_ok=True)
        image.save(tmp_path / "all" / f"{i}.png")
    left, right = (PairedFolder(tmp_path, side, test_fraction=0.3) for side in ("left", "right"))
    for split, expected in (("train", range(7)), ("test", range(7, 10))):
        a, b = (np.concatenate([c.images for c in s.chunks(split, 8, 3)]) for s in (left, right))
        assert (a[:, 0].min((1, 2)) == list(expected)).all()
        assert (a[:, 0].max((1, 2)) == list(expected)).all()
        assert (b[:, 0] == a[:, 0] + 200).all()


@pytest.mark.parametrize("layout", ["{side}/{split}/{i}.png", "{split}{side}/{i}.png"])
def test_pairs_in_folders_of_equal_names(tmp_path, layout):
    for split, numbers in (("train", range(3)), ("test", range(3, 5))):
        for i in numbers:
            for side, level in (("A", i), ("B", 100 + i)):
                path = tmp_path / layout.format(side=side, split=split, i=i)
                picture(path, level=(level, 0, 0))
    sources = [PairedFolder(tmp_path, side) for side in "AB"]
    for split, expected in (("train", [0, 1, 2]), ("test", [3, 4])):
        a, b = (next(s.chunks(split, 8, 3)).images[:, 0, 0, 0] for s in sources)
        assert a.tolist() == expected
        assert b.tolist() == [100 + i for i in expected]


def test_a_pair_without_its_partner_is_named(tmp_path):
    for name in ("A/1.png", "A/2.png", "B/1.jpg"):
        picture(tmp_path / name)
    for side in "AB":
        with pytest.raises(UserError, match=r"'A/2\.png' in .* has no partner on the side B"):
            list(PairedFolder(tmp_path, side).chunks("train", 8, 3))
    picture(tmp_path / "other" / "x.png")
    with pytest.raises(UserError, match="no images of the side A"):
        list(PairedFolder(tmp_path / "other", "A").chunks("train", 8, 3))


def test_two_images_of_one_name_are_no_pair(tmp_path):
    for name in ("A/1.png", "A/1.jpg", "B/1.png"):
        picture(tmp_path / name)
    with pytest.raises(UserError, match=r"'A/1\.jpg' and 'A/1\.png' have the same partner"):
        list(PairedFolder(tmp_path, "B").chunks("train", 8, 3))


def test_a_grey_side_of_pairs_is_refused_by_name(tmp_path):
    for i in range(3):
        picture(tmp_path / "A" / f"{i}.png", "L")
        picture(tmp_path / "B" / f"{i}.png")
    a, b = (PairedFolder(tmp_path, side) for side in "AB")
    with pytest.raises(UserError, match=r"side A .* is grey, such as 'A/0\.png'.*channels_a=1"):
        list(a.chunks("train", 8, 3))
    assert next(a.chunks("train", 8, 1)).images.shape == (2, 1, 8, 8)
    assert next(b.chunks("train", 8, 3)).images.shape == (2, 3, 8, 8)
    assert next(b.chunks("train", 8, 1)).images.shape == (2, 1, 8, 8)


def test_only_test_images_are_nothing_to_train_on(tmp_path):
    picture(tmp_path / "test" / "1.png")
    with pytest.raises(UserError, match="nothing to train on"):
        list(PairedFolder(tmp_path, "left").chunks("train", 8, 3))


@pytest.mark.parametrize("wrap", ["", "horse2zebra/"])
def test_unpaired_sides_lie_below_the_wrapping_folder_of_a_published_archive(tmp_path, wrap):
    path = tmp_path / "published.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, folder in enumerate(("trainA", "testA", "trainB", "testB")):
            for i in range(3):
                file = io.BytesIO()
                Image.new("RGB", (8, 8), (10 * number + i,) * 3).save(file, "PNG")
                archive.writestr(f"{wrap}{folder}/{i}.png", file.getvalue())
    sides = {side: UnpairedFolder(path, f"train{side}", f"test{side}", workers=1) for side in "AB"}
    data = module(tmp_path / "cache", sides["A"], sides["B"], truth=False)
    found = {
        (side, split): sorted(data.domain(side).split(split).images[:, 0, 0, 0].tolist())
        for side in "ab"
        for split in ("train", "test")
    }
    assert found == {
        ("a", "train"): [0, 1, 2], ("a", "test"): [10, 11, 12],
        ("b", "train"): [20, 21, 22], ("b", "test"): [30, 31, 32],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("folders", "train", "test"),
    [
        (("Train", "Val"), [0, 1, 2], [10, 11, 12]),
        (("training", "validation", "Testing"), [0, 1, 2], [20, 21, 22]),
        (("x/TRAIN", "x/test", "x"), [0, 1, 2], [10, 11, 12]),
        (("a", "b"), [0, 1, 2, 10, 11], [12]),
    ],
)
def test_pairs_in_folders_with_the_usual_names_of_splits(tmp_path, folders, train, test):
    for number, folder in enumerate(folders):
        (tmp_path / "set" / folder).mkdir(parents=True, exist_ok=True)
        for i in range(3):
            image = Image.new("RGB", (16, 8), (10 * number + i,) * 3)
            image.save(tmp_path / "set" / folder / f"{i}.png")
    source = PairedFolder(tmp_path / "set", "left", workers=1)
    for split, expected in (("train", train), ("test", test)):
        (chunk,) = source.chunks(split, 8, 3)
        assert chunk.images[:, 0, 0, 0].tolist() == expected


@pytest.mark.parametrize("names", [("TrainA", "TrainB", "TestA", "TestB"),
                                   ("train/A", "train/B", "VAL/A", "VAL/B")])  # fmt: skip
def test_pairs_in_side_folders_with_splits_in_any_case(tmp_path, names):
    for folder in names:
        (tmp_path / "set" / folder).mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (8, 8), (9,) * 3).save(tmp_path / "set" / folder / f"{i}.png")
    source = PairedFolder(tmp_path / "set", "A", workers=1)
    for split in ("train", "test"):
        assert sum(len(chunk.images) for chunk in source.chunks(split, 8, 1)) == 2
