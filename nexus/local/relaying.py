"""What the relay is told of sandboxes: their rules and proxy, with secrets and identity tokens filled in."""

from __future__ import annotations

from nexus.local.errors import NotFoundError
from nexus.local.network.names import NamePatterns
from nexus.local.relay import IdentityIssuer, Outgoing, PlaceholderError
from nexus.local.relay.placeholders import fill
from nexus.local.sandboxes.fleet import Fleet
from nexus.local.sandboxes.model import SandboxRecord
from nexus.local.sandboxes.network_settings import is_network, without_port
from nexus.local.secrets import SealError, SecretRegistry


class SandboxOutgoing:
    """The relay's ``OutgoingOf`` over the fleet: looked up for every connection, so that changes hold at once."""

    def __init__(self, fleet: Fleet, secrets: SecretRegistry, issuer: IdentityIssuer) -> None:
        self._fleet = fleet
        self._secrets = secrets
        self._issuer = issuer

    def __call__(self, machine_id: str) -> Outgoing | None:
        live = self._fleet.get(machine_id)
        if live is None:
            return None
        network = live.record.network
        return Outgoing(
            rules=network.rules or (),
            proxy=network.egress_proxy,
            allowed=NamePatterns.compile(
                without_port(entry) for entry in network.allow_out or () if not is_network(entry)
            ),
            fill=lambda text: fill(text, self._secret, lambda name: self._token(live.record, name)),
        )

    def _secret(self, name: str) -> str:
        try:
            return self._secrets.value(name)
        except NotFoundError:
            raise PlaceholderError(f"secret '{name}' does not exist") from None
        except SealError as error:
            raise PlaceholderError(str(error)) from None

    def _token(self, record: SandboxRecord, name: str) -> str:
        if (wanted := record.identity.get(name)) is None:
            raise PlaceholderError(f"identity token '{name}' is not among those of the sandbox")
        return self._issuer.token(record.id, wanted)
