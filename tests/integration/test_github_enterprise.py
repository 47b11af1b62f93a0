"""GitHub Enterprise Server: the API is under `/api/v3` of the server's own address, behind a certificate of the company's own."""

from __future__ import annotations

import datetime
import http.client
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from modelship.core.errors import InfrastructureError
from tests.commenting import Team
from tests.unit.test_reporting_scenarios import bad


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ghes.example")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    authority, secret = folder / "ca.pem", folder / "key.pem"
    authority.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return authority, secret


@pytest.fixture
def enterprise(team: Team, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The API's address on an Enterprise Server in front of the emulated one, and the certificate to trust."""
    port = team.server.door.port

    class Handler(BaseHTTPRequestHandler):
        def serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if not self.path.startswith("/api/v3/"):
                self.send_error(404)
                return
            upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "content-length")}
            upstream.request(self.command, self.path.removeprefix("/api/v3"), body or None, headers)
            answer = upstream.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            upstream.close()

        do_GET = do_POST = do_PATCH = do_DELETE = serve  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    authority, secret = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, secret)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{server.server_port}/api/v3", authority
    finally:
        server.shutdown()
        server.server_close()


def test_an_enterprise_server_is_reached_under_its_path(
    team: Team, enterprise: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, authority = enterprise
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    for _ in range(2):
        published, pauses = team.publish(bad(), through=url)
        assert (published.warning, pauses) == (None, [])
    assert len(team.ours()) == 1
    assert [run.conclusion for run in team.our_checks()] == ["failure"]


def test_a_certificate_that_nobody_trusts_is_no_answer(team: Team, enterprise: tuple[str, Path]) -> None:
    with pytest.raises(InfrastructureError, match="SSLError"):
        team.publish(bad(), through=enterprise[0])
    assert team.comments() == []
