"""A project that uses most of what there is: sandboxes, a template, packages of three managers, 300 files, steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

FILES: Final = 300

_MANIFEST: Final = """
templates:
  toolbox:
    base_template: base
    packages: {{pip: [six==1.16.0]}}
    env_vars: {{TOOLBOX: "1"}}
    run_commands: ["echo {build_note} > /etc/toolbox"]

sandboxes:
  web:
    template: base
    timeout: {timeout}
    env_vars: {{GREETING: "{greeting}"}}
    uploads:
      - {{source: ./site/, path: /srv/site}}
    run_commands:
      - mkdir -p /srv/logs
      - {command}
    start_command: {start_command}
    ready: {{port: 8000}}
    ports: {{http: 8000}}
  maker:
    template: ${{{{ template.toolbox }}}}
    packages: {{pip: ["python-slugify=={slugify}"], npm: [is-number@7.0.0], apt: [tree]}}
  reader:
    template: base
    network: {network}

pipelines:
  hand-over:
    steps:
      make:
        sandbox: maker
        language: python
        code: |
          import six, slugify
          {code}
        outputs: {{letter: /home/user/letter.txt}}
      read:
        sandbox: reader
        inputs: {{/home/user/letter.txt: "${{{{ step.hand-over.make.outputs.letter }}}}"}}
        run: cp letter.txt answer.txt
        outputs: {{answer: /home/user/answer.txt}}

outputs:
  url: {{value: "${{{{ sandbox.web.urls.http }}}}"}}
  answer: {{value: "${{{{ step.hand-over.read.outputs.answer.sha256 }}}}"}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What of it changes between applies."""

    build_note: str = "first"
    timeout: str = "1h"
    greeting: str = "hello"
    command: str = "ls /srv/site > /srv/logs/listing"
    start_command: str = "python3 -m http.server 8000 --directory /srv/site"
    slugify: str = "8.0.1"
    network: str = "{internet: false}"
    code: str = 'open("/home/user/letter.txt", "w").write(slugify.slugify("Dear Reader"))'
    files: Mapping[str, str] = field(
        default_factory=lambda: {
            f"site/{number // 50}/page-{number}.html": f"<p>{number}</p>\n" for number in range(FILES)
        }
    )

    @property
    def manifest(self) -> str:
        words = {name: getattr(self, name) for name in self.__slots__ if name != "files"}
        return _MANIFEST.format(**words)

    def with_file(self, path: str, content: str) -> Project:
        return replace(self, files={**self.files, path: content})

    def without_file(self, path: str) -> Project:
        return replace(self, files={name: text for name, text in self.files.items() if name != path})
