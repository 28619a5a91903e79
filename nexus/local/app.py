"""The control plane's ASGI application, apart from serving it."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from nexus.local.clock import AdjustableClock
from nexus.local.control_plane.account_routes import AccountRoutes
from nexus.local.control_plane.control_routes import ClockRoutes, ControlRoutes
from nexus.local.control_plane.engine_routes import EngineRoutes
from nexus.local.control_plane.faults import Faults
from nexus.local.control_plane.guards import Guards
from nexus.local.control_plane.identity_routes import IdentityRoutes, NameRoutes
from nexus.local.control_plane.rate_limits import RateLimits
from nexus.local.control_plane.sandbox_routes import SandboxRoutes
from nexus.local.control_plane.secret_routes import SecretRoutes
from nexus.local.control_plane.segments import Segments
from nexus.local.control_plane.snapshot_routes import SnapshotRoutes
from nexus.local.control_plane.template_routes import TemplateRoutes
from nexus.local.control_plane.volume_content_routes import VolumeContentRoutes
from nexus.local.control_plane.volume_routes import VolumeRoutes
from nexus.local.control_plane.wire_errors import BugReporter, on_engine_error, on_http_error
from nexus.local.engine import Engine
from nexus.local.errors import EngineError


def create_app(engine: Engine) -> ASGIApp:
    """The application of ``engine``: failures on purpose around all, then guards, then rates, then the routes."""
    routes = [*ControlRoutes(engine.faults, engine.quotas).routes(), *_routes(engine)]
    if isinstance(engine.clock, AdjustableClock):
        routes = [*ClockRoutes(engine.clock).routes(), *NameRoutes(engine.isolation.set_stand_ins).routes(), *routes]
    router = Router(routes=routes, redirect_slashes=False)
    handlers = {EngineError: on_engine_error, HTTPException: on_http_error}
    app: ASGIApp = RateLimits(BugReporter(ExceptionMiddleware(router, handlers)), engine.quotas)
    app = Guards(app, engine.settings.api_key, engine.settings.access_token)
    return Segments(Faults(app, engine.faults, engine.mishaps))


def _routes(engine: Engine) -> list[Route]:
    sandboxes = SandboxRoutes(
        service=engine.sandboxes,
        departed=engine.departed,
        templates=engine.registry,
        booter=engine.booter,
        creator=engine.creator,
        wire=engine.sandbox_wire,
    )
    templates = TemplateRoutes(
        registry=engine.registry,
        builds=engine.builds,
        archives=engine.archives,
        sandboxes=engine.sandboxes,
        wire=engine.template_wire,
        clock=engine.clock,
        api_url=engine.settings.api_url,
        token=engine.settings.token,
    )
    volumes = VolumeRoutes(engine.volumes, engine.sandboxes, engine.sandbox_wire, engine.quotas)
    secrets = SecretRoutes(engine.secrets, engine.quotas)
    volume_content = VolumeContentRoutes(engine.volumes.files, engine.settings.token)
    snapshots = SnapshotRoutes(engine.snapshots, engine.copier, engine.quotas, engine.sandbox_wire)
    own = EngineRoutes(engine.status, lambda kill: engine.request_shutdown(kill), engine.forwards.open, engine.prune)
    accounts = AccountRoutes(engine.settings, engine.team_metrics, engine.clock)
    return [
        *own.routes(),
        *accounts.routes(),
        *sandboxes.routes(),
        *snapshots.routes(),
        *templates.routes(),
        *volumes.routes(),
        *volume_content.routes(),
        *secrets.routes(),
        *IdentityRoutes(engine.issuer).routes(),
    ]
