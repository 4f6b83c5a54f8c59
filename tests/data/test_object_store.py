"""A packed data set in S3: a small server stands for it, litdata's and boto3's clients are real."""

import re
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ganforge.data.packing import pack
from ganforge.data.source import Chunk, Names
from ganforge.data.streaming import StreamingDataModule
from ganforge.utils.errors import UserError

SIZE, COUNT = 16, 4000


class Noise:
    """Images that no two are equal of."""

    label = None

    def check(self, size, channels):
        pass

    def key(self):
        return {"noise": 1}

    def chunks(self, split, size, channels):
        rng = torch.Generator().manual_seed(len(split))
        shape = (COUNT, channels, size, size)
        yield Chunk(torch.randint(256, shape, generator=rng).byte().numpy())

    def names(self):
        return Names()


class Bucket(BaseHTTPRequestHandler):
    """Answers HEAD and GET of ``/bucket/KEY``, ranges included, from a folder."""

    def __init__(self, folder, *args):
        self.folder = folder
        super().__init__(*args)

    def do_HEAD(self):
        self.answer(with_content=False)

    def do_GET(self):
        self.answer(with_content=True)

    def answer(self, with_content):
        bucket, _, key = self.path.split("?")[0].strip("/").partition("/")
        path = self.folder / key
        if bucket != "bucket" or not path.is_file():
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content, size = path.read_bytes(), path.stat().st_size
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted:
            first, last = int(wanted[1]), min(int(wanted[2] or size), size - 1)
            content = content[first : last + 1]
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()
        if with_content:
            self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """Four chunks of 1 MB a split."""
    pytest.importorskip("litdata")
    folder = tmp_path_factory.mktemp("object_store") / "set"
    pack(Noise(), SIZE, 3, folder, chunk_mb=1)
    return folder


@pytest.fixture
def server(packed, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "dummy")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Bucket, packed))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def module(path, cache, server=None, **options):
    if server:
        options["storage_options"] = {
            "endpoint_url": f"http://127.0.0.1:{server.server_address[1]}"
        }
    data = StreamingDataModule(
        "set", str(path), (3, SIZE, SIZE), cache, 3, SIZE, window=2, **options
    )
    data.trainer = SimpleNamespace(
        global_rank=0, world_size=1, strategy=SimpleNamespace(root_device=torch.device("cpu"))
    )
    return data


def test_images_come_from_s3_as_from_the_folder(packed, server, tmp_path):
    numbers = torch.arange(COUNT).flip(0)[::50]
    far = module("s3://bucket", tmp_path, server).split("train").rows(numbers)
    near = module(packed, tmp_path).split("train").rows(numbers)
    assert torch.equal(far["image"], near["image"])
    assert len(chunks_in(tmp_path)) == 4


def chunks_in(folder):
    return {path.name for path in Path(folder, "streams").rglob("*.bin")}


def test_a_small_cache_holds_the_chunks_that_are_mixed(packed, server, tmp_path):
    """Three epochs in windows of two chunks fetch what was removed again."""
    far = module("s3://bucket", tmp_path, server, cache_size="2.2MB").train_dataloader()
    near = module(packed, tmp_path).train_dataloader()
    for _ in range(3):
        for here, there in zip(near, far, strict=True):
            assert torch.equal(here["image"], there["image"])
        assert len(chunks_in(tmp_path)) <= 3
    server.shutdown()  # what is still there needs nobody
    server.server_close()
    kept = sorted(chunks_in(tmp_path))[0]
    first = int(kept.removesuffix(".bin").split("-")[-1]) * far.data.sizes[0]
    assert far.data.rows(torch.tensor([first]))["image"].shape == (1, 3, SIZE, SIZE)


def test_a_run_goes_on_in_mid_epoch_with_an_empty_cache(packed, server, tmp_path):
    far = module("s3://bucket", tmp_path / "one", server, cache_size="2.2MB").train_dataloader()
    batches = iter(far)
    for _ in range(20):
        next(batches)
    near = module(packed, tmp_path).train_dataloader()
    other = module("s3://bucket", tmp_path / "two", server, cache_size="2.2MB").train_dataloader()
    for loader in (near, other):
        loader.load_state_dict(far.state_dict())
    rest = zip(other, near, strict=True)
    assert [torch.equal(*(batch["image"] for batch in pair)) for pair in rest] == [True] * 42


def test_a_chunk_that_another_process_removed_is_fetched_again(packed, server, tmp_path):
    stream = module("s3://bucket", tmp_path, server).split("train")
    fetch = stream._cache.fetch
    calls = []

    def fetch_and_lose(name, size, keep):
        fetch(name, size, keep)
        calls.append(name)
        if len(calls) == 1:
            (stream._cache.folder / name).unlink()

    stream._cache.fetch = fetch_and_lose
    rows = stream.rows(torch.tensor([5]))
    assert torch.equal(
        rows["image"], module(packed, ".").split("train").rows(torch.tensor([5]))["image"]
    )
    assert len(calls) == 2


def test_a_size_without_a_unit_is_refused(server, tmp_path):
    with pytest.raises(UserError, match=r"data\.cache_size=200 must be a size such as"):
        module("s3://bucket", tmp_path, server, cache_size="200").setup()


def test_the_place_may_stand_in_the_environment(server, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
    assert len(module("s3://bucket", tmp_path).split("train")) == COUNT


@pytest.mark.parametrize("path", ["s3://bucket/elsewhere", "s3://nobody"])
def test_what_is_not_there_is_told_at_once(path, server, tmp_path):
    with pytest.raises(UserError, match=rf"'{path}/train' is no packed data set .*Not Found"):
        module(path, tmp_path, server).setup()


def test_missing_credentials_are_told(server, tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(UserError, match="Unable to locate credentials"):
        module("s3://bucket", tmp_path, server).setup()


def test_a_server_that_goes_away_ends_training_in_a_sentence(server, tmp_path):
    """litdata's own client would try a thousand times."""
    stream = module("s3://bucket", tmp_path, server).split("train")
    assert stream.rows(torch.arange(4))["image"].shape == (4, 3, SIZE, SIZE)
    server.shutdown()
    server.server_close()
    with pytest.raises(UserError, match=r"chunk \d of 's3://bucket/train' can no longer be read"):
        stream.rows(torch.tensor([COUNT - 1]))
