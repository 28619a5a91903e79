"""Values of fields after their expressions were evaluated."""

import pytest

from nexus.kinds.registry import KINDS
from nexus.model.values import UNKNOWN, Sensitive, Value
from nexus.schema import check_value

FIELDS = {kind.name: {field.name: field for field in kind.fields} for kind in KINDS.values()}


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("sandbox", "timeout", 30),
        ("sandbox", "timeout", UNKNOWN),
        ("sandbox", "timeout", None),
        ("sandbox", "env_vars", {"A": Sensitive("x"), "B": UNKNOWN}),
        ("sandbox", "template", {"address": "template.x", "reference": "x:spec-1"}),
        ("sandbox", "volumes", {"/data": {"address": "volume.x", "name": "x"}}),
        ("template", "base_template", {"address": "template.x", "reference": "x:spec-1"}),
        ("step", "sandbox", {"address": "sandbox.x", "id": UNKNOWN}),
        ("step", "inputs", {"/x": {"sandbox": "i", "address": "sandbox.x", "path": "/y", "sha256": "0"}}),
    ],
)
def test_a_fitting_value_is_not_complained_about(kind: str, field: str, value: Value):
    assert check_value(FIELDS[kind][field], value) is None


def test_a_value_of_another_type_is_told():
    assert (
        check_value(FIELDS["sandbox"]["timeout"], [1])
        == 'timeout must be a duration such as "30m" or "1h30m", not a list'
    )
    assert check_value(FIELDS["sandbox"]["ports"], {"api": "x"}) == 'ports.api must be a whole number, not "x"'


def test_a_secret_is_not_shown():
    message = check_value(FIELDS["sandbox"]["timeout"], Sensitive("hunter2"))
    assert message is not None
    assert "hunter2" not in message
