"""nexus for programs, of which the command line is one: load a project, plan, apply, destroy, work with sandboxes.

The use cases with a face for programs that wait (``Project``) and one for those with an event loop (``AsyncProject``);
``Folder`` is for what needs no valid manifest, ``Account`` for what needs no project. It decides nothing and prints
nothing. What it offers is in ``names``, and is called ``nexus.NAME``.
"""
