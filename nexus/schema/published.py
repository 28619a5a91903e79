"""The JSON Schemas of what nexus says in JSON, as they come with the package."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Final

import nexus

_FOLDER: Final = "schemas"


@cache
def published_schema(name: str) -> dict[str, object]:
    """The schema of one kind of document, such as ``plan`` or ``exec``. Not to be changed: it is shared."""
    package = Path(nexus.__file__).parent
    # The wheel carries the folder inside the package, a checkout beside it.
    folder = package / _FOLDER if (package / _FOLDER).is_dir() else package.parent / _FOLDER
    document = json.loads((folder / f"{name}.schema.json").read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document
