"""Training from a store in a bucket: emulators of Google Cloud Storage and S3, which fsspec and tensorstore read."""

from __future__ import annotations

import fsspec
import numpy as np
import pytest

from corrstore.datasets.errors import BadInput
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.storage.key_values import key_value_spec
from corrstore.datasets.store.opening import open_store
from corrstore.training.learning.checkpoint import LAST, read_checkpoint
from corrstore.training.learning.trainer import train
from corrstore.training.patches.loader import Loader, split_order
from corrstore.training.run_config import run_config
from tests.brief_run import BRIEF_RUN
from tests.emulator import PROTOCOLS, bucket

CONFIG = run_config("regression", "demo", {**BRIEF_RUN, "patches": 16, "save_every": 16, "validate_every": 16})


@pytest.fixture(scope="module", params=PROTOCOLS)
def stored(request, demo_store):
    """The small store in a bucket."""
    with bucket(request.param) as options:
        fsspec.filesystem(request.param, **options).put(
            demo_store.folder.url, "bucket/store", recursive=True, batch_size=4
        )  # the emulator keeps few connections waiting
        yield open_store(f"{request.param}://bucket/store", options)


def test_patches_of_a_bucket_are_those_of_the_disk(stored, demo_store):
    both = [Loader(store, split_order(store, "train", CONFIG)) for store in (stored, demo_store)]
    spans = [(0, 4), (4, 8)]
    for far, near in zip(*(loader.batches(spans) for loader in both), strict=True):
        assert far.draws == near.draws
        np.testing.assert_array_equal(far.target.numpy(), near.target.numpy())
        np.testing.assert_array_equal(far.input.numpy(), near.input.numpy())


@pytest.mark.slow
def test_a_bucket_trains_the_weights_that_the_disk_trains(stored, demo_store, tmp_path):
    for name, store in (("far", stored), ("near", demo_store)):
        train(store, CONFIG, tmp_path / name)
    far, near = (read_checkpoint(tmp_path / name / LAST)["model"] for name in ("far", "near"))
    assert far.keys() == near.keys()
    assert all((far[key] == near[key]).all() for key in far)


def test_tensorstore_asks_the_server_that_s3fs_asks(monkeypatch):
    """The words of `storage_options` and of the environment, in tensorstore's."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    place = {"driver": "s3", "bucket": "bucket", "path": "store/target/"}
    region = {"client_kwargs": {"region_name": "cn-north-1", "endpoint_url": "http://minio:9000"}}
    for options, wanted in (
        ({}, {}),
        ({"anon": True}, {"aws_credentials": {"type": "anonymous"}}),
        ({"profile": "work"}, {"aws_credentials": {"type": "profile", "profile": "work"}}),
        (region, {"endpoint": "http://minio:9000", "aws_region": "cn-north-1"}),
    ):
        assert key_value_spec(Folder("s3://bucket/store", options), "target") == place | wanted
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://elsewhere:9000")
    assert key_value_spec(Folder("s3://bucket/store"), "target")["endpoint"] == "http://elsewhere:9000"


def test_a_place_that_tensorstore_does_not_read_is_refused():
    with pytest.raises(BadInput, match="s3://bucket/path"):
        key_value_spec(Folder("memory://store"), "target")
