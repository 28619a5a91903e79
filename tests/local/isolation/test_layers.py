"""What machines write, and the layers made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus.local.isolation.starting import StartError
from tests.local.isolation.workshop import Workshop, output, run
from tests.local.waiting import wait_until_async

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="session")]


async def test_a_committed_layer_shows_additions_changes_and_deletions(workshop: Workshop) -> None:
    builder = await workshop.start()
    await output(
        builder,
        """
        set -e
        echo one >/etc/one; mkdir -p /app/sub; echo a >/app/sub/a
        rm /etc/issue; rm /usr/bin/env; rm -r /usr/share/doc; mkdir /usr/share/doc; echo d >/usr/share/doc/only
        ln /app/sub/a /app/hard; mkfifo /app/pipe; chmod 750 /app; touch -d @1000000000 /app/sub/a
        """,
        "root",
    )
    await builder.kill()
    await workshop.isolation.commit(builder.id, f"layer-a-{builder.id}")
    machine = await workshop.start(layers=[f"layer-a-{builder.id}"])
    seen = """
        cat /etc/one /app/sub/a; ls /etc/issue /usr/bin/env 2>/dev/null; ls /usr/share/doc
        stat -c '%a %h %Y' /app/sub/a; test -p /app/pipe && echo pipe; stat -c %a /app
    """
    words = (await output(machine, seen, "root")).split()
    assert words == [
        "one",
        "a",
        "only",
        "644",
        "2",
        "1000000000",
        "pipe",
        "750",
    ]


async def test_layers_stack_and_siblings_do_not_meet(workshop: Workshop) -> None:
    ids: list[str] = []
    for step in ("one", "two", "three"):
        machine = await workshop.start(layers=ids)
        await output(machine, f"echo {step} >>/srv/steps; echo {step} >/usr/local/{step}", "root")
        await machine.kill()
        layer = f"stack-{machine.id}"
        await workshop.isolation.commit(machine.id, layer)
        ids.append(layer)
    top = await workshop.start(layers=ids)
    assert await output(top, "cat /srv/steps; ls /usr/local/one /usr/local/three") == (
        "one\ntwo\nthree\n/usr/local/one\n/usr/local/three"
    )
    sibling = await workshop.start(layers=ids[:1])
    await output(top, "rm /srv/steps", "root")
    assert await output(sibling, "cat /srv/steps") == "one"


async def test_an_existing_layer_wins(workshop: Workshop) -> None:
    first, second = await workshop.start(), await workshop.start()
    layer = f"race-{first.id}"
    for machine, text in ((first, "first"), (second, "second")):
        await output(machine, f"echo {text} >/srv/who", "root")
        await machine.kill()
        await workshop.isolation.commit(machine.id, layer)
    assert await workshop.isolation.has_layer(layer)
    assert not workshop.isolation.store.upper(second.id).exists()
    machine = await workshop.start(layers=[layer])
    assert await output(machine, "cat /srv/who") == "first"


async def test_a_snapshot_copies_and_the_source_goes_on(workshop: Workshop) -> None:
    source = await workshop.start()
    await output(source, "echo before >/srv/state; rm /etc/issue", "root")
    layer = f"snap-{source.id}"
    await source.pause()
    await workshop.isolation.snapshot(source.id, layer)
    await source.resume()
    await output(source, "echo after >/srv/state", "root")
    copy = await workshop.start(layers=[layer])
    assert await output(copy, "cat /srv/state; ls /etc/issue 2>/dev/null || echo gone") == "before\ngone"
    assert await output(source, "cat /srv/state") == "after"


async def test_a_snapshot_is_exact_whatever_was_written(workshop: Workshop) -> None:
    source = await workshop.start()
    await output(
        source,
        """
        set -e
        rm /etc/issue /usr/bin/env; rm -r /usr/share/doc; mkdir /usr/share/doc; echo d >/usr/share/doc/only
        mkdir -p /app/closed/inner; echo x >/app/closed/inner/file; echo y >/app/secret
        ln /app/secret /app/hard; ln -s secret /app/soft; mkfifo /app/pipe
        truncate -s 64M /app/sparse; touch -d @1000000000 /app/secret; chmod 4755 /app/secret
        python3 -c 'import os; os.setxattr("/app/secret", "user.note", b"kept")'
        chmod 0 /app/closed/inner/file /app/closed/inner /app/closed
        """,
        "root",
    )
    layer = f"exact-{source.id}"
    await source.pause()
    await workshop.isolation.snapshot(source.id, layer)
    await source.resume()
    seen = """
        ls /etc/issue /usr/bin/env 2>/dev/null; ls /usr/share/doc; cat /app/soft
        stat -c '%a %h %Y' /app/secret; test -p /app/pipe && echo pipe; du -k /app/sparse | cut -f1
        python3 -c 'import os; print(os.getxattr("/app/secret", "user.note").decode())'
        stat -c %a /app/closed; chmod 700 /app/closed; stat -c %a /app/closed/inner; chmod 700 /app/closed/inner
        stat -c %a /app/closed/inner/file; chmod 600 /app/closed/inner/file; cat /app/closed/inner/file
    """
    copy = await workshop.start(layers=[layer])
    words = (await output(copy, seen, "root")).split()
    assert words == ["only", "y", "4755", "2", "1000000000", "pipe", "0", "kept", "0", "0", "0", "x"]
    assert (await output(source, "stat -c %a /app/closed", "root")) == "0"


async def test_a_machine_can_be_given_a_boot_id_that_it_cannot_change(workshop: Workshop) -> None:
    host = Path("/proc/sys/kernel/random/boot_id").read_text()
    plain = await workshop.start()
    assert await output(plain, "cat /proc/sys/kernel/random/boot_id") == host.strip()
    booted = await workshop.start(boot_id="01234567-89ab-cdef-0123-456789abcdef")
    assert await output(booted, "cat /proc/sys/kernel/random/boot_id") == "01234567-89ab-cdef-0123-456789abcdef"
    code, _ = await run(booted, "echo x >/proc/sys/kernel/random/boot_id", "root")
    assert code != 0
    assert Path("/proc/sys/kernel/random/boot_id").read_text() == host


async def _drop(workshop: Workshop, layer: str) -> None:
    """Remove one layer of a store that other tests keep theirs in."""
    folder = workshop.isolation.store.layer(layer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nexus.local.isolation.namespaces.layers.unneeded_layers", lambda *_args, **_options: [folder])
        await workshop.isolation.drop_layers([], snapshots_only=False)


async def test_a_removed_layer_is_gone_and_cannot_be_started_from(workshop: Workshop) -> None:
    machine = await workshop.start()
    layer = f"gone-{machine.id}"
    await machine.kill()
    await workshop.isolation.commit(machine.id, layer)
    others = [entry.name for entry in workshop.isolation.store.layers.iterdir()]
    await _drop(workshop, layer)
    assert not await workshop.isolation.has_layer(layer)
    assert len(list(workshop.isolation.store.layers.iterdir())) == len(others) - 1
    with pytest.raises(StartError):
        await workshop.start(layers=[layer])


async def test_a_killed_machine_started_again_finds_its_files(workshop: Workshop) -> None:
    machine = await workshop.start()
    await output(machine, "echo kept >~/file")
    await machine.kill()
    again = await workshop.start(machine_id=machine.id)
    assert await output(again, "cat ~/file") == "kept"


async def test_discarding_removes_what_was_written_whatever_its_modes(workshop: Workshop) -> None:
    machine = await workshop.start()
    await output(machine, "mkdir -p ~/a/b; echo x >~/a/b/c; chmod 000 ~/a/b ~/a")
    await machine.kill()
    await workshop.isolation.discard(machine.id)
    await workshop.isolation.discard(machine.id)
    assert not workshop.isolation.store.upper(machine.id).exists()
    assert not list(workshop.isolation.store.temporary.iterdir())
    await wait_until_async(lambda: not list(workshop.isolation.store.trash.iterdir()), "the trash is empty")


async def test_a_hundred_layers_can_be_stacked(workshop: Workshop) -> None:
    ids = []
    base = await workshop.start()
    await base.kill()
    await workshop.isolation.discard(base.id)
    for number in range(100):
        name = f"deep-{workshop.isolation.tier}-{number}"
        upper = workshop.isolation.store.layer(name) / "root/srv"
        if not upper.exists():
            upper.mkdir(parents=True)
            upper.chmod(0o755)
            (upper / str(number)).write_text("")
        ids.append(name)
    machine = await workshop.start(layers=ids)
    assert await output(machine, "ls /srv | wc -l") == "100"
    code, _ = await run(machine, "touch /srv/new", "root")
    assert code == 0


async def test_too_many_layers_are_refused_with_a_clear_word(workshop: Workshop) -> None:
    ids = []
    for number in range(400):
        name = f"deep-{workshop.isolation.tier}-{number}"
        (workshop.isolation.store.layer(name) / "root").mkdir(parents=True, exist_ok=True)
        ids.append(name)
    with pytest.raises(StartError, match="400 layers are too many"):
        await workshop.start(layers=ids)
