"""envd: the first process of every machine, which runs commands and serves files for E2B's clients.

``run`` holds the main loop, ``app`` the application; ``config`` alone may be imported without loading the rest.
"""
