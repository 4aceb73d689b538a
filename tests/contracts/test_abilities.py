"""The abilities of the members of the catalogue: each is listed because some model has it."""

import pytest

from catalogue import MEMBERS
from thalweg.abilities import ABILITIES, abilities_of
from thalweg.evaluation.groups import GROUPS


def test_every_ability_is_one_of_a_member_of_the_catalogue():
    representatives = {member.recipe: member for member in MEMBERS}
    owned = {name for member in representatives.values() for name in abilities_of(member.run().model)}
    assert owned == set(ABILITIES)


def test_every_member_of_the_catalogue_has_measures():
    for member in {member.recipe: member for member in MEMBERS}.values():
        model = member.run().model
        assert any(group.applies(model) for group in GROUPS if group.name != "cost"), member


@pytest.mark.parametrize("name", ABILITIES)
@pytest.mark.parametrize("on_class", [True, False])
def test_an_attribute_that_cannot_be_called_is_no_method(name, on_class):
    model = type("Model", (), {name: 3} if on_class else {})()
    if not on_class:
        setattr(model, name, 3)
    assert abilities_of(model) == (("prior",) if name == "prior" else ())  # a prior is a value
    setattr(model, name, lambda *inputs: inputs)
    assert abilities_of(model) == (name,)
