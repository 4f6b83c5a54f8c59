import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge.data.look import look_at
from ganforge.utils.errors import UserError


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two pictures of a camera, one on its side; one grey, one grey in three channels; a twin."""
    folder = tmp_path / "pictures"
    (folder / "a").mkdir(parents=True)
    colours = np.random.default_rng(0).integers(256, size=(40, 60, 3), dtype=np.uint8)
    Image.fromarray(colours).save(folder / "a" / "1.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(colours).save(folder / "a" / "2.jpg", exif=turned)
    Image.fromarray(colours[:30, :30, 0]).save(folder / "a" / "3.png")
    Image.fromarray(np.repeat(colours[..., :1], 3, axis=2)).save(folder / "a" / "4.jpg")
    shutil.copy(folder / "a" / "1.png", folder / "a" / "5.png")
    data = (folder / "a" / "2.jpg").read_bytes()
    (folder / "a" / "6.jpg").write_bytes(data[: len(data) // 2])
    return folder


@pytest.mark.parametrize("packed", [False, True])
def test_a_look_tells_what_pictures_are(pictures: Path, packed: bool) -> None:
    place = Path(shutil.make_archive(str(pictures), "zip", pictures)) if packed else pictures
    look = look_at(place)
    assert look.count == 6
    assert look.sizes == [(60, 40), (40, 60), (30, 30), (60, 40), (60, 40)]
    assert look.side == 40
    assert look.grey == 2
    assert not look.all_grey
    assert look.twins == 1
    assert [Path(name).name for name in look.broken] == ["6.jpg"]
    assert look.formats == {"png": 3, "jpg": 3}
    told = look.table()
    assert told["pictures"] == "6: 3 png, 3 jpg"
    assert told["sizes"].startswith("sides from 30 to 60, the shorter side mostly 40")
    assert told["twice"].startswith("1 ")
    assert told["folders"] == "none"  # one alone wraps them


def test_pictures_none_of_which_can_be_read_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="none of the 1 pictures"):
        look_at(tmp_path)
