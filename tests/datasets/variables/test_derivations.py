"""The table of derivations: its units, its functions, and what it makes."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from corrstore.datasets.errors import BadInput
from corrstore.datasets.variables import formulas
from corrstore.datasets.variables.channels import channel_named
from corrstore.datasets.variables.derivations import FORMULAS, OWN_LEVEL, derivation_of, derivations_of
from corrstore.datasets.variables.table import VARIABLES

RESULTS = [(name, result) for name, formula in FORMULAS.items() for result in formula.results]


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_is_a_function_of_its_arguments(name):
    assert list(inspect.signature(getattr(formulas, name)).parameters) == list(FORMULAS[name].arguments)


@pytest.mark.parametrize(("name", "result"), RESULTS)
def test_the_variables_of_a_derivation_have_the_units_of_its_formula(name, result):
    formula, variables = FORMULAS[name], FORMULAS[name].results[result]
    assert VARIABLES[result].units == formula.units and set(variables) == set(formula.arguments)
    for argument, variable in variables.items():
        units = "Pa" if variable == OWN_LEVEL else VARIABLES[variable].units
        assert units == formula.arguments[argument], argument


@pytest.mark.parametrize(("name", "result"), RESULTS)
def test_a_derivation_has_its_ingredients_on_the_level_of_its_result(name, result):
    on_level = VARIABLES[result].level_kind == "pressure"
    derivation = derivation_of(channel_named(f"{result}_700" if on_level else result), name)
    levels = {each.level for each in derivation.ingredients.values()}
    assert levels == {700 if on_level else None}
    assert (OWN_LEVEL in FORMULAS[name].results[result].values()) <= on_level


@pytest.mark.parametrize("level", [1000, 500, 50])
def test_a_derivation_takes_the_pressure_of_its_level(level):
    derivation = derivation_of(channel_named(f"w_{level}"))
    fields = {"upward_velocity": np.ones((2, 3), np.float32), "temperature": np.full((2, 3), 250, np.float32)}
    made = derivation.compute(fields)
    assert made.dtype == np.float32 and made.shape == (2, 3)
    np.testing.assert_allclose(made, -level * 100 / (287.05 * 250) * 9.80665, rtol=1e-4)


def test_of_several_derivations_the_first_is_taken_unless_another_is_named():
    d2m = channel_named("d2m")
    assert [each.name for each in derivations_of(d2m)] == [
        "dew_point_from_specific_humidity",
        "dew_point_from_relative_humidity",
    ]
    assert derivation_of(d2m).name == "dew_point_from_specific_humidity"


@pytest.mark.parametrize(
    ("channel", "name", "said"),
    [
        ("z_500", None, "gh_500 by geopotential_from_geopotential_height"),
        ("w_500", None, "wz_500 and t_500 by pressure_velocity_from_upward_velocity"),
        (
            "q2m",
            "specific_humidity_from_relative_humidity",
            "r2m, t2m and sp by specific_humidity_from_relative_humidity",
        ),
    ],
)
def test_a_derivation_names_its_ingredients(channel, name, said):
    assert str(derivation_of(channel_named(channel), name)) == said


@pytest.mark.parametrize(
    ("channel", "name", "said"),
    [
        ("msl", None, "msl cannot be derived; what can be is d2m, q, q2m, u, u10m, v, v10m, w, z"),
        ("d2m", "by_guess", "d2m has no derivation 'by_guess', but dew_point_from_specific_humidity, dew_point_from"),
    ],
)
def test_what_cannot_be_derived_is_refused_with_what_can(channel, name, said):
    with pytest.raises(BadInput, match=said):
        derivation_of(channel_named(channel), name)
