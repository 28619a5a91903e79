"""What is missing around fragments of manifests in the pages, so that they can be checked as readers use them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from nexus.kinds.registry import KINDS
from nexus.manifest.yaml_reader import read_yaml
from tests.docs.pages import ROOT, Block

SECTIONS: Final = frozenset(json.loads((ROOT / "schemas" / "nexus.schema.json").read_text())["properties"])
HEAD: Final = {"apiVersion": "nexus/v1", "project": "sample"}

FRAMES: Final[Mapping[str, str]] = {
    "workers": """
        variables: {workers: {default: 3}}
    """,
    "imported": """
        variables: {web_id: {default: i3k9x0c2}}
        sandboxes: {web: {template: base}}
    """,
    "sandbox": """
        sandboxes: {db: {template: base}}
    """,
    "errors": """
        variables:
          region: {default: eu}
          names: {default: [ada]}
          debug: {default: false}
          workers: {default: 3}
          env: {default: {A: "1"}}
          package: {default: six}
        secrets: {token: {env: TOKEN}, index: {env: INDEX}}
        templates: {app: {base_template: base}}
        sandboxes:
          web: {template: base, ports: {http: 8000}}
          db: {template: base}
          extractor: {template: base}
          worker: {template: base, for_each: [eu, us]}
    """,
}
FILES: Final = ("app/server.py", "lib/lib.py", "logo.png", "scripts/start.sh", "Dockerfile")
"""Files that fragments name."""


def write_project(block: Block, folder: Path) -> None:
    """The manifest that a block is, or stands in, in a project of its own."""
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("FROM e2bdev/base\n" if name == "Dockerfile" else "")
    if "apiVersion" in block.text:
        (folder / "nexus.yaml").write_text(block.text)
        return
    frame = read(FRAMES[block.notes["frame"]]) if "frame" in block.notes else {}
    whole = _merged({**HEAD, **frame}, _placed(read(block.text)))
    (folder / "nexus.yaml").write_text(json.dumps(whole))


def read(text: str) -> dict[str, Any]:
    """A mapping in YAML, by the rules that nexus reads it by."""
    document = read_yaml(text)
    assert not document.diagnostics, document.diagnostics
    assert isinstance(document.value, dict)
    return document.value


def _placed(fragment: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where a fragment belongs: among the sections, the steps, the sandboxes, or the fields of a sandbox."""
    if all(key in SECTIONS or key.startswith("x-") for key in fragment):
        return fragment
    if fragment.keys() <= {field.name for field in KINDS["sandbox"].fields} | {"lifecycle"}:
        return {"sandboxes": {"sample": fragment}}
    if all(isinstance(value, dict) and value.keys() & {"run", "code"} for value in fragment.values()):
        return {"pipelines": {"sample": {"steps": fragment}}}
    return {"sandboxes": fragment}


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Sections side by side, and blocks in them; of blocks of the same name, the fragment's."""
    merged = dict(below)
    for name, value in above.items():
        old = merged.get(name)
        merged[name] = old | value if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
