"""TLS on either side."""

import asyncio
import datetime as dt
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from gateway_harness import RawClient, answer

from alcor_migrate.errors import ConfigError
from alcor_migrate.gateway import Route


@pytest.fixture
def certificate(tmp_path):
    """Files of a certificate for localhost that signs itself, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")


async def test_clients_may_speak_tls(make_gateway, certificate, source):
    gateway = await make_gateway(certificate=certificate[0], key=certificate[1])
    assert gateway.url.startswith("https://")
    await gateway.switch(Route.CAPTURE)
    context = ssl.create_default_context(cafile=certificate[0])
    port = int(gateway.address.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    client = RawClient(reader, writer)
    assert (await client.ask("POST", "/v2.0/ports", b"{}"))[2] == b"source"
    assert (await client.ask("GET", "/v2.0/ports"))[2] == b"source"
    assert source.seen[0].field("X-Forwarded-Proto") == ["https"]
    writer.close()
    await writer.wait_closed()


async def test_upstreams_may_speak_tls_and_are_verified(make_gateway, connect, certificate, clean):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)

    async def serve(reader, writer):
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(answer(b"secret"))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    clean.callback(server.close)
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
    trusting = await make_gateway(source=url, upstream_ca=certificate[0])
    client = await connect(trusting)
    assert (await client.ask("GET", "/"))[2] == b"secret"
    strict = await make_gateway(source=url)
    client = await connect(strict)
    assert (await client.ask("GET", "/"))[0] == 503


async def test_a_missing_certificate_is_one_clear_sentence(make_gateway):
    with pytest.raises(ConfigError, match="cannot be used"):
        await make_gateway(certificate="/nowhere.pem")
    with pytest.raises(ConfigError, match="cannot be used"):
        await make_gateway(source="https://a", upstream_ca="/nowhere.pem")
