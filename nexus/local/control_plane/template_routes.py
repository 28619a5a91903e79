"""``/templates``: register and start builds, upload their files, follow them, and look after templates."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nexus.local.builds.archives import ArchiveStore, check_hash
from nexus.local.builds.build_log import BuildLogEntry
from nexus.local.builds.model import Template
from nexus.local.builds.references import check_tag
from nexus.local.builds.registry import TemplateRegistry
from nexus.local.builds.service import BuildRequest, BuildService
from nexus.local.clock import Clock
from nexus.local.control_plane.account_routes import demand_access_token
from nexus.local.control_plane.bodies import query_milliseconds, query_number, read_fields
from nexus.local.control_plane.guards import UPLOAD_PREFIX
from nexus.local.control_plane.paging import page
from nexus.local.control_plane.segments import decoded
from nexus.local.control_plane.template_requests import (
    parse_registration,
    parse_registration_v1,
    parse_registration_v2,
    parse_start,
)
from nexus.local.control_plane.template_wire import TemplateWire, build_entry
from nexus.local.errors import ForbiddenError, InvalidRequestError
from nexus.local.sandboxes.logbook import check_level, severity
from nexus.local.sandboxes.service import SandboxService

_MAX_LOGS = 100
_NO_REGISTRY = "the local engine takes no images that were built elsewhere; build with a current SDK or CLI"
_UPLOAD_LIFETIME = timedelta(hours=1)


class TemplateRoutes:
    def __init__(
        self,
        *,
        registry: TemplateRegistry,
        builds: BuildService,
        archives: ArchiveStore,
        sandboxes: SandboxService,
        wire: TemplateWire,
        clock: Clock,
        api_url: str,
        token: Callable[[str, str], str],
    ) -> None:
        self._registry = registry
        self._builds = builds
        self._archives = archives
        self._sandboxes = sandboxes
        self._wire = wire
        self._clock = clock
        self._api_url = api_url
        self._token = token

    def routes(self) -> list[Route]:
        one = "/templates/{template}"
        build = f"{one}/builds/{{build_id}}"
        return [
            Route("/v3/templates", self.register, methods=["POST"]),
            Route("/v2/templates", self.register_v2, methods=["POST"]),
            Route("/templates", self.register_v1, methods=["POST"]),
            Route("/v2/templates", self.list_templates, methods=["GET"]),
            Route("/templates", self.list_all, methods=["GET"]),
            Route("/templates/tags", self.assign_tags, methods=["POST"]),
            Route("/templates/tags", self.remove_tags, methods=["DELETE"]),
            Route("/templates/aliases/{template}", self.alias, methods=["GET"]),
            Route(f"{one}/files/{{files_hash}}", self.upload_link, methods=["GET"]),
            Route(f"/v2{build}", self.start, methods=["POST"]),
            Route(f"{build}/status", self.status, methods=["GET"]),
            Route(f"{build}/logs", self.logs, methods=["GET"]),
            Route(f"{one}/tags", self.tags, methods=["GET"]),
            Route(build, self.start_v1, methods=["POST"]),
            Route(one, self.register_again_v1, methods=["POST"]),
            Route(one, self.get, methods=["GET"]),
            Route(one, self.delete, methods=["DELETE"]),
            Route(one, self.update_v1, methods=["PATCH"]),
            Route(f"/v2{one}", self.update, methods=["PATCH"]),
            Route(f"{UPLOAD_PREFIX}{{files_hash}}", self.upload, methods=["PUT"]),
        ]

    async def register(self, request: Request) -> Response:
        template, build = await self._builds.register(parse_registration(await read_fields(request)))
        return JSONResponse(self._wire.registered(template, build), status_code=202)

    async def register_v2(self, request: Request) -> Response:
        return await self._register_older(parse_registration_v2(await read_fields(request)))

    async def register_v1(self, request: Request) -> Response:
        demand_access_token(request)
        return await self._register_older(parse_registration_v1(await read_fields(request)))

    async def register_again_v1(self, request: Request) -> Response:
        demand_access_token(request)
        template = self._find(request)
        return await self._register_older(parse_registration_v1(await read_fields(request), template.alias))

    async def _register_older(self, asked: BuildRequest) -> Response:
        template, build = await self._builds.register(asked)
        return JSONResponse({**self._template(template), "buildID": build.id}, status_code=202)

    async def list_templates(self, request: Request) -> Response:
        shown, headers = page(request, self._registry.templates(), lambda template: template.id)
        return JSONResponse([self._template(template) for template in shown], headers=headers)

    async def list_all(self, _request: Request) -> Response:
        return JSONResponse([self._template(template) for template in self._registry.templates()])

    async def alias(self, request: Request) -> Response:
        template = self._find(request)
        return JSONResponse({"templateID": template.id, "public": template.public})

    async def get(self, request: Request) -> Response:
        template = self._find(request)
        builds, headers = page(request, self._registry.builds_of(template.id), lambda build: build.id)
        body = {**self._template(template), "builds": [self._wire.build(build) for build in builds]}
        return JSONResponse(body, headers=headers)

    async def delete(self, request: Request) -> Response:
        template = self._find(request)
        if (state := self._sandboxes.uses_template(template.id)) is not None:
            raise InvalidRequestError(
                f"cannot delete template '{template.name}' because there are {state.value} sandboxes using it"
            )
        await self._builds.delete(template)
        return Response(status_code=204)

    async def update(self, request: Request) -> Response:
        return JSONResponse({"names": list((await self._update(request)).aliases)})

    async def update_v1(self, request: Request) -> Response:
        await self._update(request)
        return JSONResponse({})

    async def _update(self, request: Request) -> Template:
        public = (await read_fields(request)).optional_flag("public")
        template = self._find(request)
        if public is None:
            return template
        return await self._registry.set_public(template, public, self._clock.now())

    # Building

    async def upload_link(self, request: Request) -> Response:
        self._find(request)
        files_hash = check_hash(request.path_params["files_hash"])
        expires = str(int((self._clock.now() + _UPLOAD_LIFETIME).timestamp()))
        signature = self._upload_signature(files_hash, expires)
        url = f"{self._api_url}{UPLOAD_PREFIX}{files_hash}?expires={expires}&signature={signature}"
        # The link is given in any case: a client may upload again what is present.
        present = self._archives.find(files_hash) is not None
        return JSONResponse({"present": present, "url": url}, status_code=201)

    async def upload(self, request: Request) -> Response:
        files_hash = check_hash(request.path_params["files_hash"])
        expires = request.query_params.get("expires", "")
        expected = self._upload_signature(files_hash, expires)
        if not hmac.compare_digest(expected.encode(), request.query_params.get("signature", "").encode()):
            raise ForbiddenError("the upload link is not valid")
        if int(expires) < self._clock.now().timestamp():
            raise ForbiddenError("the upload link has expired")
        await self._archives.store(files_hash, request.stream())
        return Response(status_code=200)

    def _upload_signature(self, files_hash: str, expires: str) -> str:
        return self._token("upload", f"{files_hash}:{expires}")

    async def start(self, request: Request) -> Response:
        spec = parse_start(await read_fields(request))
        await self._builds.start(self._find(request), request.path_params["build_id"], spec)
        return Response(status_code=202)

    async def start_v1(self, request: Request) -> Response:
        """The client believes that it has pushed an image, for which there is no registry here: the build fails."""
        demand_access_token(request)
        await self._builds.refuse(self._find(request), request.path_params["build_id"], _NO_REGISTRY)
        return Response(status_code=202)

    async def status(self, request: Request) -> Response:
        template = self._find(request)
        build = self._registry.build(template.id, request.path_params["build_id"])
        offset = query_number(request, "logsOffset", 0)
        limit = query_number(request, "limit", _MAX_LOGS, high=_MAX_LOGS)
        entries = self._shown(build.id, template, check_level(request.query_params.get("level")))
        return JSONResponse(self._wire.status(build, entries[offset : offset + limit], entries))

    async def logs(self, request: Request) -> Response:
        entries = self._shown(
            request.path_params["build_id"], self._find(request), check_level(request.query_params.get("level"))
        )
        cursor = query_milliseconds(request, "cursor")
        if request.query_params.get("direction") == "backward":
            entries = [entry for entry in reversed(entries) if cursor is None or entry.at <= cursor]
        else:
            entries = [entry for entry in entries if cursor is None or entry.at >= cursor]
        limit = query_number(request, "limit", _MAX_LOGS, high=_MAX_LOGS)
        return JSONResponse({"logs": [build_entry(entry) for entry in entries[:limit]]})

    def _shown(self, build_id: str, template: Template, level: str | None) -> list[BuildLogEntry]:
        entries = self._builds.log_entries(self._registry.build(template.id, build_id))
        return [entry for entry in entries if level is None or severity(entry.level) >= severity(level)]

    # Tags

    async def tags(self, request: Request) -> Response:
        return JSONResponse(self._wire.tags(self._find(request)))

    async def assign_tags(self, request: Request) -> Response:
        fields = await read_fields(request)
        tags = self._tag_list(fields.texts("tags"))
        build = await self._registry.assign_tags(fields.required_text("target"), tags, self._clock.now())
        return JSONResponse({"tags": tags, "buildID": build.id}, status_code=201)

    async def remove_tags(self, request: Request) -> Response:
        fields = await read_fields(request)
        name = fields.required_text("name")
        if ":" in name:
            raise InvalidRequestError("name must be a template's name without a tag")
        await self._registry.remove_tags(name, self._tag_list(fields.texts("tags")), self._clock.now())
        return Response(status_code=204)

    def _tag_list(self, tags: tuple[str, ...] | None) -> list[str]:
        if not tags:
            raise InvalidRequestError("tags must name at least one tag")
        return [check_tag(tag) for tag in tags]

    def _find(self, request: Request) -> Template:
        return self._registry.find(decoded(request.path_params["template"]))

    def _template(self, template: Template) -> dict[str, object]:
        return self._wire.template(
            template, self._registry.builds_of(template.id), self._registry.latest_ready(template)
        )
