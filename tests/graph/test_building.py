"""From a manifest to instances and edges, with what is wrong said at its place."""

from __future__ import annotations

import time

import pytest

from nexus.graph import DesiredGraph
from nexus.model.addresses import Address
from nexus.model.diagnostics import Diagnostic
from tests.fakes.manifests import graph_of


def needs(graph: DesiredGraph, text: str) -> set[str]:
    return set(map(str, graph.resources[Address.parse(text)].depends_on))


def only(graph: DesiredGraph, code: str) -> Diagnostic:
    (found,) = [item for item in graph.diagnostics if item.code == code]
    assert found.range is not None, found
    return found


def well(text: str, **known: object) -> DesiredGraph:
    graph = graph_of(text, **known)
    assert not graph.diagnostics, graph.diagnostics
    return graph


def test_references_are_edges() -> None:
    graph = well(
        """
volumes: {data: {}}
templates: {ml-x: {base_template: "image: x", image: y}}
sandboxes:
  db: {template: "${{ template.ml-x }}"}
  web:
    env_vars: {DB: "http://${{ sandbox.db.id }}/"}
    volumes: {/data: "${{ volume.data }}"}
    depends_on: [sandbox.other]
  other: {}
"""
    )
    assert needs(graph, "sandbox.db") == {"template.ml-x"}
    assert needs(graph, "sandbox.web") == {"sandbox.db", "volume.data", "sandbox.other", "catalogue.base"}
    order = graph.dag.order()
    assert order.index(Address("sandbox", "db")) < order.index(Address("sandbox", "web"))


def test_items_of_lists_have_places() -> None:
    graph = well("""
sandboxes:
  web:
    run_commands:
      - echo one
      - echo two
""")
    places = graph.resources[Address("sandbox", "web")].field_sources
    assert (places["run_commands[1]"].start.line, places["run_commands[1]"].start.column) == (6, 9)
    assert "uploads[0]" not in places


def test_plain_names_are_references() -> None:
    graph = well(
        """
volumes: {data: {}}
templates:
  one: {base_template: python}
  two: {base_template: one}
sandboxes:
  a: {template: two, volumes: {/d: data}}
  b: {template: nodejs}
  c: {template: some-e2b-template}
  d: {template: "${{ vars.which }}"}
pipelines: {p: {steps: {s: {sandbox: a, run: x}}}}
""",
        variables={"which": "two"},
    )
    assert needs(graph, "template.two") == {"template.one"}
    assert needs(graph, "template.one") == {"catalogue.python"}
    assert needs(graph, "sandbox.a") == {"template.two", "volume.data"}
    assert needs(graph, "sandbox.b") == {"catalogue.node"}
    assert needs(graph, "sandbox.c") == set()
    assert needs(graph, "sandbox.d") == {"template.two"}
    assert needs(graph, "step.p.s") == {"sandbox.a"}
    assert Address("catalogue", "python") in graph.resources


@pytest.mark.parametrize(
    ("field", "keys"),
    [
        ("count: 2", ["0", "1"]),
        ("count: 0", []),
        ("for_each: [a, 2, 3.0]", ["a", "2", "3"]),
        ("for_each: {eu: {size: 1}, us: {size: 2}}", ["eu", "us"]),
        ('for_each: "${{ range(vars.n) }}"', ["0", "1", "2"]),
        ('for_each: ["x-${{ vars.n }}", y]', ["x-3", "y"]),
        ("{count: 3, when: \"${{ each.key != '1' }}\"}", ["0", "2"]),
        ("{count: 3, when: false}", []),
    ],
)
def test_blocks_expand(field: str, keys: list[str]) -> None:
    inner = field if field.startswith("{") else "{" + field + "}"
    graph = well(f"sandboxes: {{w: {inner}}}", variables={"n": 3})
    assert [address.key for address in graph.instances[Address("sandbox", "w")].values()] == keys


def test_a_matrix_combines_its_lists() -> None:
    graph = well(
        """
sandboxes: {a: {}}
pipelines: {p: {steps: {s: {sandbox: a, run: x, matrix: {py: ['3.11', '3.12'], n: [1, 2]}}}}}
"""
    )
    instances = graph.instances[Address("step", "p.s")]
    assert list(instances) == ["3.11,1", "3.11,2", "3.12,1", "3.12,2"]
    each = graph.resources[instances["3.12,1"]].each
    assert each is not None
    assert each.value == {"py": "3.12", "n": 1}


def test_each_tells_key_and_value() -> None:
    graph = graph_of("sandboxes: {w: {for_each: {eu: {size: 1}}}}\npipelines: {p: {steps: {s: {sandbox: w, run: x}}}}")
    each = graph.resources[Address("sandbox", "w", "eu")].each
    assert each is not None
    assert each.value == {"size": 1}


def test_when_false_takes_a_block_away() -> None:
    graph = well('sandboxes: {a: {when: "${{ vars.on }}"}, b: {depends_on: [sandbox.a]}}', variables={"on": False})
    assert list(map(str, graph.resources)) == ["catalogue.base", "sandbox.b"]
    graph = graph_of('sandboxes: {a: {when: false}, b: {env_vars: {A: "${{ sandbox.a.id }}"}}}')
    assert only(graph, "disabled-resource").address == "sandbox.b"


def test_instances_share_their_attributes() -> None:
    graph = well('sandboxes: {w: {count: 3, env_vars: {I: "${{ each.key }}"}}}')
    attributes = [spec.attributes for spec in graph.resources.values() if spec.address.kind == "sandbox"]
    assert len(attributes) == 3
    assert all(item is attributes[0] for item in attributes)


def test_dynamic_keys_are_evaluated_into_edges() -> None:
    graph = well(
        """
sandboxes:
  w: {count: 3}
  x: {count: 3, env_vars: {PEER: "${{ sandbox.w[each.key].id }}"}}
  y: {env_vars: {P: "${{ sandbox.w[string(vars.n)].id }}", Q: "${{ sandbox.w['0'].id }}"}}
  z: {env_vars: {P: "${{ range(2).map(i, sandbox.w[string(i)].id).join(',') }}"}}
""",
        variables={"n": 1},
    )
    assert needs(graph, 'sandbox.x["2"]') == {"catalogue.base", 'sandbox.w["2"]'}
    assert needs(graph, "sandbox.y") == {"catalogue.base", 'sandbox.w["0"]', 'sandbox.w["1"]'}
    assert needs(graph, "sandbox.z") == {"catalogue.base", *(f'sandbox.w["{i}"]' for i in range(3))}


def test_templates_that_differ_between_instances() -> None:
    graph = well('sandboxes: {w: {for_each: [python, node], template: "${{ each.value }}"}}')
    assert needs(graph, 'sandbox.w["python"]') == {"catalogue.python"}
    assert needs(graph, 'sandbox.w["node"]') == {"catalogue.node"}


@pytest.mark.parametrize("where", ["worker", "${{ sandbox.worker }}"])
def test_a_fanned_out_sandbox_fans_the_step_out(where: str) -> None:
    graph = well(
        f"""
sandboxes: {{worker: {{count: 2}}, one: {{}}}}
pipelines:
  etl:
    steps:
      prepare: {{sandbox: one, run: a}}
      fetch: {{sandbox: "{where}", run: a, needs: [prepare]}}
      load: {{sandbox: "{where}", run: "b ${{{{ each.key }}}}", needs: [fetch]}}
      report: {{sandbox: one, run: c, needs: [load]}}
"""
    )
    assert needs(graph, 'step.etl.fetch["1"]') == {'sandbox.worker["1"]', "step.etl.prepare"}
    assert needs(graph, 'step.etl.load["1"]') == {'sandbox.worker["1"]', 'step.etl.fetch["1"]'}
    assert needs(graph, "step.etl.report") == {"sandbox.one", 'step.etl.load["0"]', 'step.etl.load["1"]'}


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ('sandboxes: {a: {env_vars: {X: "${{ sandbox.bb.id }}"}}, bb2: {}}', "unknown-resource", "bb2"),
        ('sandboxes: {a: {env_vars: {X: "${{ vars.stge }}"}}}', "unknown-variable", "stage"),
        ('sandboxes: {a: {env_vars: {X: "${{ secrets.TOKN }}"}}}', "unknown-secret", "TOKEN"),
        ('sandboxes: {a: {}, b: {env_vars: {X: "${{ sandbox.a.idd }}"}}}', "unknown-attribute", "id"),
        (
            'sandboxes: {a: {ports: {api: 1}}, b: {env_vars: {X: "${{ sandbox.a.urls.apo }}"}}}',
            "unknown-attribute",
            "api",
        ),
        ('sandboxes: {w: {count: 2}, b: {env_vars: {X: "${{ sandbox.w.id }}"}}}', "ambiguous-reference", 'w["0"].id'),
        ("sandboxes: {w: {count: 2}, b: {env_vars: {X: \"${{ sandbox.w['5'].id }}\"}}}", "unknown-resource", "0"),
        ('sandboxes: {a: {env_vars: {X: "${{ each.key }}"}}}', "each-without-instances", "for_each"),
        ("sandboxes: {a: {depends_on: [sandbox.c]}, cc: {}}", "unknown-resource", "sandbox.cc"),
        ("sandboxes: {a: {volumes: {/d: dta}}}\nvolumes: {data: {}}", "unknown-resource", "data"),
        ("pipelines: {p: {steps: {s: {sandbox: aa, run: x}}}}\nsandboxes: {ab: {}}", "unknown-resource", "ab"),
        (
            "pipelines: {p: {steps: {s: {sandbox: a, run: x, needs: [sss]}, ss: {sandbox: a, run: x}}}}\n"
            "sandboxes: {a: {}}",
            "unknown-resource",
            "ss",
        ),
        ('outputs: {o: {value: "${{ sandbox.a.id }}"}}\nsandboxes: {ab: {}}', "unknown-resource", "ab"),
        ('sandboxes: {a: {env_vars: {X: "${{ catalogue.nope.name }}"}}}', "unknown-resource", "catalogue"),
        ('sandboxes: {a: {env_vars: {X: "${{ 1 + }}"}}}', "expression-invalid", "CEL"),
    ],
)
def test_what_is_wrong_has_a_place_and_a_hint(text: str, code: str, hint: str) -> None:
    graph = graph_of(text, variables={"stage": "dev"}, secrets=["TOKEN"])
    assert hint in only(graph, code).hint
    assert graph.has_errors


@pytest.mark.parametrize(
    "field",
    [
        'count: "${{ sandbox.b.timeout }}"',
        'for_each: "${{ [secrets.TOKEN] }}"',
        "when: \"${{ sandbox.b.id != '' }}\"",
        'count: "${{ each.value }}"',
        "lifecycle: {prevent_destroy: \"${{ secrets.TOKEN == 'x' }}\"}",
    ],
)
def test_what_shapes_the_graph_must_be_known_before_apply(field: str) -> None:
    graph = graph_of(f"sandboxes: {{a: {{{field}}}, b: {{}}}}", secrets=["TOKEN"])
    found = only(graph, "not-known-before-apply")
    assert found.address == "sandbox.a"


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("count: -1", "whole number"),
        ("count: true", "whole number"),
        ("count: '${{ vars.s }}'", "whole number"),
        ("for_each: x", "list or a mapping"),
        ("for_each: [a, a]", "twice"),
        ("for_each: [1, '1']", "twice"),
        ("for_each: [true]", "strings and numbers"),
        ("for_each: [{a: 1}]", "strings and numbers"),
        ("{count: 1, for_each: [a]}", "together"),
        ("when: 'yes'", "true or false"),
    ],
)
def test_wrong_expansions_are_errors(field: str, said: str) -> None:
    inner = field if field.startswith("{") else "{" + field + "}"
    graph = graph_of(f"sandboxes: {{a: {inner}}}", variables={"s": "x"})
    assert said in only(graph, "invalid-expansion").summary


def test_cycles_are_named_with_places() -> None:
    graph = graph_of(
        """
sandboxes:
  a: {env_vars: {X: "${{ sandbox.b.id }}"}}
  b: {depends_on: [sandbox.c]}
  c: {env_vars: {X: "${{ sandbox.a.id }}"}}
"""
    )
    found = only(graph, "dependency-cycle")
    assert "sandbox.a → sandbox.b → sandbox.c → sandbox.a" in found.detail
    assert found.range is not None
    assert found.range.start.line == 3


def test_a_resource_can_not_refer_to_itself() -> None:
    graph = graph_of('sandboxes: {a: {env_vars: {X: "${{ sandbox.a.id }}"}}}')
    assert "refers to itself" in only(graph, "dependency-cycle").summary


def test_instances_of_one_block_may_refer_to_each_other() -> None:
    graph = well("sandboxes: {w: {count: 2, env_vars: {L: \"${{ each.key == '0' ? '' : 'x' }}\"}}}")
    assert len(graph.instances[Address("sandbox", "w")]) == 2


def test_several_errors_are_reported_at_once() -> None:
    graph = graph_of('sandboxes: {a: {env_vars: {X: "${{ vars.x }}", Y: "${{ secrets.y }}"}, count: -1}}')
    assert {item.code for item in graph.diagnostics} == {"unknown-variable", "unknown-secret", "invalid-expansion"}


def test_text_form_is_deterministic() -> None:
    text = "sandboxes: {b: {depends_on: [sandbox.a]}, a: {template: x}}"
    assert graph_of(text).describe() == graph_of(text).describe()
    assert "sandbox.a <- -" in graph_of(text).describe()


def test_ten_thousand_instances_build_quickly() -> None:
    began = time.process_time()
    graph = well(
        """
sandboxes:
  a: {count: 5000, env_vars: {I: "${{ each.key }}"}}
  b: {count: 5000, env_vars: {PEER: "${{ sandbox.a[each.key].id }}"}}
"""
    )
    assert len(graph.resources) == 10_001
    assert len(graph.dag.order()) == 10_001
    assert time.process_time() - began < 5


def test_the_template_of_a_steps_own_sandbox_is_an_edge() -> None:
    graph = well(
        """
templates: {tools: {base_template: python}}
volumes: {data: {}}
pipelines:
  p:
    steps:
      named: {sandbox: {template: tools, volumes: {/data: data}}, run: x}
      catalogue: {sandbox: {template: node}, run: x}
      each: {matrix: {t: [tools, base]}, sandbox: {template: "${{ each.value.t }}"}, run: x}
      needs: {sandbox: {template: base}, env_vars: {A: "${{ step.p.named.exit_code }}"}, run: x}
"""
    )
    assert edges(graph) == {
        "step.p.named": ["template.tools", "volume.data"],
        "step.p.catalogue": ["catalogue.node"],
        'step.p.each["tools"]': ["template.tools"],
        'step.p.each["base"]': ["catalogue.base"],
        "step.p.needs": ["catalogue.base", "step.p.named"],
    }


def edges(graph: DesiredGraph) -> dict[str, list[str]]:
    """What each step needs."""
    steps = (address for address in graph.resources if address.kind == "step")
    return {str(step): sorted(map(str, graph.dag.needs(step))) for step in steps}
