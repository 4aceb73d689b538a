"""The abilities of the members of the catalogue: each is listed because some model has it."""

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
