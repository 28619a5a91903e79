"""The words on a picture, the same in every format."""

from __future__ import annotations

from nexus.model.changes import Action
from nexus.render.pictures.picture import Member, Node, Picture
from nexus.render.plan import SYMBOLS, summary_line
from nexus.render.values import duration


def title(picture: Picture) -> str:
    return f"{picture.project} ({picture.environment})"


def summary(picture: Picture) -> str:
    """One line about the whole."""
    if picture.plan is None:
        return "The graph of the manifest; what is needed stands left of what needs it."
    if picture.seconds is None:
        return summary_line(picture.plan)
    return f"{summary_line(picture.plan)} Critical path: about {duration(picture.seconds)}."


def badge(node: Node) -> str:
    """What happens to a node: ``+ create``, or ``+ 98  ~ 2`` where several things do."""
    match list(node.actions.items()):
        case []:
            return ""
        case [(action, 1)] if len(node.members) == 1:
            return f"{SYMBOLS[action]} {action}"
        case [(action, count)]:
            return f"{SYMBOLS[action]} {action} {count}"
        case several:
            return "  ".join(f"{SYMBOLS[action]} {count}" for action, count in several)


def tone(node: Node) -> str:
    """The class of a node's colour: its action's word, ``mixed``, or ``none``."""
    actions = list(node.actions)
    return "none" if not actions else actions[0].value if len(actions) == 1 else "mixed"


def member_action(member: Member) -> Action | None:
    """What happens to a member, first of all: to the wanted one, where an older one goes too."""
    return member.changes[0].action if member.changes else None


def member_text(member: Member) -> str:
    """An instance in few words: ``+ [eu]``."""
    action = member_action(member)
    sign = f"{SYMBOLS[action]} " if action else ""
    return f"{sign}[{member.address.key}]" if member.address.key is not None else f"{sign}{member.address}"
