"""State that a team shares: in an object store, in PostgreSQL, or behind a server that speaks Terraform's protocol.

Each of these keeps documents by name (``objects.py``); state, journal and lock are made of documents in one way for all
of them. The libraries that talk to servers are only imported where they are used.
"""
