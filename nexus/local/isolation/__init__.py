"""Machines: an isolated root, process tree and network each, made by the best means this host has.

From the outside in: :mod:`probe` chooses a tier by trying it; :mod:`namespaces` is what the daemon holds. It asks the
*zygote*, a warmed-up process, to fork a *keeper* per machine, which stays on the host and answers for it. The keeper
forks the machine's *init*, which makes namespaces and mounts and becomes envd, and hands out connections to the
machine's ports as its *porter*. All of them but the daemon's own part outlive the daemon.
"""
