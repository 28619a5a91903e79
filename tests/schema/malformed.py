"""Manifests with one thing wrong in each: what it is, the text, and the place and code of what is said about it."""

HEAD = "apiVersion: nexus/v1\nproject: p\n"


def block(section: str, lines: str) -> str:
    return HEAD + f"{section}:\n  web:\n" + "".join(f"    {line}\n" for line in lines.splitlines())


def sandbox(lines: str) -> str:
    return block("sandboxes", lines)


def template(lines: str) -> str:
    return block("templates", lines)


def step(lines: str) -> str:
    return (
        HEAD
        + "pipelines:\n  etl:\n    steps:\n      one:\n"
        + "".join(f"        {line}\n" for line in lines.splitlines())
    )


MALFORMED = [
    ("an unknown section", HEAD + "template: {}\n", "3:1 unknown-field"),
    ("a section of another case", HEAD + "Sandboxes: {}\n", "3:1 unknown-field"),
    ("no version", "project: p\n", "1:1 missing-field"),
    ("no project", "apiVersion: nexus/v1\n", "1:1 missing-field"),
    ("an unsupported version", "apiVersion: nexus/v2\nproject: p\n", "1:13 invalid-value"),
    ("a project name that begins with a digit", "apiVersion: nexus/v1\nproject: 1st\n", "2:10 invalid-value"),
    ("a project that is a number", "apiVersion: nexus/v1\nproject: 12\n", "2:10 wrong-type"),
    ("an empty file", "", "1:1 empty-manifest"),
    ("a list for a manifest", "- a\n", "1:1 wrong-type"),
    ("two documents", HEAD + "---\na: 1\n", "3:1 several-documents"),
    ("a duplicate section", HEAD + "sandboxes: {}\nsandboxes: {}\n", "4:1 duplicate-key"),
    ("a duplicate key", sandbox("timeout: 1h\ntimeout: 2h"), "6:5 duplicate-key"),
    ("a tag", sandbox("template: !!python/object:os.system x"), "5:15 yaml-tag"),
    ("a binary tag", sandbox("template: !!binary aGk="), "5:15 yaml-tag"),
    ("an unknown alias", sandbox("template: *nowhere"), "5:15 yaml-alias"),
    ("an alias inside its own anchor", HEAD + "x-loop: &loop [*loop]\n", "3:16 yaml-alias"),
    ("a merge of a text", sandbox("<<: text"), "5:5 yaml-merge"),
    ("a key that is a list", HEAD + "? [a, b]\n: c\n", "3:3 invalid-key"),
    ("bad indentation", HEAD + "sandboxes:\n  web:\n   template: a\n  timeout: 1h\n bad: 1\n", "7:2 yaml-syntax"),
    ("an unclosed quote", HEAD + "x-a: 'open\n", "4:1 yaml-syntax"),
    ("a tab for indentation", HEAD + "sandboxes:\n\tweb: {}\n", "4:1 yaml-syntax"),
    ("a control character", HEAD + "x-a: \x07\n", "3:6 yaml-syntax"),
    ("a section that is a list", HEAD + "sandboxes: [web]\n", "3:12 wrong-type"),
    ("a block that is a text", HEAD + "sandboxes: {web: python}\n", "3:18 wrong-type"),
    ("a name that begins with a digit", HEAD + "sandboxes: {1web: {}}\n", "3:13 invalid-name"),
    ("a name with a dot", HEAD + "sandboxes: {web.app: {}}\n", "3:13 invalid-name"),
    ("an unknown field", sandbox("template: python\ntimout: 30m"), "6:5 unknown-field"),
    ("a field that belongs to templates", sandbox("memory: 1GiB"), "5:5 unknown-field"),
    ("a camel-cased field", sandbox("envVars: {A: b}"), "5:5 unknown-field"),
    ("an empty field", sandbox("timeout:"), "5:13 wrong-type"),
    ("a duration that is none", sandbox("timeout: soon"), "5:14 invalid-value"),
    ("a duration of nothing", sandbox("timeout: 0"), "5:14 invalid-value"),
    ("a timeout that is a list", sandbox("timeout: [30m]"), "5:14 wrong-type"),
    ("a word that is not a choice", sandbox("on_timeout: pase"), "5:17 invalid-value"),
    ("auto_resume without pause", sandbox("auto_resume: true"), "5:5 conflicting-fields"),
    ("yes for a boolean", sandbox("auto_resume: yes"), "5:18 wrong-type"),
    ("a list of environment variables", sandbox("env_vars: [A=b]"), "5:15 wrong-type"),
    ("a bad name of an environment variable", sandbox("env_vars:\n  1A: b"), "6:7 invalid-name"),
    ("a mapping as an environment variable", sandbox("env_vars:\n  A: {b: c}"), "6:10 wrong-type"),
    ("packages of an unknown manager", sandbox("packages:\n  gem: [rails]"), "6:7 unknown-field"),
    ("packages that are a text", sandbox("packages: pandas"), "5:15 wrong-type"),
    ("an upload without a path", sandbox("uploads:\n  - source: ./src"), "6:9 missing-field"),
    ("an upload with a relative path", sandbox("uploads:\n  - {path: app, source: ./src}"), "6:16 invalid-value"),
    (
        "an upload with source and content",
        sandbox("uploads:\n  - {path: /app, source: ./src, content: x}"),
        "6:9 invalid-value",
    ),
    ("a mode that is not octal", sandbox("uploads:\n  - {path: /app, content: x, mode: rw}"), "6:40 invalid-value"),
    ("a path with dots", sandbox("uploads:\n  - {path: /app/../etc, content: x}"), "6:16 invalid-value"),
    ("a port beyond the last", sandbox("ports:\n  api: 70000"), "6:12 invalid-value"),
    ("E2B's own port", sandbox("ports:\n  api: 49983"), "6:12 invalid-value"),
    ("metadata of nexus' own", sandbox("metadata:\n  nexus.uid: x"), "6:18 invalid-value"),
    ("a domain to deny", sandbox("network:\n  deny: [example.com]"), "6:14 invalid-value"),
    ("an unknown field of network", sandbox("network:\n  egress: false"), "6:7 unknown-field"),
    ("a volume at a relative path", sandbox("volumes:\n  data: datasets"), "6:7 invalid-name"),
    ("two ways to be ready", sandbox("start_command: serve\nready: {port: 1, file: /x}"), "6:12 invalid-value"),
    ("a ready port that is a text", sandbox("ready: {port: http}"), "5:19 wrong-type"),
    ("an unknown field in ignore_changes", sandbox("lifecycle: {ignore_changes: [meta]}"), "5:34 invalid-value"),
    ("a negative count", sandbox("count: -1"), "5:12 invalid-value"),
    ("an odd number of CPUs", template("cpu: 3"), "5:10 invalid-value"),
    ("too many CPUs", template("cpu: 64"), "5:10 invalid-value"),
    ("too little memory", template("memory: 64MiB"), "5:13 invalid-value"),
    ("an odd number of MiB", template("memory: 513"), "5:13 invalid-value"),
    ("a base in two ways", template("base_template: python\nimage: ubuntu:24.04"), "6:5 conflicting-fields"),
    ("a tag of nexus' own", template("tags: [spec-1]"), "5:12 invalid-value"),
    ("names that differ in case only", HEAD + "templates: {web: {}, Web: {}}\n", "3:22 duplicate-name"),
    ("a step without a sandbox", step("run: echo"), "6:7 missing-field"),
    ("a step without anything to run", step("sandbox: web"), "6:7 missing-field"),
    (
        "a step with run and code",
        step("sandbox: web\nrun: echo\ncode: print()\nlanguage: python"),
        "8:9 conflicting-fields",
    ),
    ("code without a language", step("sandbox: web\ncode: print()"), "8:9 missing-field"),
    ("an unknown language", step("sandbox: web\ncode: print()\nlanguage: ruby"), "9:19 invalid-value"),
    ("an unknown field of a step", step("sandbox: web\nrun: echo\nneed: [a]"), "9:9 unknown-field"),
    ("a pipeline without steps", HEAD + "pipelines:\n  etl: {}\n", "4:3 missing-field"),
    ("a secret without a source", HEAD + "secrets: {TOKEN: {}}\n", "3:11 missing-field"),
    ("a secret with two sources", HEAD + "secrets: {TOKEN: {env: A, file: b}}\n", "3:11 conflicting-fields"),
    ("an unknown type of a variable", HEAD + "variables: {a: {type: int}}\n", "3:23 invalid-value"),
    ("a default of the wrong type", HEAD + "variables: {a: {type: integer, default: x}}\n", "3:41 invalid-variable"),
    ("a default below the minimum", HEAD + "variables: {a: {default: 0, minimum: 1}}\n", "3:26 invalid-variable"),
    (
        "an environment with an unknown variable",
        HEAD + "variables: {stage: {default: dev}}\nenvironments: {prod: {stag: prod}}\n",
        "4:23 unknown-variable",
    ),
    (
        "an expression in a default",
        HEAD + "variables: {a: {default: '${{ vars.b }}'}}\n",
        "3:26 expression-not-allowed",
    ),
    ("a pattern that is none", HEAD + "variables: {a: {type: string, pattern: '('}}\n", "3:40 invalid-value"),
    ("an output without a value", HEAD + "outputs:\n  url: {description: x}\n", "4:3 missing-field"),
    ("an unknown target", HEAD + "provider: {target: aws}\n", "3:20 invalid-value"),
    ("moved from no address", HEAD + "moved: {web: sandbox.app}\n", "3:9 invalid-value"),
    ("moved to itself", HEAD + "moved: {sandbox.web: sandbox.web}\n", "3:9 invalid-value"),
    ("an include that is missing", HEAD + "include: [parts/missing.yaml]\n", "3:11 include-not-found"),
    ("an include outside the project", HEAD + "include: [../other.yaml]\n", "3:11 outside-project"),
    ("an include by an absolute path", HEAD + "include: [/etc/passwd]\n", "3:11 outside-project"),
]
