"""What a user can get wrong: one sentence, exit code 2 or 3, no stack trace, nothing overwritten.

The table is counted in docs/reliability.md. In a command ``{name}`` is a thing that ``World`` made.
"""

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganforge.utils.errors import UserError
from helpers import TINY, TINY_AVATARS, ganforge, tiny_run

TRANSLATOR = [
    "experiment=cyclegan_avatars", "debug=fast", "logger=[]", "trainer.accelerator=cpu",
    "callbacks.translation_grid.rows=2", "data.size=32", "data.batch_size=2",
    "data.a.train_count=8", "data.a.test_count=6", "data.a.workers=1", "model.a_to_b.width=4",
    "model.a_to_b.blocks=1", "model.critic_a.width=4", "model.critic_a.layers=1",
]  # fmt: skip
SMALL = [*TINY_AVATARS, *TINY, "logger=[]", "trainer.accelerator=cpu", "model.generator.width=4",
         "model.discriminator.width=4"]  # fmt: skip
FOLDER = "train data=image_folder data.size=32 data.batch_size=2 data.source.path="
NARROW = "model.generator.hidden=[8] model.discriminator.hidden=[8]"
UNPAIRED = (
    "train model=cyclegan data=unpaired_folder data.size=32 data.load_size=32 model.a_to_b.width=4 "
    "model.a_to_b.blocks=1 model.critic_a.width=4 model.critic_a.layers=1 data.a.path="
)
PAIRED = (
    "train model=pix2pix data=paired_folder data.size=32 data.load_size=32 "
    "model.generator.width=4 model.discriminator.width=4 model.generator.downsamplings=3 "
    "data.a.path="
)


class Explosive:
    """Unpickled, it would leave a file."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ("executed",)


class World:
    """The things that mistakes are made with, all in one folder; each is made once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.run = tiny_run(SMALL, root / "run")
        self.translator = tiny_run(TRANSLATOR, root / "translator")
        self.toy = tiny_run(
            ["experiment=gaussian1d", "debug=fast", "logger=[]", "trainer.accelerator=cpu"],
            root / "toy",
        )
        self.bundle = root / "bundle"
        assert ganforge("export", f"run={self.run}", f"output={self.bundle}") == 0
        self.file = root / "a_file"
        self.file.write_text("a file")
        self.below = self.file / "below"  # of a file: cannot be written by anybody
        self._images()
        self._archives()
        self._checkpoints()
        self._bundles()

    def _folder(self, name: str, files: dict[str, bytes]) -> None:
        for file, data in files.items():
            path = self.root / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        setattr(self, name, self.root / name)

    def _images(self) -> None:
        noise = np.random.default_rng(0).integers(256, size=(40, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(self.root / "x.png")
        self.png = png = (self.root / "x.png").read_bytes()
        Image.fromarray(noise[..., 0]).save(self.root / "grey.png")
        grey = (self.root / "grey.png").read_bytes()
        good = {f"{i}.png": png for i in range(6)}
        (self.root / "empty").mkdir()
        self.empty = self.root / "empty"
        self._folder("good", good)
        self._folder("texts", {"a.txt": b"x", "b.txt": b"y"})
        self._folder("one", {"a.png": png})
        self._folder("cut", {**good, "cut.png": png[:500]})
        self._folder("fake", {**good, "fake.jpg": b"not an image"})
        self._folder("nothing", {**good, "nothing.png": b""})
        self._folder("script", {**good, "script.png": b"%!PS-Adobe-3.0 EPSF-3.0\n(x) run\n"})
        self._folder("lone", {"A/1.png": png, "B/2.png": png})
        self._folder("half", {f"trainA/{i}.png": png for i in range(4)})
        sides = ("trainA", "trainB", "testA", "testB")
        both = {f"{side}/{i}.png": png for side in sides for i in range(4)}
        self._folder("sides", both)
        self._folder("grey_side", {k: grey if "B" in k else v for k, v in both.items()})
        self._folder("bad_side", {**both, "trainA/bad.png": png[:500]})
        (self.root / "dangling").mkdir()
        (self.root / "dangling" / "a.png").symlink_to("nowhere.png")
        (self.root / "dangling" / "b.png").write_bytes(png)
        self.dangling = self.root / "dangling"

    def _archives(self) -> None:
        def pack(name: str, members: dict[str, bytes]) -> Path:
            with zipfile.ZipFile(self.root / name, "w", zipfile.ZIP_DEFLATED) as archive:
                for member, data in members.items():
                    archive.writestr(member, data)
            return self.root / name

        good = {f"{i}.png": self.png for i in range(6)}
        whole = pack("whole.zip", good)
        self.cut_zip, self.text_zip = self.root / "cut.zip", self.root / "text.zip"
        self.cut_zip.write_bytes(whole.read_bytes()[:2000])
        self.text_zip.write_text("no archive")
        self.outside_zip = pack("outside.zip", {**good, "../../out.png": self.png})
        self.no_images_zip = pack("no_images.zip", {"a.txt": b"x"})
        self.empty_zip = pack("empty.zip", {})
        info = zipfile.ZipInfo("passwd.png")
        info.create_system, info.external_attr = 3, 0o120777 << 16
        self.link_zip = pack("link.zip", good)
        with zipfile.ZipFile(self.link_zip, "a") as archive:
            archive.writestr(info, "/etc/passwd")

    def _copy(self, name: str, of: Path) -> Path:
        needless = shutil.ignore_patterns("samples", "csv", "tensorboard")
        folder = shutil.copytree(of, self.root / name, ignore=needless)
        setattr(self, name, folder)
        return folder

    def _checkpoints(self) -> None:
        def checkpoint(name: str) -> Path:
            run = self._copy(name, self.run)
            for name in ("best.ckpt", "SHA256SUMS"):  # a foreign file comes without its sum
                (run / "checkpoints" / name).unlink(missing_ok=True)
            return run / "checkpoints" / "last.ckpt"

        whole = checkpoint("ckpt_none").read_bytes()
        shutil.rmtree(self.root / "ckpt_none" / "checkpoints")
        checkpoint("ckpt_cut").write_bytes(whole[: len(whole) // 2])
        checkpoint("ckpt_empty").write_bytes(b"")
        checkpoint("ckpt_text").write_text("not a checkpoint")
        flipped = bytearray(whole)
        flipped[:2000:7] = bytes(len(flipped[:2000:7]))
        checkpoint("ckpt_flipped").write_bytes(flipped)
        torch.save([1, 2, 3], checkpoint("ckpt_list"))
        torch.save({"weights": torch.zeros(3)}, checkpoint("ckpt_foreign"))
        state = torch.load(self.run / "checkpoints" / "last.ckpt", weights_only=True)
        state["callbacks"], grown = {}, {k: v[:1] for k, v in state["state_dict"].items() if v.ndim}
        torch.save({**state, "state_dict": grown}, checkpoint("ckpt_shapes"))
        state = torch.load(self.run / "checkpoints" / "last.ckpt", weights_only=True)
        torch.save(torch.zeros(3), checkpoint("ckpt_tensor"))
        torch.save({k: v for k, v in state.items() if k != "global_step"},
                   checkpoint("ckpt_no_step"))  # fmt: skip
        torch.save(state | {"ganforge": None, "callbacks": None}, checkpoint("ckpt_null"))
        torch.save(state | {"ganforge": {"classes": 7}}, checkpoint("ckpt_names"))
        checkpoint("ckpt_pickle").write_bytes(pickle.dumps(Explosive()))
        torch.save({"state_dict": Explosive()}, checkpoint("ckpt_evil"))
        for name, text in {
            "config_cut": "model: {_target_: ganforge", "config_list": "- 1\n- 2\n",
            "config_text": "hello", "config_empty": "", "config_binary": "\x00\x01",
            "config_other": "seed: 0\ndata: {}\n", "config_model": "model: 7\n",
            "config_class": "model: {_target_: nowhere.Model}\ndata: {shape: [3, 32, 32]}\n",
        }.items():  # fmt: skip
            (self._copy(name, self.run) / ".hydra" / "config.yaml").write_text(text)
        shutil.rmtree(self._copy("config_none", self.run) / ".hydra")
        scores = self._copy("scores_cut", self.run) / "scores.json"
        scores.write_text(scores.read_text()[:50])
        scores = self._copy("scores_text", self.run) / "scores.json"
        records = [record | {"value": "low"} for record in json.loads(scores.read_text())]
        scores.write_text(json.dumps(records))
        bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
            f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
        )
        whole = (self.run / ".hydra" / "config.yaml").read_text()
        for name, text in {
            "config_bomb": bomb + whole, "config_keys": "? [1, 2]\n: 3\n" + whole,
            "config_cycle": "model: ${data}\ndata: ${model}\n",
        }.items():  # fmt: skip
            (self._copy(name, self.run) / ".hydra" / "config.yaml").write_text(text)
        pipe = self._copy("config_fifo", self.run) / ".hydra" / "config.yaml"
        pipe.unlink()
        os.mkfifo(pipe)

    def _bundles(self) -> None:
        def edited(name: str, **entries: object) -> None:
            path = self._copy(name, self.bundle) / "config.json"
            facts = json.loads(path.read_text())
            path.write_text(json.dumps(facts | entries))

        model = json.loads((self.bundle / "config.json").read_text())["model"]
        edited("bundle_evil", features={"_target_": "os.mkdir", "path": "executed"})
        edited("bundle_model", model={"_target_": "os.mkdir", "path": "executed"})
        edited("bundle_env", data={"shape": [3, 32, 32], "name": "${oc.env:HOME}"})
        edited("bundle_format", format="other")
        edited("bundle_future", version=99)
        edited("bundle_step", step=-3)
        edited("bundle_no_model", model=None)
        edited("bundle_wide", model=model | {"generator": model["generator"] | {"width": 1 << 22}})
        edited("bundle_latent", model=model | {"latent_dim": model["latent_dim"] + 1})
        edited("bundle_lazy", model=model | {"generator": {"_target_": "torch.nn.LazyLinear",
               "out_features": 3}})  # fmt: skip
        data = json.loads((self.bundle / "config.json").read_text())["data"]
        edited("bundle_many", data=data | {"source": data["source"] | {"train_count": 10**9}})
        edited("bundle_keyword", model=model | {"generator": model["generator"] | {"wide": 3}})
        edited("bundle_word", model=model | {"generator": model["generator"] | {"width": "wide"}})
        (self._copy("bundle_text", self.bundle) / "config.json").write_text("{")
        (self._copy("bundle_deep", self.bundle) / "config.json").write_text("[" * 100_000)
        (self._copy("bundle_none", self.bundle) / "model.safetensors").unlink()
        weights = self._copy("bundle_cut", self.bundle) / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])
        junk = self._copy("bundle_junk", self.bundle) / "model.safetensors"
        junk.write_bytes(b"junk" * 100)
        entry = {"file": junk.name, "sha256": hashlib.sha256(junk.read_bytes()).hexdigest()}
        path = junk.parent / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"weights": entry}))


# Each: what is typed, the exit code, words of the sentence.
CONFIG = [
    ("trian", 2, "did you mean train"),
    ("train trainer.max_steps=many", 2, "trainer.max_steps"),
    ("train trainer.max_steps=-5", 2, "max_steps"),
    ("train name=../x", 2, "name=../x leads out of paths.outputs"),
    ("train name=a/b/../../../x", 2, "leads out of paths.outputs"),
    ("train -m name=a,../x", 2, "leads out of paths.outputs"),
    ("train logger=wandb logger.wandb.project=a/b", 2, "W&B refuses this: change logger.wandb"),
    ("train trainer.max_steps=1.5", 2, "max_steps"),
    ("train trainer.max_stepz=5", 2, "did you mean 'trainer.max_steps'"),
    ("train +trainer.limit_train_batches=0", 2, "limit_train_batches=0 must be"),
    ("train +trainer.max_time=00:00:00:00", 2, "not a single step was trained"),
    ("evaluate run={run} path_pairs=1000000000000", 2, "path_pairs=1000000000000 must be"),
    ("train data.batch_size=0", 2, "data.batch_size=0 must be"),
    ("train data.batch_size=-4", 2, "data.batch_size=-4"),
    ("train data.batch_size=1.5", 2, "data.batch_size=1.5"),
    ("train data.batch_size=few", 2, "data.batch_size=few"),
    ("train data.batch_size=33", 2, "fewer than one step takes"),
    ("train data.size=0", 2, "data.size=0"),
    ("train data.size=-32", 2, "data.size=-32"),
    ("train data.size=33", 2, "33"),
    ("train data.size=large", 2, "data.size=large"),
    ("train data.size=100000000", 2, "100000000"),
    ("train data.channels=2", 2, "data.channels is 2"),
    ("train data.channels=rgb", 2, "data.channels=rgb"),
    ("train data.flip=maybe", 2, "data.flip"),
    ("train data.on_device=maybe", 2, "data.on_device=maybe must be"),
    ("train data.shape=[1,2,3]", 2, "data.shape"),
    ("train data=avatarz", 2, "did you mean avatars"),
    ("train data.source.label=nose", 2, "nose"),
    ("train data.source.train_count=0", 2, "train_count"),
    ("train data.source.train_count=-5", 2, "train_count"),
    ("train data.source.test_count=some", 2, "test_count"),
    ("train data.source.workers=-1", 2, "workers"),
    ("train data.source.workers=two", 2, "workers"),
    ("train data.source.seed=-1", 2, "data.source.seed=-1"),
    ("train model.latent_dim=0", 2, "latent_dim"),
    ("train model.latent_dim=-1", 2, "latent_dim"),
    ("train model.latent_dim=big", 2, "latent_dim"),
    ("train model.n_critic=0", 2, "n_critic"),
    ("train model.n_critic=1.5", 2, "n_critic"),
    ("train model.clip_gradient=-1", 2, "clip_gradient"),
    ("train model.clip_gradient=nan", 2, "clip_gradient"),
    ("train model.generator.width=0", 2, "width"),
    ("train model.generator.width=-3", 2, "width"),
    ("train model.generator.width=wide", 2, "width"),
    ("train +model.generator.wide=3", 2, "wide"),
    ("train model.generator._target_=torch.nn.Nothing", 2, "torch.nn.Nothing"),
    ("train model._target_=nowhere.Model", 2, "nowhere"),
    ("train model.generator=null", 2, "model.generator"),
    ("train model.objective.loss=null", 2, "loss"),
    ("train model.optimizer_generator.lr=nan", 2, "nan"),
    ("train model.optimizer_generator.lr=inf", 2, "inf"),
    ("train model.optimizer_generator.lr=-1", 2, "-1"),
    ("train model.optimizer_discriminator.lr=fast", 2, "fast"),
    ("train model.optimizer_generator.betas=[2,0.9]", 2, "beta"),
    ("train model.optimizer_generator.betas=0.5", 2, "betas"),
    ("train +model.optimizer_generator.speed=9", 2, "speed"),
    ("train loss=hing", 2, "did you mean hinge"),
    ("train regularizer=gradient_penalty", 2, "norm=spectral"),
    ("train regularizer=r1 norm=spectral model.objective.regularizers.r1.weight=x", 2, "weight"),
    ("train augment=mixup", 2, "augment has no option 'mixup'"),
    ("train trainer.accelerator=quantum", 2, "quantum"),
    ("train trainer.devices=0", 2, "devices"),
    ("train trainer.devices=some", 2, "devices"),
    ("train trainer.precision=16-mixed", 2, "bf16-mixed"),
    ("train trainer.precision=8", 2, "trainer.precision=8"),
    ("train trainer.log_every_n_steps=0", 2, "log_every_n_steps"),
    ("train seed=-1", 2, "seed=-1"),
    ("train seed=lucky", 2, "seed=lucky"),
    ("train seed=1.5", 2, "seed=1.5"),
    ("train callbacks.ema.half_life_kimg=-1", 2, "half_life_kimg"),
    ("train callbacks.ema.half_life_kimg=nan", 2, "half_life_kimg"),
    ("train callbacks.ema.half_life_kimg=long", 2, "half_life_kimg"),
    ("train callbacks.image_quality.n_images=0", 2, "n_images"),
    ("train callbacks.image_quality.n_images=all", 2, "n_images"),
    ("train callbacks.image_quality.split=val", 2, "val"),
    ("train callbacks.image_quality.metrics=[]", 2, "metrics"),
    ("train callbacks.sample_grid.every_n_steps=0", 2, "every_n_steps"),
    ("train callbacks.sample_grid.columns=0", 2, "columns"),
    ("train callbacks.sample_grid.rows=-1", 2, "rows"),
    ("train callbacks.sample_grid.seed=-1", 2, "seed"),
    ("train callbacks.checkpoints.every_n_steps=often", 2, "every_n_steps"),
    ("train features.weights=nothing", 2, "nothing"),
    ("train features.weights={file}", 2, "a_file"),
    ("train paths.data_dir={below}", 2, "a_file"),
    ("train paths.outputs={below}", 2, "a_file"),
    ("train paths.outputs={file}", 2, "a_file"),
    ("train experiment=gaussian1d data.source.std=-1", 2, "std"),
    ("train experiment=ring2d data.source.modes=0", 2, "modes"),
    ("train experiment=ring2d augment=diffaugment", 2, "Color changes images", "points of 2"),
    ("train experiment=grid2d augment=translation", 2, "Translation changes images"),
    ("train experiment=ring2d augment=ada", 2, "ADA changes images"),
    ("train experiment=gaussian1d regularizer=[consistency]", 2, "points of 1 numbers"),
    ("train loss=wasserstein augment=ada", 2, "no boundary", "augment=diffaugment"),
    ("train augment=ada model.objective.augment.target=x", 2, "target=x must be"),
    ("train augment=ada model.objective.augment.most=2", 2, "most=2"),
    ("train augment=translation model.objective.augment.ratio=far", 2, "ratio=far must be"),
    ("train schedule=cosine model.schedule.floor=x", 2, "model.schedule.floor=x must be"),
    ("train schedule=linear model.schedule.decay_from=2", 2, "decay_from=2 must be"),
    ("train schedule=warm_up model.schedule.warm_up_steps=-1", 2, "warm_up_steps=-1"),
    ("train noise=instance model.objective.noise.std=-1", 2, "noise.std=-1"),
    ("train noise=instance model.objective.noise.kimg=soon", 2, "noise.kimg=soon"),
    ("train regularizer=lecam model.objective.regularizers.lecam.decay=x", 2, "decay=x must be"),
    ("train regularizer=lecam model.objective.regularizers.lecam.decay=1", 2, "below 1"),
    ("train +model.objective.regularizers.r1.weight=1", 2, "settings without a class"),
    ("train conditioning=projection data.num_classes=1", 2, "at least 2 classes"),
    ("train conditioning=concat data.num_classes=3", 2, "made for 3 classes", "num_classes="),
    ("train model.accumulate=3", 2, "model.accumulate=3 does not divide"),
    ("train model.accumulate=half", 2, "model.accumulate=half"),
    ("train model=r3gan norm=batch model.generator.width=16", 2, "no place for BatchNorm2d"),
    ("train callbacks.doctor.rules.critic_wins.loss_share=x", 2, "loss_share=x must be"),
    ("train callbacks.doctor.rules.modes_collapse.diversity=low", 2, "diversity=low must be"),
    ("train callbacks.doctor.rules.score_rises.times=often", 2, "times=often must be"),
    ("train callbacks.doctor.rescue.rate_factor=0", 2, "rate_factor=0 must be"),
    ("train callbacks.doctor.probe_every_n_steps=30", 2, "a multiple of every_n_steps"),
]  # fmt: skip
DATA = [
    ("train data=image_folder", 2, "data.source.path must be given"),
    (FOLDER + "{root}/nowhere", 2, "There is no folder or zip archive"),
    (FOLDER + "{below}", 2, "There is no folder or zip archive"),
    (FOLDER + "{empty}", 2, "is empty"),
    (FOLDER + "{texts}", 2, "no images among its 2 files"),
    (FOLDER + "{one}", 2, "one image; at least two"),
    (FOLDER + "{file}", 2, "neither a folder nor a zip"),
    (FOLDER + "[1,2]", 2, "There is no folder"),
    (FOLDER + "7", 2, "There is no folder or zip archive"),
    (FOLDER + "{cut}", 3, "cut.png (", "data.source.on_bad_image=skip"),
    (FOLDER + "{fake}", 3, "fake.jpg (not an image"),
    (FOLDER + "{nothing}", 3, "nothing.png (not an image"),
    (FOLDER + "{script}", 3, "script.png (not an image"),
    (FOLDER + "{dangling}", 3, "a.png (No such file"),
    (FOLDER + "{cut_zip}", 3, "damaged or cut off"),
    (FOLDER + "{text_zip}", 3, "damaged or cut off"),
    (FOLDER + "{outside_zip}", 2, "lies outside of it"),
    (FOLDER + "{link_zip}", 2, "is a symbolic link"),
    (FOLDER + "{no_images_zip}", 2, "no images among its 1 files"),
    (FOLDER + "{empty_zip}", 2, "is empty"),
    (FOLDER + "{good} data.source.fit=squash", 2, "data.source.fit=squash must be crop"),
    (FOLDER + "{good} data.source.test_fraction=2", 2, "data.source.test_fraction=2"),
    (FOLDER + "{good} data.source.test_fraction=half", 2, "data.source.test_fraction=half"),
    (FOLDER + "{good} data.source.on_bad_image=ignore", 2, "data.source.on_bad_image"),
    (FOLDER + "{good} data.source.train_folder=new", 2, "no images in a folder 'new'"),
    (FOLDER + "{good} data.source.train_folder=7", 2, "no images in a folder '7'"),
    (FOLDER + "{good} data.source.test_folder=new", 2, "needs data.source.train_folder"),
    (FOLDER + "{good} data.size=1025 model=gan " + NARROW, 2, "not 1025"),
    (FOLDER + "{good} data.batch_size=64", 2, "lower data.batch_size"),
    (UNPAIRED + "{half}", 2, "no images in a folder 'testA'"),
    (UNPAIRED + "{grey_side}", 2, "data.a.convert=true"),
    (UNPAIRED + "{bad_side}", 3, "bad.png (", "data.a.on_bad_image=skip"),
    (UNPAIRED + "{sides} data.a.fit=squash", 2, "data.a.fit=squash must be crop"),
    (UNPAIRED + "{sides} data.load_size=16", 2, "data.load_size is 16"),
    (UNPAIRED + "{sides} data.load_size=big", 2, "load_size"),
    (UNPAIRED + "{sides} model.pool_size=-1", 2, "pool_size"),
    (UNPAIRED + "{sides} model.lambda_cycle=x", 2, "lambda_cycle"),
    (UNPAIRED + "{sides} data.paired=true", 2, "data.truth=true"),
    (PAIRED + "{lone} data.a.side=A data.b.side=B", 2, "has no partner"),
    (PAIRED + "{good} data.a.side=A data.b.side=B", 2, "no images of the side A"),
    (PAIRED + "{good} data.a.side=top", 2, "data.a.side=top must be left"),
    (PAIRED + "{fake}", 3, "fake.jpg (not an image"),
    (PAIRED + "{good} model.generator.downsamplings=9", 2, "downsamplings"),
    ("train data=cifar10 data.source.folder={root}", 2, "CIFAR-10 is not in"),
    ("train model=gan data=mnist data.source.folder={root}/nowhere", 2, "is not in"),
    ("train data=celeba data.source.folder={empty}", 2, "CelebA is not in"),
]  # fmt: skip
CHECKPOINTS = [
    ("generate run={ckpt_none}", 2, "no checkpoint 'best.ckpt'"),
    ("generate run={ckpt_cut}", 3, "last.ckpt cannot be read"),
    ("generate run={ckpt_empty}", 3, "last.ckpt cannot be read"),
    ("generate run={ckpt_text}", 3, "last.ckpt cannot be read"),
    ("generate run={ckpt_flipped}", 3, "last.ckpt cannot be read"),
    ("generate run={ckpt_list}", 3, "last.ckpt"),
    ("generate run={ckpt_foreign}", 3, "last.ckpt does not fit"),
    ("generate run={ckpt_shapes}", 3, "last.ckpt does not fit"),
    ("generate run={ckpt_pickle}", 3, "last.ckpt cannot be read"),
    ("evaluate run={ckpt_evil}", 3, "last.ckpt cannot be read"),
    ("generate run={config_cut}", 3, "config.yaml cannot be read"),
    ("generate run={config_list}", 3, "is not the configuration of a training run"),
    ("generate run={config_text}", 3, "config.yaml"),
    ("generate run={config_empty}", 3, "is not the configuration of a training run"),
    ("generate run={config_binary}", 3, "config.yaml cannot be read"),
    ("generate run={config_other}", 3, "is not the configuration of a training run"),
    ("generate run={config_model}", 3, "is not the configuration of a training run"),
    ("generate run={config_class}", 2, "nowhere"),
    ("generate run={config_none}", 2, "is not a run"),
    ("export run={scores_cut}", 3, "scores.json cannot be read"),
]
BUNDLES = [
    ("generate run={bundle_evil}", 2, "not to be trusted", "features._target_"),
    ("generate run={bundle_model}", 3, "no valid entry 'model'"),
    ("evaluate run={bundle_env}", 2, "not to be trusted", "data.name"),
    ("generate run={bundle_format}", 2, "is not of a bundle of ganforge"),
    ("generate run={bundle_future}", 2, "update ganforge"),
    ("generate run={bundle_step}", 3, "no valid entry 'step'"),
    ("generate run={bundle_no_model}", 3, "no valid entry 'model'"),
    ("generate run={bundle_wide}", 3, "do not fit the model"),
    ("generate run={bundle_keyword}", 2, "wide"),
    ("generate run={bundle_word}", 2, "width"),
    ("explore run={bundle_text}", 3, "cannot be read as JSON"),
    ("generate run={bundle_deep}", 3, "cannot be read as JSON"),
    ("generate run={bundle_none}", 3, "model.safetensors is missing"),
    ("evaluate run={bundle_cut}", 3, "model.safetensors is damaged"),
    ("generate run={bundle_junk}", 3, "no safetensors file"),
    ("translate run={bundle} input={good} output={root}/out", 2, "does not translate"),
]
COMMANDS = [
    ("generate", 2, "run must be given"),
    ("generate run={root}/nowhere", 2, "is not a run"),
    ("generate run={file}", 2, "is not a run"),
    ("generate run={run} n=0", 2, "n=0"),
    ("generate run={run} n=many", 2, "n=many"),
    ("generate run={run} n=2.5", 2, "n=2.5"),
    ("generate run={run} n=[1]", 2, "n=[1]"),
    ("generate run={run} n=null", 2, "n=None"),
    ("generate run={run} seed=-1", 2, "seed=-1"),
    ("generate run={run} seed=lucky", 2, "seed=lucky"),
    ("generate run={run} seed=1.5", 2, "seed=1.5"),
    ("generate run={run} seed=99999999999999999999999", 2, "seed=99999999999999999999999"),
    ("generate run={run} class=3", 2, "unconditional", "class 3"),
    ("generate run={run} truncation=0", 2, "truncation=0"),
    ("generate run={run} checkpoint=first", 2, "neither best nor last"),
    ("generate run={run} device=quantum", 2, "device quantum"),
    ("generate run={run} output={file}", 2, "a_file"),
    ("generate run={run} output={below}", 2, "a_file"),
    ("generate run={run} sed=3", 2, "did you mean 'seed'"),
    ("generate run={translator}", 2, "no latent space"),
    ("generate run={toy}", 2, "points, not images"),
    ("evaluate run={run} n=1", 2, "n=1 is too few"),
    ("evaluate run={run} n=-5", 2, "n=-5"),
    ("evaluate run={run} n=all", 2, "n=all"),
    ("evaluate run={run} split=val", 2, "val"),
    ("evaluate run={run} path_pairs=-1", 2, "path_pairs=-1 must be a whole number"),
    ("evaluate run={run} path_pairs=many", 2, "path_pairs=many"),
    ("evaluate run={run} held_out=nowhere", 2, "nowhere is neither"),
    ("evaluate run={translator} size=64", 2, "size has no use"),
    ("evaluate run={run} seed=-1", 2, "seed=-1"),
    ("evaluate run={run} features=vgg", 2, "vgg"),
    ("evaluate run={run} device=7", 2, "device=7"),
    ("evaluate run={run} data_path={good}", 2, "data_path"),
    ("evaluate run={translator} n=0", 2, "n=0 must be"),
    ("translate run={run} input={good} output={root}/out", 2, "does not translate"),
    ("translate run={translator} output={root}/out", 2, "input must be given"),
    ("translate run={translator} input={root}/no output={root}/out", 2, "neither an image file"),
    ("translate run={translator} input={empty} output={root}/out", 2, "is empty"),
    ("translate run={translator} input={file} output={root}/out", 3, "none of 1 files"),
    ("translate run={translator} input={good} output={good}", 2, "choose another folder"),
    ("translate run={translator} input={good} output={file}", 2, "is a file"),
    ("translate run={translator} input={good} output={below}", 2, "a_file"),
    ("translate run={translator} input={good} output={root}/out direction=b_to_c", 2, "b_to_a"),
    ("translate run={translator} input={good} output={root}/out direction=7", 2, "direction=7"),
    ("translate run={translator} input={good} output={root}/out tile=0", 2, "tile=0"),
    ("translate run={translator} input={good} output={root}/out tile=big", 2, "tile=big"),
    ("translate run={translator} input={good} output={root}/out overlap=-1", 2, "overlap=-1"),
    ("translate run={translator} input={good} output={root}/out seed=x", 2, "seed=x"),
    ("explore run={run} tool=magic", 2, "magic"),
    ("explore run={run} seed=-1", 2, "seed=-1"),
    ("explore run={run} seed=x", 2, "seed=x"),
    ("explore run={run} film=avi tool.path_length=0 tool.frames=2", 2, "film=avi"),
    ("explore run={run} tool.steps=0 tool.path_length=0", 2, "steps"),
    ("explore run={run} tool.a=[1] tool.b=[1,2]", 2, "tool"),
    ("explore run={run} tool.a=nose=big tool.b=nose=small", 2, "nose"),
    ("explore run={run} tool.a=[x]", 2, "must be a word"),
    ("explore run={run} tool.a=5", 2, "or a list"),
    ("explore run={run} tool.shown=0", 2, "tool.shown=0"),
    ("explore run={run} tool=dissect tool.query=[1]", 2, "tool.query=[1] must be a word"),
    ("explore run={run} tool=neighbours tool.n=0", 2, "n"),
    ("explore run={run} tool=neighbours tool.k=x", 2, "k"),
    ("explore run={run} tool=projection tool.images=[{root}/no.png]", 2, "no.png"),
    ("explore run={run} tool=projection tool.images=[{file}]", 2, "a_file"),
    ("explore run={run} tool=neighbours tool.n=10 tool.k=1 output={below}", 2, "a_file"),
    ("explore run={translator}", 2, "no latent space"),
    ("explore run={toy}", 2, "points, not images"),
    ("export run={run} format=tflite", 2, "format=tflite"),
    ("export run={run} output={bundle}", 2, "overwrite=true replaces it"),
    ("export run={run} output={good} overwrite=true", 2, "no part of a bundle"),
    ("export run={run} output={file}", 2, "a_file"),
    ("export run={run} output={below}", 2, "a_file"),
    ("export run={bundle}", 2, "is a bundle already"),
    ("export run={toy}", 2, "points, not images"),
    ("export run={run} overwrite=perhaps output={bundle}", 2, "overwrite=perhaps"),
]  # fmt: skip
# What once ended in a stack trace, and its kind: settings that are no objects, numbers that no
# machine can hold, places that are no folders, and files that hold something else.
CAUSES = [
    ("train model=null", 2, "model=null"),
    ("train data=null", 2, "data"),
    ("train trainer=null", 2, "trainer=null"),
    ("train model=dcgan model.generator=dcgan", 2, "model.generator=dcgan must be"),
    ("train callbacks.checkpoints.signals=[SIGKILL]", 2, "SIGKILL"),
    ("train callbacks.checkpoints.signals=SIGTERM", 2, "signals"),
    ("train callbacks.ema=on", 2, "callbacks.ema=on"),
    ("train callbacks=none", 2, "callbacks"),
    ("train model.objective.loss=hinge", 2, "model.objective.loss=hinge must be"),
    ("train model.objective=hinge", 2, "model.objective=hinge must be"),
    ("train model.objective.regularizers=[r1]", 2, "regularizers"),
    ("train +model.optimizer_generator.amsgrad=banana", 2, "amsgrad=banana must be true or false"),
    ("train +trainer.benchmark=perhaps", 2, "trainer.benchmark=perhaps must be"),
    ("train +trainer.deterministic=3", 2, "trainer.deterministic=3"),
    ("train hydra.run.dir=/proc/run", 2, "/proc"),
    ("train paths.data_dir=/proc/data", 2, "/proc"),
    ("train data.source.train_count=1000000000", 2, "at most 10000000"),
    ("train data.source.train_count=1000000000000000000000", 2, "train_count"),
    ("train callbacks.sample_grid.columns=1000000", 2, "columns"),
    ("train data.batch_size=100000000000000000000", 2, "batch_size"),
    ("train model.latent_dim=1000000000000", 2, "memory"),
    ("train trainer.max_time=soon", 2, "trainer.max_time"),
    ("train +trainer.max_time=soon", 2, "duration"),
    ("generate run=null", 2, "run=null must be"),
    ("generate run=[a,b]", 2, "[a,b] is not a run"),
    ("generate run=7", 2, "7 is not a run"),
    ("generate run={run} device=meta", 2, "device meta"),
    ("generate run={run} device=null", 2, "device=null"),
    ("generate run={run} checkpoint=null", 2, "checkpoint=null"),
    ("generate run={run} output=/proc/out", 2, "/proc/out"),
    ("evaluate run={run} metrics=null", 2, "metrics=null"),
    ("evaluate run={run} n=1000000000000", 2, "n=1000000000000 must be"),
    ("evaluate run=[a]", 2, "[a] is neither"),
    ("evaluate fake={good} real=7", 2, "7 is neither"),
    ("explore run={run} tool.paths=null", 2, "tool.paths"),
    ("explore run={run} tool=null", 2, "tool"),
    ("explore run=null", 2, "run=null must be"),
    ("translate run={translator} input=null output={root}/out", 2, "input=null must be"),
    ("translate run={translator} input={good} output=null", 2, "output=null must be"),
    ("export run=null", 2, "run=null must be"),
    ("compare {run} {scores_text}", 3, "scores.json cannot be read as scores"),
    ("compare", 2, "runs must be given"),
    ("leaderboard {file}", 2, "is not a folder"),
    ("leaderboard runs=null", 2, "runs=null must be"),
    ("pack data.source.path={good} output=null", 2, "output=null must be"),
    ("pack data.source.path={good} output={below}/x data.size=32", 2, "a_file"),
    ("pack data=null output={root}/out", 2, "data=null"),
    ("dashboard sections=null output={root}/out.json", 2, "sections=null"),
    ("dashboard axis=7 output={root}/out.json", 2, "not of its kind"),
    ("dashboard sections.quality=[x] output={root}/out.json", 2, "a panel needs line="),
    ("pack data.source.path={good} output={root}/out data.channels=7", 2, "neither 1"),
    ("evaluate run={run} n=4 +metrics.x=3", 2, "metrics.x=3 must be"),
    ("train model._target_=torch.nn.Identity", 2, "where a LightningModule is needed"),
    ("train +callbacks.x._target_=os.getcwd", 2, "where a Callback is needed"),
    ("train +logger.x._target_=torch.nn.Identity", 2, "Logger is needed"),
    ("generate run={bundle_latent}", 3, "do not fit"),
    ("generate run={bundle_lazy}", 2, "LazyLinear"),
    ("evaluate run={bundle_many}", 2, "at most 10000000"),
    ("generate run={ckpt_tensor}", 3, "last.ckpt"),
    ("generate run={ckpt_no_step}", 3, "global_step"),
    ("generate run={ckpt_null}", 3, "last.ckpt"),
    ("generate run={ckpt_names}", 3, "last.ckpt"),
    ("generate run={config_bomb}", 3, "config.yaml"),
    ("generate run={config_keys}", 3, "config.yaml"),
    ("generate run={config_cycle}", 3, "config.yaml"),
    ("generate run={config_fifo}", 2, "is not a run"),
    ("leaderboard {empty}", 2, "no scored runs"),
]  # fmt: skip
CASES = [*CONFIG, *DATA, *CHECKPOINTS, *BUNDLES, *COMMANDS, *CAUSES]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


def contents(root: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of every file there."""
    files = {str(path): path.lstat() for path in root.rglob("*") if not path.is_dir()}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in files.items()}


def typed(command: str, world: World) -> list[str]:
    name, *arguments = command.format(**vars(world)).split()
    if name != "train":
        return [name, *arguments]
    defaults = [*SMALL] if not any("data=" in a or "experiment=" in a for a in arguments) else [
        "debug=fast", "logger=[]", "trainer.accelerator=cpu"]  # fmt: skip
    given = {argument.split("=")[0].lstrip("+") for argument in arguments}
    kept = [item for item in defaults if item.split("=")[0] not in given]
    places = [f"paths.data_dir={world.root}/data", "paths.outputs=outputs"]
    return [name, *kept, *(p for p in places if p.split("=")[0] not in given), *arguments]


# Composing a training takes a third of a second: every other one of them is left to test-full.
SLOW = {case[0] for cases in (CONFIG, DATA) for case in cases[1::2]}


def marked(case: tuple) -> object:
    return pytest.param(case, id=case[0], marks=[pytest.mark.slow] if case[0] in SLOW else [])


@pytest.mark.parametrize("case", map(marked, CASES))
def test_bad_input(
    case: tuple, world: World, capfd: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    command, code, *words = case
    monkeypatch.chdir(tmp_path)
    before = contents(world.root)
    capfd.readouterr()
    found = ganforge(*typed(command, world))
    said = capfd.readouterr().err
    assert found == code, said
    sentence = said.strip().splitlines()[-1]
    assert sentence.startswith("ganforge: "), said
    assert "Traceback" not in said
    for word in words:
        assert word in sentence, said
    after = contents(world.root)
    assert {path: after.get(path) for path in before} == before
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("command", "code"),
    [("train model.optimizer_generator.lr=nan", 2), ("generate run={ckpt_pickle}", 3),
     ("generate run={bundle_evil}", 2)],
)  # fmt: skip
def test_bad_input_of_a_process(command: str, code: int, world: World, tmp_path: Path) -> None:
    """The same as typed into a terminal; GANFORGE_TRACE=1 shows where it was found."""
    line = [sys.executable, "-m", "ganforge", *typed(command, world)]
    told = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path)
    assert told.returncode == code, told.stderr
    assert told.stderr.strip().splitlines()[-1].startswith("ganforge: ")
    assert "Traceback" not in told.stderr
    assert not (tmp_path / "executed").exists()


def test_a_stack_trace_on_request(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANFORGE_TRACE", "1")
    with pytest.raises(UserError, match="n=many"):
        ganforge("generate", f"run={world.run}", "n=many")


def test_the_table_is_as_long_as_the_documents_say() -> None:
    assert len(CASES) == len({case[0] for case in CASES})
    page = Path(__file__).parents[1] / "docs" / "reliability.md"
    assert f"**{len(CASES)} of {len(CASES)}** bad inputs" in page.read_text(encoding="utf-8")
    assert len(CASES) >= 60
