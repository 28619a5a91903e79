"""E2B's REST API over the engine's services: routes, request checks, wire forms, errors."""
