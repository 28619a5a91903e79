"""The template catalogue as data: what each of nexus' own templates is made of.

Every command does nothing where its work is done already, so that a definition builds on E2B's base image and on the
local engine's alike.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

BASE_IMAGE: Final = "e2bdev/base"
APP: Final = "/home/user/app"


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """``files`` are contents by path in the sandbox; ``memory`` is in MiB."""

    name: str
    description: str
    language: str
    aliases: tuple[str, ...] = ()
    env_vars: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    run_commands: tuple[str, ...] = ()
    start_command: str | None = None
    ready_port: int | None = None
    memory: int | None = None


def _apt(programs: str, packages: str) -> str:
    """Installs ``packages`` unless all of ``programs`` are there."""
    missing = " && ".join(f"command -v {program} >/dev/null" for program in programs.split())
    return (
        f"{{ {missing}; }} || {{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y "
        f"--no-install-recommends {packages}; }}"
    )


_TOOLS = _apt("git curl bash", "git curl bash ca-certificates")
_NODE = _apt("node npm", "nodejs npm ca-certificates")
_GLOBAL_MODULES = '[ -e /node_modules ] || ln -s "$(npm root --global)" /node_modules'
"""Programs find global packages wherever they lie, for require, import and bundlers alike."""

_NPM_INSTALL = "npm install --no-audit --no-fund --no-update-notifier"
_INSTALL_APP = f"cd {APP} && {_NPM_INSTALL} && chown -R user:user {APP}"
_SCIENCE = "numpy pandas scipy scikit-learn matplotlib requests"
_IMPORTS = "numpy, pandas, scipy, sklearn, matplotlib, requests"


def _package_json(name: str, scripts: Mapping[str, str], **groups: Mapping[str, str]) -> str:
    package = {"name": name, "private": True, "version": "0.1.0", "type": "module", "scripts": scripts, **groups}
    return json.dumps(package, indent=2) + "\n"


_REACT_FILES = {
    f"{APP}/package.json": _package_json(
        "app",
        {"dev": "vite --host 0.0.0.0", "build": "vite build", "preview": "vite preview --host 0.0.0.0"},
        dependencies={"react": "^19.0.0", "react-dom": "^19.0.0"},
        devDependencies={"@vitejs/plugin-react": "^4.3.4", "vite": "^6.0.0"},
    ),
    f"{APP}/vite.config.js": """import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// Sandboxes are reached under names of their own, so every Host is accepted.
export default defineConfig({
  plugins: [react()],
  // A component library that is installed globally brings a React of its own; the project's is the one to use.
  resolve: { dedupe: ["react", "react-dom"] },
  server: { allowedHosts: true },
  preview: { allowedHosts: true },
});
""",
    f"{APP}/index.html": """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>React</title>
  </head>
  <body>
    <div id="root"></div>
    <script type="module" src="/src/main.jsx"></script>
  </body>
</html>
""",
    f"{APP}/src/main.jsx": """import { createRoot } from "react-dom/client";
import App from "./App.jsx";

createRoot(document.getElementById("root")).render(<App />);
""",
    f"{APP}/src/App.jsx": """import { useState } from "react";

export default function App() {
  const [count, setCount] = useState(0);
  return <button onClick={() => setCount(count + 1)}>Clicked {count} times</button>;
}
""",
}

_NEXT_FILES = {
    f"{APP}/package.json": _package_json(
        "app",
        {"dev": "next dev --hostname 0.0.0.0", "build": "next build", "start": "next start --hostname 0.0.0.0"},
        dependencies={"next": "^15.1.0", "react": "^19.0.0", "react-dom": "^19.0.0"},
    ),
    f"{APP}/next.config.js": "export default {};\n",
    f"{APP}/app/layout.jsx": """export const metadata = { title: "Next.js" };

export default function RootLayout({ children }) {
  return (
    <html lang="en">
      <body>{children}</body>
    </html>
  );
}
""",
    f"{APP}/app/page.jsx": """export default function Page() {
  return <h1>Ready</h1>;
}
""",
}

_VANILLA_FILES = {
    f"{APP}/index.html": """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>Ready</title>
    <link rel="stylesheet" href="style.css" />
  </head>
  <body>
    <h1>Ready</h1>
    <script src="script.js"></script>
  </body>
</html>
""",
    f"{APP}/style.css": "body { font-family: system-ui, sans-serif; margin: 3rem auto; max-width: 40rem; }\n",
    f"{APP}/script.js": 'document.querySelector("h1").title = "served from a sandbox";\n',
}

_ALL = (
    Definition(
        name="base",
        description="A minimal environment with git, curl and bash",
        language="base",
        run_commands=(_TOOLS,),
    ),
    Definition(
        name="python",
        description="Python with common data science libraries",
        language="python",
        run_commands=(
            _apt("python3 pip3", "python3 python3-pip python3-venv"),
            "command -v python >/dev/null || ln -s $(command -v python3) /usr/local/bin/python",
            f'python3 -c "import {_IMPORTS}" 2>/dev/null || '
            f"PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install --no-cache-dir --progress-bar off "
            f"--root-user-action=ignore {_SCIENCE}",
        ),
        memory=1024,
    ),
    Definition(
        name="node",
        description="Node.js with npm",
        language="node",
        aliases=("nodejs",),
        run_commands=(_NODE, _GLOBAL_MODULES),
    ),
    Definition(
        name="react",
        description=f"React with Vite and a starter project in {APP}",
        language="node",
        files=_REACT_FILES,
        run_commands=(_NODE, _GLOBAL_MODULES, _INSTALL_APP),
        memory=1024,
    ),
    Definition(
        name="nextjs",
        description=f"Next.js with a starter project in {APP}",
        language="node",
        env_vars={"NEXT_TELEMETRY_DISABLED": "1", "NEXT_IGNORE_INCORRECT_LOCKFILE": "1"},
        files=_NEXT_FILES,
        run_commands=(_NODE, _GLOBAL_MODULES, _INSTALL_APP),
        memory=2048,
    ),
    Definition(
        name="vanilla",
        description=f"HTML, CSS and JavaScript in {APP}, served on port 8080",
        language="node",
        files=_VANILLA_FILES,
        run_commands=(_NODE, _GLOBAL_MODULES, _apt("python3", "python3")),
        start_command=f"python3 -m http.server 8080 --directory {APP}",
        ready_port=8080,
    ),
    Definition(
        name="claude-code",
        description="Claude Code, with git and Node.js",
        language="node",
        run_commands=(
            _TOOLS,
            _NODE,
            _GLOBAL_MODULES,
            f"command -v claude >/dev/null || {_NPM_INSTALL} --global @anthropic-ai/claude-code",
        ),
        memory=1024,
    ),
)

DEFINITIONS: Final[Mapping[str, Definition]] = MappingProxyType({item.name: item for item in _ALL})
_BY_WORD: Final = {word: item for item in _ALL for word in (item.name, *item.aliases)}


def definition(word: str) -> Definition | None:
    """The definition that a manifest means by ``word`` (a name or an alias), or None: then it is an E2B template."""
    return _BY_WORD.get(word)
