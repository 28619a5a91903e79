"""What a tool is: a name, what it takes, what it answers, what it does to the world, and the function behind it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Generic, Protocol, TypeVar

from mcp.types import Tool as ListedTool
from mcp.types import ToolAnnotations
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import CoreSchema
from pydantic_core.core_schema import ComputedField

from nexus.mcp.progress import Progress
from nexus.mcp.results import Answer, answer_schema
from nexus.mcp.seat import Seat
from nexus.render.documents import Json

# ---- arguments


def _parsed(value: object) -> object:
    """Some clients write lists and mappings as JSON in a text."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return value
    return value


def _as_text(value: object) -> object:
    """Numbers and booleans as a manifest would write them."""
    return json.dumps(value) if isinstance(value, bool | int | float) else value


Text = Annotated[str, BeforeValidator(_as_text)]
Texts = Annotated[list[str], BeforeValidator(_parsed)]
NamedTexts = Annotated[dict[str, Text], BeforeValidator(_parsed)]
Values = Annotated[dict[str, JsonValue], BeforeValidator(_parsed)]

SandboxId = Annotated[
    str,
    Field(min_length=1, description="Its id; of a sandbox of the project, its name, name[key] or address will do."),
]


class Arguments(BaseModel):
    """What a tool takes. A name that it does not know is a mistake, and said to be one."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class _Untitled(GenerateJsonSchema):
    """Without titles that only repeat the names."""

    def field_title_should_be_set(self, schema: CoreSchema | ComputedField) -> bool:  # noqa: ARG002
        return False


# ---- tools


class Ask(Protocol):
    """Asks the person at the client a question; None where the client can't."""

    async def __call__(self, question: str, /) -> bool | None: ...


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Call:
    """One call of a tool: where it works, whom it tells how far it is, and whom it may ask."""

    seat: Seat
    progress: Progress
    ask: Ask


class Effect(Enum):
    """What calling a tool does to the world."""

    READS = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True)
    ADDS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False)
    SETTLES = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True)
    RUNS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False)
    REPLACES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True)


ArgumentsT = TypeVar("ArgumentsT", bound=Arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool(Generic[ArgumentsT]):
    """``answers`` names the published schema of its document. ``is_open``: it reaches what lies outside of nexus."""

    name: str
    title: str
    description: str
    arguments: type[ArgumentsT]
    answers: str
    effect: Effect
    run: Callable[[Call, ArgumentsT], Awaitable[Answer]]
    is_open: bool = True

    @property
    def changes_nothing(self) -> bool:
        return self.effect is Effect.READS

    def input_schema(self) -> Json:
        schema = self.arguments.model_json_schema(schema_generator=_Untitled)
        return {name: value for name, value in schema.items() if name not in ("title", "description")}

    def listed(self) -> ListedTool:
        """As ``tools/list`` tells it."""
        hints = self.effect.value.model_copy(update={"title": self.title, "open_world_hint": self.is_open})
        return ListedTool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=self.input_schema(),
            output_schema=answer_schema(self.answers),
            annotations=hints,
        )
