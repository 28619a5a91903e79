"""Manifests as people write them who come from other tools, and have read nothing yet."""

from __future__ import annotations

from typing import Final

_HEAD: Final = "apiVersion: nexus/v1\nproject: demo\n"


def _web(fields: str) -> str:
    return _HEAD + "sandboxes:\n  web:\n" + "".join(f"    {line}\n" for line in fields.splitlines())


NEWCOMERS: Final = {
    "a Compose file": ("services:\n  web:\n    image: python:3.12\n    ports: ['8000:8000']\n    environment: [A=b]\n"),
    "fields of Compose": _web("image: python:3.12\nenvironment: {A: 1}\ncommand: python app.py\nports: [8000]"),
    "a list of sandboxes": _HEAD + "sandboxes:\n  - name: web\n    template: python\n",
    "a template with a letter missing": _web("template: pyton"),
    "other roots of expressions": _web("template: python\nenv_vars:\n  A: ${{ var.stage }}\n  B: ${{ secret.TOKEN }}"),
    "names that nobody has declared": _HEAD
    + (
        "variables: {stage: {default: dev}}\n"
        "sandboxes:\n"
        "  web: {template: python, ports: {http: 8000}}\n"
        "  client:\n"
        "    template: python\n"
        "    env_vars:\n"
        "      A: ${{ vars.stge }}\n"
        "      B: ${{ sandbox.web.url }}\n"
        "      C: ${{ sandbox.web.urls.https }}\n"
        "      D: ${{ sandbox.wbe.id }}\n"
        "      E: ${{ secrets.TOKEN }}\n"
    ),
    "dependencies without a kind": _HEAD
    + (
        "sandboxes:\n"
        "  web: {template: python}\n"
        "  app: {template: python, depends_on: [web]}\n"
        "  job: {template: python, depends_on: web}\n"
    ),
    "steps in a list": _HEAD
    + "sandboxes: {web: {template: python}}\npipelines:\n  etl:\n    steps:\n      - sandbox: web\n        run: echo\n",
    "a step in an instance": _HEAD
    + (
        "sandboxes:\n  w: {template: python, count: 3}\n"
        "pipelines:\n  p:\n    steps:\n      s: {sandbox: 'w[0]', run: ls}\n"
    ),
    "numbers in quotes": _web("template: python\ntimeout: 2 hours\nports: {http: '8000'}"),
    "a secret in place of its name": _HEAD + "secrets:\n  TOKEN: sk-12345\n",
    "a secret where it is used": _web("template: python\nenv_vars: {TOKEN: {from_env: SHOP_TOKEN}}"),
    "volumes the other way round": _HEAD
    + "volumes: {data: {}}\nsandboxes:\n  web:\n    template: python\n    volumes: {data: /data}\n",
    "a colon without a space": _web("template:python\ntimeout: 1h"),
    "a text with a colon in it": _web('template: python\nstartup_script: echo "a": b'),
    "an expression without quotes in braces": _web("template: python\nenv_vars: {A: ${{ vars.n }}}"),
    "braces without a dollar": _web("template: python\nenv_vars: {A: {{ vars.x }}}"),
    "an expression that is not closed": _web('template: python\nenv_vars: {A: "${{ vars.x"}'),
    "a circle": _HEAD
    + (
        "sandboxes:\n"
        "  a: {template: python, env_vars: {B: '${{ sandbox.b.id }}'}}\n"
        "  b: {template: python, env_vars: {A: '${{ sandbox.a.id }}'}}\n"
    ),
}
