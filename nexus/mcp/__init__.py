"""nexus as an MCP server: what the commands do, as tools for agents.

A call goes: ``serving`` reads it from stdin → ``server`` checks its arguments → a tool (in ``sandboxes``, ``making``,
``projects``, ``changing`` or ``records``) calls the Python API, tells how far it is (``progress``), and may ask the
person at the client (``asking``) → ``results`` puts the command's JSON document beside the text that people get. Errors
are answers with a code and what to do, never a traceback.
"""
