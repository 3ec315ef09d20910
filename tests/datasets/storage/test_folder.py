"""A folder by its URL."""

from __future__ import annotations

import pytest

from corrstore.datasets.errors import BadInput
from corrstore.datasets.storage.folder import Folder


@pytest.mark.parametrize("url", ["gs://", "gcs://", "s3://", "s3:///path"])
def test_a_url_of_a_bucket_without_its_name_is_refused(url):
    with pytest.raises(BadInput, match=f"^{url} names no bucket; give {url.partition(':')[0]}://bucket/path$"):
        Folder(url)
