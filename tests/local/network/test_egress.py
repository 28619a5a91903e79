"""Connections and datagrams out of a real network namespace, as programs make them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket

import pytest

from tests.local.network.conftest import needs_ipv6

pytestmark = pytest.mark.engine

CONNECT = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=60)
s.sendall(b"hi\\n")
print(s.recv(100).decode())
"""


async def test_blocking_connect_reaches_a_server_outside(machines, echo):
    script = """
    import os, socket, sys
    s = socket.socket()
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    s.connect((sys.argv[1], int(sys.argv[2])))
    s.sendall(b"hi\\n")
    print(s.recv(100).decode().strip())
    print(s.getpeername() == (sys.argv[1], int(sys.argv[2])))
    print(os.get_blocking(s.fileno()), os.get_inheritable(s.fileno()))
    print(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
    """
    out = await machines.run(script, *map(str, echo))
    assert out.splitlines() == ["echo hi", "True", "True False", "1 1"]


async def test_nonblocking_connect_reports_progress_and_keeps_its_mode(machines, echo):
    script = """
    import errno, os, select, socket, sys
    s = socket.socket()
    os.set_inheritable(s.fileno(), True)
    s.setblocking(False)
    result = s.connect_ex((sys.argv[1], int(sys.argv[2])))
    assert result in (0, errno.EINPROGRESS), result
    select.select([], [s], [], 10)
    print(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), os.get_blocking(s.fileno()), os.get_inheritable(s.fileno()))
    """
    assert await machines.run(script, *map(str, echo)) == "0 False True"


async def test_connect_from_a_thread_works(machines, echo):
    script = """
    import socket, sys, threading
    def work():
        s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
        s.sendall(b"thread\\n")
        print(s.recv(100).decode().strip())
    t = threading.Thread(target=work)
    t.start()
    t.join()
    """
    assert await machines.run(script, *map(str, echo)) == "echo thread"


async def test_epoll_registration_made_before_connect_lives_on(machines, echo):
    script = """
    import select, socket, sys
    s = socket.socket()
    s.setblocking(False)
    poll = select.epoll()
    poll.register(s, select.EPOLLOUT | select.EPOLLONESHOT)
    s.connect_ex((sys.argv[1], int(sys.argv[2])))
    events = poll.poll(10)
    assert events and events[0][0] == s.fileno() and events[0][1] & select.EPOLLOUT, events
    s.send(b"hi\\n")
    poll.modify(s, select.EPOLLIN)
    print(poll.poll(10) == [(s.fileno(), select.EPOLLIN)], s.recv(100).decode().strip())
    poll.unregister(s)
    """
    assert await machines.run(script, *map(str, echo)) == "True echo hi"


@pytest.mark.parametrize("blocking", [True, False])
async def test_refused_connection_says_so(machines, host_address, blocking):
    with socket.socket() as unused:
        unused.bind((host_address, 0))
        port = unused.getsockname()[1]
        script = """
        import select, socket, sys
        s = socket.socket()
        s.setblocking(sys.argv[3] == "True")
        try:
            s.connect((sys.argv[1], int(sys.argv[2])))
        except BlockingIOError:
            select.select([], [s], [], 10)
            print(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        except ConnectionRefusedError as error:
            print(error.errno)
        """
        assert await machines.run(script, host_address, str(port), str(blocking)) == "111"


async def test_a_socket_that_was_refused_can_try_again(machines, echo, host_address):
    with socket.socket() as unused:
        unused.bind((host_address, 0))
        script = """
        import socket, sys
        s = socket.socket()
        print(s.connect_ex((sys.argv[1], int(sys.argv[3]))), s.connect_ex((sys.argv[1], int(sys.argv[2]))))
        print(s.connect_ex((sys.argv[1], int(sys.argv[2]))))
        """
        out = await machines.run(script, *map(str, echo), str(unused.getsockname()[1]))
    assert out.splitlines() == ["111 0", "106"]


@pytest.fixture
def silent(host_address):
    """A server that never answers a new connection: its queue is full."""
    with socket.socket() as server, socket.socket() as first, socket.socket() as second:
        server.bind((host_address, 0))
        server.listen(0)
        for sock in (first, second):
            sock.setblocking(False)
            sock.connect_ex(server.getsockname())
        yield server.getsockname()


async def test_time_outs_of_the_program_hold(machines, silent):
    script = """
    import errno, signal, socket, struct, sys
    target = (sys.argv[1], int(sys.argv[2]))
    s = socket.socket()
    s.settimeout(0.2)
    try:
        s.connect(target)
    except TimeoutError:
        print("settimeout")
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("qq", 0, 200_000))
    print(errno.errorcode[s.connect_ex(target)])
    def on_alarm(*_):
        raise InterruptedError
    signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        socket.socket().connect(target)
    except InterruptedError:
        print("signal")
    """
    out = await machines.run(script, *map(str, silent))
    # The kernel says EINPROGRESS after SO_SNDTIMEO on a first connect; ours counts as the second.
    assert out.splitlines() == ["settimeout", "EALREADY", "signal"]


async def test_a_waiting_connect_delays_nobody_and_may_be_killed(machines, silent, echo):
    waiting = await machines.python("print('now', flush=True)\n" + CONNECT, *map(str, silent))
    assert await waiting.hear() == "now"
    assert await machines.run(CONNECT, *map(str, echo)) == "echo hi"
    os.kill(waiting.process.pid, signal.SIGKILL)
    await machines.gone(waiting.id)
    assert await machines.run(CONNECT, *map(str, echo)) == "echo hi"


async def test_two_hundred_connections_at_once(machines, echo):
    script = """
    import asyncio, sys
    async def one(n):
        reader, writer = await asyncio.open_connection(sys.argv[1], int(sys.argv[2]))
        writer.write(b"%d\\n" % n)
        line = await reader.readline()
        writer.close()
        return line == b"echo %d\\n" % n
    async def main():
        print(sum(await asyncio.gather(*map(one, range(200)))))
    asyncio.run(main())
    """
    assert await machines.run(script, *map(str, echo)) == "200"


async def test_udp_socket_may_be_connected_again_and_again(machines, udp_echoes):
    script = """
    import socket, sys
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(60)
    for port in map(int, sys.argv[2:]):
        s.connect((sys.argv[1], port))
        s.send(b"x")
        print(s.recv(100).decode(), s.getpeername()[1] == port)
    """
    ports = [str(port) for _, port in udp_echoes]
    out = await machines.run(script, udp_echoes[0][0], *ports)
    assert out.splitlines() == ["echo x True"] * 2


async def test_unconnected_udp_reaches_many_and_sees_their_addresses(machines, udp_echoes):
    script = """
    import socket, sys
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("0.0.0.0", 0))
    s.settimeout(60)
    targets = [(sys.argv[1], int(port)) for port in sys.argv[2:]]
    print(s.sendto(b"abc", targets[0]), s.recvfrom(100) == (b"echo abc", targets[0]))
    print(s.sendmsg([b"d", b"ef"], [], 0, targets[1]), s.recvfrom(100) == (b"echo def", targets[1]))
    """
    ports = [str(port) for _, port in udp_echoes]
    out = await machines.run(script, udp_echoes[0][0], *ports)
    assert out.splitlines() == ["3 True", "3 True"]


async def test_sendmmsg_sends_each_datagram_and_reports_lengths(machines, udp_echoes):
    script = """
    import ctypes, socket, struct, sys
    class Iovec(ctypes.Structure):
        _fields_ = [("base", ctypes.c_char_p), ("length", ctypes.c_size_t)]
    class Header(ctypes.Structure):
        _fields_ = [("name", ctypes.c_char_p), ("name_length", ctypes.c_uint32), ("vectors", ctypes.POINTER(Iovec)),
                    ("count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t),
                    ("flags", ctypes.c_int), ("padding", ctypes.c_int), ("sent", ctypes.c_uint)]
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(60)
    batch = (Header * 2)()
    keep = []
    for index, port in enumerate(sys.argv[2:]):
        family, port = struct.pack("=H", socket.AF_INET), struct.pack("!H", int(port))
        name = family + port + socket.inet_aton(sys.argv[1]) + bytes(8)
        vector = Iovec(b"x" * (index + 1), index + 1)
        keep.append((name, vector))
        batch[index] = Header(name, 16, ctypes.pointer(vector), 1, None, 0, 0, 0, 0)
    print(ctypes.CDLL(None).sendmmsg(s.fileno(), batch, 2, 0), [header.sent for header in batch])
    print(sorted(s.recv(100).decode() for _ in batch))
    """
    ports = [str(port) for _, port in udp_echoes]
    out = await machines.run(script, udp_echoes[0][0], *ports)
    assert out.splitlines() == ["2 [1, 2]", "['echo x', 'echo xx']"]


async def test_asyncio_datagram_endpoint_registered_before_it_sends(machines, udp_echoes):
    script = """
    import asyncio, sys
    async def main():
        got = asyncio.get_running_loop().create_future()
        class Protocol(asyncio.DatagramProtocol):
            def datagram_received(self, data, address):
                got.set_result(data.decode())
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Protocol, ("0.0.0.0", 0))
        await asyncio.sleep(0)
        transport.sendto(b"late", (sys.argv[1], int(sys.argv[2])))
        print(await asyncio.wait_for(got, 60))
    asyncio.run(main())
    """
    assert await machines.run(script, *map(str, udp_echoes[0])) == "echo late"


async def test_loopback_and_unix_sockets_stay_inside(machines):
    script = """
    import os, socket, tempfile
    server = socket.create_server(("127.0.0.1", 80))
    client = socket.create_connection(("localhost", 80))
    server.accept()[0].sendall(b"inside")
    print(client.recv(100).decode())
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.bind(("127.0.0.1", 5000))
    u.sendto(b"self", ("127.0.0.1", 5000))
    print(u.recvfrom(10))
    path = os.path.join(tempfile.mkdtemp(), "s")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()
    one = socket.socket(socket.AF_UNIX)
    one.connect(path)
    r, w = os.pipe()
    socket.send_fds(one, [b"fds"], [r])
    data, fds, _, _ = socket.recv_fds(listening.accept()[0], 10, 1)
    print(data.decode(), len(fds))
    """
    out = await machines.run(script)
    assert out.splitlines() == ["inside", "(b'self', ('127.0.0.1', 5000))", "fds 1"]


@needs_ipv6
async def test_the_other_loopback_stays_inside(machines):
    script = """
    import socket
    server = socket.create_server(("::1", 80), family=socket.AF_INET6)
    print(socket.create_connection(("::1", 80)).getpeername()[0])
    """
    assert await machines.run(script) == "::1"


async def test_the_hosts_own_loopback_and_addresses_are_out_of_reach(machines, host_address):
    machines.host.reachable = frozenset()
    loop = asyncio.get_running_loop()
    everywhere = await loop.create_server(asyncio.Protocol, "0.0.0.0", 0)
    port = everywhere.sockets[0].getsockname()[1]
    script = """
    import errno, socket, sys
    for host in ("127.0.0.1", "0.0.0.0", "127.77.0.1", "169.254.169.254", sys.argv[1]):
        print(errno.errorcode[socket.socket().connect_ex((host, int(sys.argv[2])))])
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        s.sendto(b"x", (sys.argv[1], int(sys.argv[2])))
    except OSError as error:
        print(errno.errorcode[error.errno])
    """
    out = await machines.run(script, host_address, str(port))
    everywhere.close()
    assert out.split() == ["ECONNREFUSED"] * 6


@needs_ipv6
async def test_the_hosts_own_addresses_are_out_of_reach_of_dual_stack_sockets(machines, host_address):
    machines.host.reachable = frozenset()
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "0.0.0.0", 0)
    script = """
    import errno, socket, sys
    s = socket.socket(socket.AF_INET6)
    print(errno.errorcode[s.connect_ex((f"::ffff:{sys.argv[1]}", int(sys.argv[2])))])
    """
    assert await machines.run(script, host_address, str(server.sockets[0].getsockname()[1])) == "ECONNREFUSED"
    server.close()


async def test_a_socket_that_left_cannot_turn_to_loopback_or_serve(machines, udp_echoes, echo):
    script = """
    import ctypes, errno, socket, sys
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.connect((sys.argv[1], int(sys.argv[2])))
    print(errno.errorcode[u.connect_ex(("127.0.0.1", 53))])
    s = socket.socket()
    s.connect((sys.argv[1], int(sys.argv[3])))
    for attempt in (s.listen, lambda: u.bind(("0.0.0.0", 0))):
        ctypes.CDLL(None).connect(s.fileno(), bytes(16), 16)
        ctypes.CDLL(None).connect(u.fileno(), bytes(16), 16)
        try:
            attempt()
        except OSError as error:
            print(errno.errorcode[error.errno])
    """
    out = await machines.run(script, udp_echoes[0][0], str(udp_echoes[0][1]), str(echo[1]))
    assert out.split() == ["ENETUNREACH", "EINVAL", "EINVAL"]


async def test_io_uring_does_not_pass_by_the_filter(machines):
    script = """
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    print(libc.syscall(425, 8, None), ctypes.get_errno())
    """
    assert await machines.run(script) == "-1 38"


async def test_bad_pointers_are_the_callers_fault(machines):
    script = """
    import ctypes, socket
    libc = ctypes.CDLL(None, use_errno=True)
    s = socket.socket()
    print(libc.connect(s.fileno(), ctypes.c_void_p(8), 16), ctypes.get_errno())
    print(libc.connect(999, b"\\x02\\0\\0\\x50\\x08\\x08\\x08\\x08" + bytes(8), 16), ctypes.get_errno())
    """
    assert (await machines.run(script)).splitlines() == ["-1 14", "-1 9"]


@needs_ipv6
async def test_dual_stack_socket_reaches_ipv4_outside(machines, echo):
    script = """
    import socket, sys
    s = socket.socket(socket.AF_INET6)
    s.connect((f"::ffff:{sys.argv[1]}", int(sys.argv[2])))
    s.sendall(b"six\\n")
    print(s.recv(100).decode().strip(), s.getpeername()[0] == f"::ffff:{sys.argv[1]}")
    """
    assert await machines.run(script, *map(str, echo)) == "echo six True"


async def test_broadcast_multicast_fast_open_and_oversize_are_refused(machines, echo):
    script = """
    import errno, socket, sys
    def attempt(kind, *args):
        try:
            return socket.socket(socket.AF_INET, kind).sendto(*args)
        except OSError as error:
            return errno.errorcode[error.errno]
    target = (sys.argv[1], int(sys.argv[2]))
    print(attempt(socket.SOCK_DGRAM, b"x", ("224.0.0.251", 5353)))
    print(attempt(socket.SOCK_STREAM, b"x", socket.MSG_FASTOPEN, target))
    print(attempt(socket.SOCK_DGRAM, bytes(70_000), target))
    """
    assert (await machines.run(script, *map(str, echo))).split() == ["ENETUNREACH", "ENOTSUP", "EMSGSIZE"]


async def test_disconnected_udp_socket_may_be_used_again(machines, udp_echoes):
    script = """
    import ctypes, socket, sys
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(60)
    s.connect((sys.argv[1], int(sys.argv[2])))
    print(ctypes.CDLL(None).connect(s.fileno(), bytes(16), 16))
    s.sendto(b"again", (sys.argv[1], int(sys.argv[3])))
    print(s.recv(100).decode())
    """
    ports = [str(port) for _, port in udp_echoes]
    out = await machines.run(script, udp_echoes[0][0], *ports)
    assert out.splitlines() == ["0", "echo again"]


async def test_supervisors_do_not_nest_and_the_probe_says_so(machines):
    script = "from nexus.local.network import probe_egress; print(probe_egress())"
    out = await machines.run(script)
    assert "available=False" in out
    assert "do not nest" in out
