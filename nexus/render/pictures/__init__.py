"""Pictures of a project: its graph, with what a plan does to it. Pure: from values to a text in some format.

``picture`` says what is drawn; ``layout`` where; ``mermaid``, ``dot``, ``svg`` and ``page`` write it down.
"""

from nexus.render.pictures.dot import dot
from nexus.render.pictures.mermaid import mermaid
from nexus.render.pictures.page import page
from nexus.render.pictures.picture import Picture, draw
from nexus.render.pictures.svg import svg

__all__ = ["Picture", "dot", "draw", "mermaid", "page", "svg"]
