"""Setting `source.hosts`: engines without Swarm."""

from __future__ import annotations

import pytest

from lbgen.base.errors import SettingsError
from lbgen.daemon import assembly
from lbgen.settings import Settings, load_settings
from lbgen.source.engine.docker_context import Tls
from lbgen.source.hosts.grouping import EngineFacts, Moments, Seniority, host_snapshot
from lbgen.source.hosts.source import HostsSource
from lbgen.source.last_known import LastKnown
from tests.support.paths import ROOT
from tests.support.wait import wait_for


def load(hosts: str, tmp_path) -> Settings:
    """Load settings with these hosts, in YAML."""
    path = tmp_path / "lbgen.yml"
    path.write_text(f"source: {{hosts: [{hosts}]}}\n")
    return load_settings(path, {}, {})


def test_hosts(tmp_path):
    """What the source is given: addresses, and files beside the settings."""
    settings = load(
        "{name: a, endpoint: 'ssh://a', address: 192.0.2.11, labels: {zone: eu}, networks: front},"
        "{name: b.example, endpoint: 'tcp://192.0.2.12:2376', tls: {ca: ca.pem, cert: c.pem, key: k.pem}}",
        tmp_path,
    )
    source = assembly.source(settings)
    assert isinstance(source, HostsSource)
    a, b = (each.host for each in source.hosts)
    assert (a.name, a.endpoint, a.address, a.labels, a.networks, a.tls) == (
        *("a", "ssh://a", "192.0.2.11", {"zone": "eu"}, ("front",)),
        None,
    )
    assert (b.address, b.tls) == ("192.0.2.12", Tls(*(str(tmp_path / name) for name in ("ca.pem", "c.pem", "k.pem"))))
    assert settings.parts[""].kind == "hosts"


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        ("tcp://192.0.2.11:2376", "192.0.2.11"),
        ("ssh://root@192.0.2.11", "192.0.2.11"),
        ("tcp://[2001:db8::1]:2376", "2001:db8::1"),
        ("ssh://boxa", ""),
        ("unix:///run/docker.sock", ""),
        ("context:192.0.2.11", ""),
        ("tcp://0.0.0.0:2376", ""),
    ],
)
def test_address_by_endpoint(endpoint, address, tmp_path):
    """An endpoint says it where it names an IP address; else it has to be written."""
    host = f"{{name: a, endpoint: '{endpoint}'}}"
    if address:
        assert load(host, tmp_path).parts[""].hosts[0].reached_at == address
    else:
        with pytest.raises(SettingsError, match=r"host a: its endpoint does not say .* as `address`"):
            load(host, tmp_path)


@pytest.mark.parametrize(
    ("hosts", "complaint"),
    [
        ("", "name at least one host"),
        (
            "{name: a, endpoint: 'ssh://192.0.2.1'}, {name: A, endpoint: 'ssh://192.0.2.2'}",
            "two hosts have the name 'a'",
        ),
        (
            "{name: a, endpoint: 'ssh://192.0.2.1'}, {name: b, endpoint: 'ssh://192.0.2.1'}",
            "two hosts have the endpoint 'ssh://192.0.2.1'",
        ),
        (
            "{name: a, endpoint: 'ssh://a', address: a.example.org}",
            "'a.example.org' is not an IP address; write the one",
        ),
        ("{name: a, endpoint: 'ssh://a', address: 0.0.0.0}", "0.0.0.0 leads to no host; write the one"),
        ("{name: a, endpoint: 'ssh://a', address: 'fe80::1%eth0'}", "fe80::1%eth0 leads to no host"),
        ("{name: -a, endpoint: 'ssh://192.0.2.1'}", "String should match pattern"),
        ("{name: a}", "endpoint: Field required"),
        ("{name: a, endpoint: 'ssh://192.0.2.1', tls: {ca: x}}", "host a: tls is for tcp:// endpoints; leave it out"),
        ("{name: a, endpoint: 'ssh://192.0.2.1', adress: x}", "unknown key"),
    ],
)
def test_wrong(hosts, complaint, tmp_path):
    """Each with its remedy."""
    with pytest.raises(SettingsError) as caught:
        load(hosts, tmp_path)
    assert complaint in str(caught.value)


def test_one_kind_of_source(tmp_path):
    """Hosts beside a Swarm are two sources."""
    path = tmp_path / "lbgen.yml"
    path.write_text("source: {docker: {}, hosts: [{name: a, endpoint: 'ssh://192.0.2.1'}]}\n")
    with pytest.raises(SettingsError, match="name one source, docker, hosts"):
        load_settings(path, {}, {})


def test_example():
    """The example of the documentation, which shows both ways of saying the address."""
    settings = load_settings(ROOT / "examples" / "hosts.yml", {}, {})
    assert [host.reached_at for host in settings.parts[""].hosts] == ["192.0.2.11", "10.200.0.12"]
    assembly.check(settings)


def test_last_facts_below_state(tmp_path):
    """Each host has a file of its own, below setting state."""
    path = tmp_path / "lbgen.yml"
    path.write_text("state: kept\nsource: {hosts: [{name: a, endpoint: 'unix:///nobody', address: 127.0.0.1}]}\n")
    source = assembly.source(load_settings(path, {}, {}))
    facts = host_snapshot(source.hosts[0].host, (), EngineFacts(), Moments(), Seniority())
    LastKnown(tmp_path / "kept" / "source" / "hosts" / "a.json").keep(facts)
    wait_for((tmp_path / "kept" / "source" / "hosts" / "a.json").exists)
    assert set(source.take().nodes) == {"a"}
