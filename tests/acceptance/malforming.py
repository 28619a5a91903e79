"""Manifests that somebody got wrong: examples of all that the language has, changed at random places."""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

EXAMPLES = Path(__file__).parents[2] / "examples"

EVERYTHING = """\
apiVersion: nexus/v1
project: everything
include: [more/*.yaml]
variables:
  stage: {type: string, default: dev, enum: [dev, prod]}
  workers: {type: integer, default: 3, minimum: 1}
environments:
  prod: {stage: prod, workers: 8}
secrets:
  KEY: {env: KEY}
  TOKEN: {file: ./token}
volumes:
  datasets: {}
templates:
  ml:
    base_template: python
    packages: [pandas, "apt:git"]
    env_vars: {WANDB: research}
    run_commands: [pip list]
    start_command: python -m http.server 8888
    ready: {port: 8888}
    cpu: 2
    memory: 1GiB
    tags: [v1]
sandboxes:
  extractor:
    template: ${{ template.ml }}
    timeout: 30m
    on_timeout: pause
    env_vars: {STAGE: "${{ vars.stage }}", KEY: "${{ secrets.KEY }}"}
    packages: {pip: [httpx], npm: [typescript], apt: [jq]}
    uploads:
      - {path: /app/config.json, content: '{"retries": 3}', mode: "0644"}
    run_commands: [mkdir -p /app/logs]
    startup_script: |
      echo "ready in ${HOME}"
    network: {internet: true, allow: [], deny: []}
    volumes: {/data: "${{ volume.datasets }}"}
    ports: {api: 8000}
    metadata: {team: data}
    depends_on: [sandbox.worker]
    lifecycle: {prevent_destroy: false, ignore_changes: [metadata], replace_on: [startup_script]}
  worker:
    for_each: ${{ range(vars.workers) }}
    template: python
    env_vars: {INDEX: "${{ each.key }}"}
pipelines:
  etl:
    steps:
      extract:
        sandbox: extractor
        language: python
        code: print(1)
        outputs: {rows: /data/rows}
      process:
        sandbox: ${{ sandbox.worker }}
        needs: [extract]
        inputs: {/tmp/rows: "${{ step.etl.extract.outputs.rows }}"}
        run: wc /tmp/rows
        timeout: 10m
        retries: 2
        on: change
outputs:
  api: {value: "${{ sandbox.extractor.urls.api }}", description: Where it answers}
"""

JUNK: tuple[object, ...] = (
    None, True, False, 0, -1, 3.5, 10**30, float("nan"), "", " ", "yes", "\u0000", "\u202e", "é" * 300, "x" * 70_000,
    "30", "-5m", "1h1h", "../../etc/passwd", "/", "~", "${{", "${{ }}", "${{ vars.", "${{ nope }}",
    "${{ vars.nope }}", "${{ sandbox.nope.id }}", "${{ sandbox.worker.id }}", '${{ sandbox.worker["9"].id }}',
    "${{ sandbox.extractor }}", "${{ 1 / 0 }}", "${{ 'a' + 1 }}", "${{ [1,2][5] }}", "${{ range(-1) }}",
    "${{ range(1000000000) }}", "${{ file('../x') }}", "${{ file('/etc/passwd') }}", "${{ secrets.KEY }}",
    "${{ each.key }}", "${{ env.HOME }}", "$${{ x }}", "${{ sandbox.extractor.id }}", "${{ base64(1) }}",
    "${{ {'a': 1} }}", "${{ " + "(" * 300 + "1" + ")" * 300 + " }}", [], {}, [[]], [None], [{}], {"a": None},
    {"": ""}, {"a b": 1}, {"a": {"b": {"c": {}}}}, [1, 2, 3], ["a", "a"], {"port": 99999}, {"port": "x"}, {"env": ""},
    {"command": []}, {"source": "./nowhere", "path": "/x"}, {"path": "x", "content": "y"}, "sandbox.worker",
    "sandbox.extractor", "step.etl.process", "template.ml", 'sandbox.worker["0"]', "sandbox.worker[0]", "sandbox..x",
    "catalogue.python",
)  # fmt: skip

SIGNS = (*"{}[]\"'&*!|>%@`:-#,?\x07\ufeff\u2028", "${{", "}}", "<<: *a", "!!python/x ")
"""What a slip of the finger leaves in a line."""


def malformed(count: int, seed: int) -> Iterator[str]:
    """``count`` texts, the same ones for the same ``seed``. A few are still right by chance."""
    chance = random.Random(seed)
    originals = [EVERYTHING, *(path.read_text() for path in sorted(EXAMPLES.glob("*/nexus.yaml")))]
    for _ in range(count):
        text = chance.choice(originals)
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            text = chance.choice((_with_other_value, _with_other_value, _with_other_text))(text, chance)
        yield text


# ---- changes of the document


def _with_other_value(text: str, chance: random.Random) -> str:
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return _with_other_text(text, chance)
    if not isinstance(document, dict):
        return text
    holder, key = chance.choice(list(_places(document)))
    change: Callable[[random.Random, object, object], None] = chance.choice(
        (_replace, _replace, _rename, _drop, _double)
    )
    change(chance, holder, key)
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def _places(value: object) -> Iterator[tuple[object, object]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield value, key
            yield from _places(inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield value, index
            yield from _places(inner)


def _replace(chance: random.Random, holder: object, key: object) -> None:
    holder[key] = copy.deepcopy(chance.choice(JUNK))  # type: ignore[index]


def _rename(chance: random.Random, holder: object, key: object) -> None:
    if isinstance(holder, dict):
        other = chance.choice(
            (str(key)[:-1], f"{key}s", str(key).upper(), "x", "", 7, None, True, "a b", "a.b", "${{ vars.stage }}")
        )
        holder[other] = holder.pop(key)


def _drop(_chance: random.Random, holder: object, key: object) -> None:
    del holder[key]  # type: ignore[attr-defined]


def _double(_chance: random.Random, holder: object, key: object) -> None:
    if isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))  # type: ignore[call-overload]
    elif isinstance(holder, dict):
        holder[f"{key}2"] = copy.deepcopy(holder[key])


# ---- changes of the text


def _with_other_text(text: str, chance: random.Random) -> str:
    lines = text.splitlines(keepends=True) or ["\n"]
    at = chance.randrange(len(lines))
    line = lines[at]
    match chance.randrange(10):
        case 0:
            lines[at] = line.lstrip()
        case 1:
            lines[at] = " " * chance.randrange(1, 9) + line
        case 2:
            lines[at] = "\t" + line
        case 3:
            lines.insert(at, line)
        case 4:
            del lines[at]
        case 5:
            where = chance.randrange(len(line) + 1)
            lines[at] = line[:where] + chance.choice(SIGNS) + line[where:]
        case 6:
            where = chance.randrange(len(line) + 1)
            lines[at] = line[:where] + line[where + chance.randrange(1, 6) :]
        case 7:
            lines[at] = re.sub(r"[\w./-]+", lambda _: chance.choice(("x", "9", "~", "''")), line, count=1)
        case 8:
            other = chance.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        case _:
            return text[: chance.randrange(len(text) + 1)]
    return "".join(lines)
