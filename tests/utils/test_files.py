import hashlib
import json

import pytest

from ganforge.utils.files import atomic_path, file_sha256, write_json


def test_a_finished_block_leaves_only_the_file(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    with atomic_path(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".txt"
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("old", ["old", None])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_block_leaves_what_was_there(old, error, tmp_path):
    path = tmp_path / "a.txt"
    if old:
        path.write_text(old)

    def write():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert [p.read_text() for p in tmp_path.iterdir()] == ([old] if old else [])


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.txt"):
        pass
    assert (tmp_path / "a.txt").read_text() == "old"


def test_two_writers_do_not_meet(tmp_path):
    with atomic_path(tmp_path / "a") as first, atomic_path(tmp_path / "a") as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert (tmp_path / "a").read_text() == "first"


def test_write_json(tmp_path):
    write_json({"a": [1, None]}, tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": [1, None]}
    with pytest.raises(TypeError):
        write_json({"a": object()}, tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": [1, None]}


def test_sha256(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert file_sha256(tmp_path / "x") == hashlib.sha256(b"abc").hexdigest()
    assert file_sha256(tmp_path / "x").startswith("ba7816bf")
