"""What a recipe may not say: secrets, other folders, and numbers that no machine could work through."""

from __future__ import annotations

import pytest
import yaml

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.files import load_recipe
from corrstore.datasets.storage.folder import Folder
from tests.conftest import small_recipe_content

SECRETS = [
    *({"token": "ya29.a0/NotReal"}, {"account_key": "NotReal=="}, {"sas_token": "sv=2020&sig=NotReal"}),
    *({"client_kwargs": {"aws_secret_access_key": "NotReal"}}, {"headers": {"Authorization": "NotReal"}}),
    *({"endpoint_url": "https://me:NotReal@host"}, {"connection_string": "AccountKey=NotReal"}),
    *({"endpoint_url": "host?sig=NotReal"}, {"endpoint_url": "me:NotReal@host"}, {"anon": "NotReal"}, {"NotReal": 1}),
    *({"client_kwargs": {"client_kwargs": {"token": "NotReal"}}}, {"client_kwargs": ["NotReal"]}),
    *({"token": "/NotReal=="}, {"token": ["NotReal"]}, {"profile": "${NotReal}"}, {"requester_pays": "NotReal"}),
]
PLACES = ["https://host/archive.zarr?sig=NotReal", "gs://me:NotReal@bucket/a", "zip://a::https://me:NotReal@host/a.zip"]


@pytest.fixture
def refusal(archive, tmp_path):
    """The message that refuses a recipe with these values at keys."""

    def of(**changes: object) -> str:
        content = small_recipe_content(archive)
        for key, value in changes.items():
            *parents, last = key.split("__")
            place = content
            for parent in parents:
                place = place[parent]
            place[last] = value
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content))
        with pytest.raises(BadInput) as error:
            load_recipe(str(tmp_path / "recipe.yaml"))
        return str(error.value)

    return of


def test_secrets_are_refused_and_not_shown(refusal):
    for options in SECRETS:
        said = refusal(sources__era5__storage_options=options)
        assert "secret" in said and "NotReal" not in said, options
    for place in PLACES:
        for key in ("sources__era5__path", "like", "constants_from", "sources__era5__type"):
            said = refusal(**{key: place})
            assert "NotReal" not in said and len(said.splitlines()) <= 3, (key, place)
        with pytest.raises(BadInput, match="credentials by the environment") as error:
            Folder(place)
        assert "NotReal" not in str(error.value)


def test_a_secret_in_an_override_is_not_shown(archive, tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(small_recipe_content(archive)))
    for value in ("{token: NotReal}", "{token: [NotReal"):
        with pytest.raises(BadInput) as error:
            load_recipe(str(tmp_path / "recipe.yaml"), [f"sources.era5.storage_options={value}"])
        assert "NotReal" not in str(error.value) and "era5" in str(error.value)


@pytest.mark.parametrize("options", [{"token": "anon"}, {"anon": True}, {"token": "/k.json"}, {"requester_pays": True}])
def test_options_without_secrets_are_taken(archive, tmp_path, options):
    content = small_recipe_content(archive)
    content["sources"]["era5"]["storage_options"] = options
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content))
    assert load_recipe(str(tmp_path / "recipe.yaml")).sources["era5"].storage_options == options


@pytest.mark.parametrize("pattern", ["../*", "/etc/*", "a/../../b", ""])
def test_patterns_stay_in_the_folder(refusal, pattern):
    assert "leaves the folder" in refusal(sources__era5__files=[pattern])


def test_more_samples_than_a_store_may_have_are_refused(refusal):
    assert "frequency" in refusal(period={"start": "1800-01-01", "end": "2200-01-01", "frequency": "1min"})
    inits = {"start": "1900-01-01", "end": "2100-01-01", "hours": list(range(24))}
    assert "samples" in refusal(period=None, forecast={"inits": inits, "leads": {"first": "0h", "last": "9h"}})
    leads = {"first": "0min", "last": "9999999min", "every": "1min"}
    assert "samples" in refusal(period=None, forecast={"inits": ["2020-06-01"], "leads": leads})


def test_times_durations_and_grids_have_bounds(refusal):
    assert "1700 to 2249" in refusal(period__end="9999-12-31")
    assert "duration" in refusal(window="99999999999999999999d")
    assert "duration" in refusal(window="\u0663h")
    assert "at most" in refusal(target__grid__step=0.00002)
