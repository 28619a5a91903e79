"""Inputs of a run: variables by precedence and type, secrets from their sources."""

from pathlib import Path

import pytest

from nexus import manifest
from nexus.manifest import Manifest, check_variables, resolve_secrets, resolve_variables
from nexus.model.values import Sensitive, Value

HEAD = "apiVersion: nexus/v1\nproject: p\n"


def project(root: Path, content: str) -> Manifest:
    (root / "nexus.yaml").write_text(HEAD + content)
    read = manifest.read(root)
    assert not read.diagnostics
    return read


def test_later_sources_win(tmp_path: Path):
    read = project(
        tmp_path,
        "variables: {a: {default: d}, b: {default: d}, c: {default: d}, d: {default: d}, e: {default: d}}\n"
        "environments: {prod: {b: env, c: env, d: env, e: env}}\n",
    )
    (tmp_path / "vars.yaml").write_text("d: file\ne: file\n")
    values, problems = resolve_variables(
        read,
        "prod",
        process={"NEXUS_VAR_c": "process", "NEXUS_VAR_d": "process", "NEXUS_VAR_e": "process", "c": "no"},
        files=[tmp_path / "vars.yaml"],
        assignments=["e=flag=1"],
    )
    assert values == {"a": "d", "b": "env", "c": "process", "d": "file", "e": "flag=1"}
    assert not problems


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        ("string", "3", "3"),
        ("integer", "-3", -3),
        ("number", "3", 3),
        ("number", "1.5", 1.5),
        ("boolean", "TRUE", True),
        ("list", "[1, a]", [1, "a"]),
        ("map", "{a: 1}", {"a": 1}),
        ("object", '{"a": [true]}', {"a": [True]}),
    ],
)
def test_texts_become_what_the_type_says(tmp_path: Path, type_: str, text: str, value: Value):
    values, problems = resolve_variables(
        project(tmp_path, f"variables: {{a: {{type: {type_}}}}}\n"), assignments=[f"a={text}"]
    )
    assert values == {"a": value}
    assert not problems


@pytest.mark.parametrize(
    ("declaration", "text"),
    [
        ("type: integer", "1.5"),
        ("type: integer", ""),
        ("type: integer", "9" * 5000),
        ("type: number", "nan"),
        ("type: boolean", "yes"),
        ("type: list", "{a: 1}"),
        ("type: map", "["),
        ("enum: [a, b]", "c"),
        ("{type: integer, minimum: 2}", "1"),
        ("{type: integer, maximum: 2}", "3"),
        ("{type: string, pattern: '^a'}", "b"),
    ],
)
def test_texts_that_do_not_fit_are_reported(tmp_path: Path, declaration: str, text: str):
    block = declaration if declaration.startswith("{") else f"{{{declaration}}}"
    _, problems = resolve_variables(project(tmp_path, f"variables: {{a: {block}}}\n"), assignments=[f"a={text}"])
    assert [item.code for item in problems] == ["invalid-variable"]


def test_a_variable_without_a_value_is_reported_at_its_declaration(tmp_path: Path):
    values, problems = resolve_variables(
        project(tmp_path, "variables:\n  a: {type: string}\n  b:\n  c: {default: null}\n")
    )
    assert values == {"c": None}
    assert [(item.code, str(item.range)) for item in problems] == [
        ("missing-variable", "nexus.yaml:4:3"),
        ("missing-variable", "nexus.yaml:5:3"),
    ]


def test_unknown_names_are_reported_with_the_nearest(tmp_path: Path):
    read = project(tmp_path, "variables: {stage: {default: dev}}\nenvironments: {prod: {}}\n")
    (tmp_path / "v.yaml").write_text("stag: x\n")
    _, problems = resolve_variables(read, "prd", files=[tmp_path / "v.yaml"], assignments=["stge=x", "stage"])
    assert [(item.code, item.hint) for item in problems] == [
        ("unknown-environment", 'did you mean "prod"?'),
        ("unknown-variable", 'did you mean "stage"?'),
        ("unknown-variable", 'did you mean "stage"?'),
        ("invalid-value", ""),
    ]


def test_the_default_environment_need_not_be_declared(tmp_path: Path):
    assert resolve_variables(project(tmp_path, "variables: {a: {default: 1}}\n"), "default") == ({"a": 1}, ())
    declared = project(tmp_path, "variables: {a: {default: 1}}\nenvironments: {default: {a: 2}}\n")
    assert resolve_variables(declared) == ({"a": 2}, ())


def test_files_of_variables_keep_types_and_are_checked(tmp_path: Path):
    read = project(tmp_path, "variables: {n: {type: integer}, s: {type: string, default: x}}\n")
    (tmp_path / "v.json").write_text('{"n": 3, "s": 4}')
    values, problems = resolve_variables(read, files=[tmp_path / "v.json", tmp_path / "missing.yaml"])
    assert values == {"n": 3, "s": "x"}
    assert [item.code for item in problems] == ["invalid-variable", "unreadable-file"]


def test_environments_are_checked_whether_used_or_not(tmp_path: Path):
    read = project(tmp_path, "variables: {n: {type: integer, default: 1}}\nenvironments: {a: {n: x}, b: {m: 1}, c: }\n")
    assert [(item.code, str(item.range)) for item in check_variables(read)] == [
        ("invalid-variable", "nexus.yaml:4:23"),
        ("unknown-variable", "nexus.yaml:4:31"),
    ]


def test_secrets_come_from_their_sources(tmp_path: Path):
    (tmp_path / "token").write_text("from file\n")
    read = project(
        tmp_path,
        'secrets:\n  A: {env: TOKEN}\n  B: {file: token}\n  C: {command: \'printf "%s\\n" "$TOKEN $PWD"\'}\n',
    )
    values, problems = resolve_secrets(read, {"TOKEN": "from env", "PATH": "/usr/bin:/bin"})
    assert not problems
    assert all(isinstance(value, Sensitive) for value in values.values())
    assert {name: value.value for name, value in values.items() if isinstance(value, Sensitive)} == {
        "A": "from env",
        "B": "from file",
        "C": f"from env {tmp_path}",
    }
    assert "from" not in repr(values)


def test_secrets_that_can_not_be_had_name_their_source_and_no_value(tmp_path: Path):
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff")
    read = project(
        tmp_path,
        "secrets:\n  A: {env: NO}\n  B: {file: missing}\n  C: {command: 'echo hunter2; echo hunter2 >&2; exit 3'}\n"
        "  D: {file: empty}\n  E: {file: binary}\n",
    )
    values, problems = resolve_secrets(read, {"PATH": "/usr/bin:/bin"})
    assert values == {}
    assert [str(item.range) for item in problems] == [f"nexus.yaml:{line}:3" for line in range(4, 9)]
    said = " ".join(item.summary for item in problems)
    assert "hunter2" not in said
    for part in ("variable NO", "missing", "exit code 3", "empty is empty", "UTF-8"):
        assert part in said


def test_a_secret_that_takes_too_long_is_not_waited_for(tmp_path: Path):
    read = project(tmp_path, "secrets:\n  A: {command: sleep 300}\n")
    values, (problem,) = resolve_secrets(read, {"PATH": "/usr/bin:/bin"}, timeout=0.2)
    assert values == {}
    assert "longer than 0.2 seconds" in problem.summary


def test_only_the_secrets_asked_for_are_read(tmp_path: Path):
    read = project(tmp_path, "secrets: {A: {env: A}, B: {env: MISSING}}\n")
    values, problems = resolve_secrets(read, {"A": "x"}, only=["A"])
    assert (list(values), problems) == (["A"], ())
