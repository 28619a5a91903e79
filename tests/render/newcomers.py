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
    "roots of Terraform": _HEAD
    + (
        "variables: {n: {type: integer, default: 3}}\n"
        "sandboxes:\n"
        "  a: {count: '${{ var.n }}'}\n"
        "  b: {count: 3, env_vars: {N: '${{ count.index }}', M: '${{ local.name }}'}}\n"
    ),
    "the environment of a workflow": _web("template: python\nenv_vars: {SHA: '${{ github.sha }}'}"),
    "an attribute that there is not": _HEAD + "sandboxes: {web: {}}\noutputs: {ip: '${{ sandbox.web.ip }}'}\n",
    "sizes of a sandbox": _web("cpu: 2\nmemory: 4096"),
    "uploads as Compose mounts them": _web("uploads: ['./app:/srv/app']"),
    "a URL where a host is meant": _web("network: {allow: [https://pypi.org]}"),
    "a field at the place of a block": _HEAD + "sandboxes:\n  web:\n  template: base\n",
    "a file with nothing in it": "",
    "a command as a list": _web("start_command: [python, app.py]"),
    "half of a shared state": _HEAD + "state: {backend: s3}\nsandboxes: {web: {}}\n",
    "a default of another type": _HEAD + "variables: {n: {type: number, default: three}}\nsandboxes: {web: {}}\n",
}
