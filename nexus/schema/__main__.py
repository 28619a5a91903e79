"""``python -m nexus.schema [FILE]`` writes the published schema, to schemas/nexus.schema.json by default."""

import sys
from pathlib import Path

from nexus.schema import manifest_schema_text

DEFAULT = Path("schemas/nexus.schema.json")


def main(arguments: list[str]) -> None:
    target = Path(arguments[0]) if arguments else DEFAULT
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(manifest_schema_text(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
