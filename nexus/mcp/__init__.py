"""nexus as an MCP server: the same workflows as the command line's, as tools for agents.

A call goes: ``server`` checks the arguments → a tool of ``sandboxes``, ``making``, ``projects`` or ``changing`` calls a
workflow, tells ``progress`` and perhaps asks for ``approval`` → ``results`` puts the command's JSON document beside the
text that people get. Errors are answers with a code and what to do, never a traceback.
"""
