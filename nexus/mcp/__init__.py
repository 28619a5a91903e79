"""nexus as an MCP server: the same workflows as the command line's, as tools for agents.

A call goes: ``serving`` reads it from stdin → ``server`` checks its arguments → a tool (in ``sandboxes``, ``making``,
``projects`` or ``changing``) calls workflows, tells how far it is (``progress``), and may ask the person at the client
(``asking``) → ``results`` puts the command's JSON document beside the text that people get. Errors are answers with a
code and what to do, never a traceback.
"""
