"""Decisions that need no kernel: rules, DNS messages, addresses, the BPF program."""

from __future__ import annotations

import errno
import socket
import struct
from ipaddress import ip_address

import pytest

from nexus.local.isolation.base import NetworkPolicy
from nexus.local.network import EgressRules, addresses, dns_messages
from nexus.local.network.dns_messages import ResponseCode
from nexus.local.network.egress_filter import SYSCALLS, egress_program
from nexus.local.network.verdicts import NameMemory


def compiled(internet=True, allow=(), deny=()):
    return EgressRules.compile(NetworkPolicy(internet=internet, allow_out=tuple(allow), deny_out=tuple(deny)))


@pytest.mark.parametrize(
    ("rules", "address", "permitted"),
    [
        (compiled(), "8.8.8.8", True),
        (compiled(internet=False), "8.8.8.8", False),
        (compiled(internet=False), "2001:db8::1", False),
        (compiled(deny=["8.8.8.0/24"]), "8.8.8.8", False),
        (compiled(deny=["8.8.8.0/24"]), "8.8.9.8", True),
        (compiled(deny=["8.8.8.0/24"], allow=["8.8.8.8"]), "8.8.8.8", True),
        (compiled(deny=["8.8.8.0/24"], allow=["8.8.8.8"]), "8.8.8.9", False),
        (compiled(deny=["0.0.0.0/0"]), "2001:db8::1", False),
        (compiled(deny=["2001:db8::/32"]), "2001:db8::1", False),
        (compiled(deny=["8.8.8.8/24"]), "8.8.8.1", False),
        (compiled(deny=["0.0.0.0/0"], allow=["0.0.0.0/0"]), "2001:db8::1", True),
    ],
)
def test_allow_beats_deny(rules, address, permitted):
    assert rules.permits(ip_address(address)) is permitted


def test_an_allowed_name_permits_its_address():
    rules = compiled(deny=["0.0.0.0/0"], allow=["api.example.com", "*.example.org"])
    host = ip_address("192.0.2.7")
    assert rules.permits(host, ["api.example.com"])
    assert rules.permits(host, ["deep.below.example.org"])
    assert not rules.permits(host, ["example.org"])
    assert not rules.permits(host, ["badexample.org"])


def test_names_resolve_unless_everything_is_denied():
    assert compiled(deny=["8.8.8.8"]).resolves("anything.test")
    assert not compiled(deny=["0.0.0.0/0"]).resolves("anything.test")
    assert compiled(deny=["0.0.0.0/0"], allow=["Any.Test"]).resolves("any.test")


@pytest.mark.parametrize("rule", ["8.8.8.8/99", "", "example.com/24"])
def test_malformed_rules_are_refused(rule):
    with pytest.raises(ValueError):  # noqa: PT011 - the words are the standard library's
        compiled(allow=[rule])


def test_learned_names_are_forgotten_after_their_time():
    now = 0.0
    names = NameMemory(clock=lambda: now)
    host = ip_address("192.0.2.7")
    names.learn("a.test", host, ttl=5)
    names.learn("b.test", host, ttl=7200)
    now = 3599
    assert names.names_of(host) == ["a.test", "b.test"]
    now = 3601
    assert names.names_of(host) == ["b.test"]


QUERY = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + b"\x03WWW\x04test\0" + struct.pack("!HH", 1, 1)


def test_question_and_addresses_are_read():
    records = b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, 60, 2) + b"\xc0\x10"
    records += b"\xc0\x10" + struct.pack("!HHIH", 1, 1, 60, 4) + bytes([192, 0, 2, 1])
    records += b"\xc0\x10" + struct.pack("!HHIH", 28, 1, 30, 16) + ip_address("2001:db8::1").packed
    response = struct.pack("!HHHHHH", 7, 0x8180, 1, 3, 0, 0) + QUERY[12:] + records
    assert dns_messages.question_of(response) == dns_messages.question_of(QUERY)
    assert dns_messages.question_of(QUERY).name == "www.test"
    found = list(dns_messages.addresses_in(response))
    assert found == [(ip_address("192.0.2.1"), 60), (ip_address("2001:db8::1"), 30)]


def test_refusal_repeats_the_question():
    refusal = dns_messages.failure(QUERY, ResponseCode.REFUSED)
    number, flags, *counts = struct.unpack_from("!HHHHHH", refusal)
    assert (number, flags & 0xF, flags >> 15, counts) == (7, 5, 1, [1, 0, 0, 0])
    assert refusal[12:] == QUERY[12:]


@pytest.mark.parametrize("cut", range(len(QUERY)))
def test_cut_off_messages_are_refused(cut):
    with pytest.raises(ValueError, match=r"cut off|shorter"):
        dns_messages.question_of(QUERY[:cut])


def test_name_that_points_to_itself_is_refused():
    message = struct.pack("!HHHHHH", 7, 0, 1, 0, 0, 0) + b"\xc0\x0c" + bytes(4)
    with pytest.raises(ValueError, match="compression"):
        dns_messages.question_of(message)


def test_mapped_addresses_are_seen_as_ipv4():
    raw = struct.pack("=H", socket.AF_INET6) + struct.pack("!H", 80) + bytes(4)
    found = addresses.parse(raw + ip_address("::ffff:127.0.0.1").packed + bytes(4))
    assert found is not None
    assert found.host.is_loopback
    assert found.for_family(socket.AF_INET6)[0] == "::ffff:127.0.0.1"


def test_other_families_and_short_addresses_are_no_destination():
    assert addresses.parse(struct.pack("=H", socket.AF_UNIX) + b"/tmp/socket-path-here") is None
    assert addresses.parse(struct.pack("=H", socket.AF_INET) + b"\0\x50") is None
    assert addresses.parse(b"\x02") is None


ALLOW, NOTIFY, NO_SUCH_CALL = 0x7FFF0000, 0x7FC00000, 0x00050000 | errno.ENOSYS


def evaluate(program: bytes, number: int, arch: int, sendto_address: int = 0) -> int:
    """Run a filter as the kernel would."""
    data = struct.pack("=iIQ6Q", number, arch, 0, 3, 0, 0, 0, sendto_address, 0)
    code = list(struct.iter_unpack("=HBBI", program))
    at = accumulator = 0
    while True:
        opcode, yes, no, value = code[at]
        at += 1
        match opcode:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", data, value)
            case 0x15:
                at += yes if accumulator == value else no
            case 0x35:
                at += yes if accumulator >= value else no
            case 0x06:
                return value
            case _:
                raise AssertionError(opcode)


@pytest.mark.parametrize("machine", sorted(SYSCALLS))
def test_filter_stops_what_names_a_destination(machine):
    calls = SYSCALLS[machine]
    program = egress_program(calls)

    def run(number, address=0, arch=calls.audit_arch):
        return evaluate(program, number, arch, address)

    for number in (calls.connect, calls.bind, calls.listen, calls.sendmsg, calls.sendmmsg):
        assert run(number) == NOTIFY
    assert run(calls.sendto) == ALLOW
    assert run(calls.sendto, address=1) == NOTIFY
    assert run(calls.sendto, address=1 << 32) == NOTIFY
    assert run(0) == ALLOW
    assert run(425) == NO_SUCH_CALL
    assert run(calls.connect | 0x40000000) == NO_SUCH_CALL
    assert run(calls.connect, arch=0x40000003) == NO_SUCH_CALL
