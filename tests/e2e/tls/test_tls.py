"""TLS: certificates of both sides, their replacement while the server runs, and errors that say what is wrong."""

import shutil
import socket
import ssl
import subprocess

import grpc

import petit_e2e
from petit_e2e import BIN, TINY, model_config, petit
from tls.certificates import Authority


class Tls(petit_e2e.TestCase):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.directory, "authority")
        self.server_files = self.directory / "cert.pem", self.directory / "key.pem"
        self.install(7)

    def install(self, serial, **options):
        """Puts a certificate of this serial number where the server looks."""
        for made, here in zip(self.authority.issue(f"server-{serial}", serial=serial, **options), self.server_files):
            part = here.with_suffix(".part")
            shutil.copy(made, part)
            part.rename(here)

    def secured(self, tls="", more="", **options):
        return self.serve(f"""
            {model_config("tiny", TINY / "v1_1")}
            tls {{ certificate: "cert.pem" key: "key.pem" reload_seconds: 0.05 {tls} }} {more}""", **options)

    def credentials(self, certificate=None, key=None):
        read = lambda path: path.read_bytes() if path else None
        return grpc.ssl_channel_credentials(self.authority.certificate.read_bytes(), read(key), read(certificate))

    def tls_client(self, server, *pair, **options):
        return self.client(server, credentials=self.credentials(*pair), **options)

    def serial(self, server):
        """Of the certificate that a new connection gets."""
        context = ssl.create_default_context(cafile=self.authority.certificate)
        context.set_alpn_protocols(["h2"])
        host, port = server.address.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=60) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                return int(secure.getpeercert()["serialNumber"], 16)

    def unreachable(self, server, *arguments, **options):
        """What `petit info` says of a server that it cannot talk to."""
        done = petit("info", *arguments, server=server, check=False, **options)
        self.assertEqual(done.returncode, 3, done.stderr)
        return done.stderr


class Server(Tls):
    def test_serves_over_tls_alone(self):
        server = self.secured()
        client = self.tls_client(server)
        self.assertEqual(len(client.translate("tiny", ["a package"]).results), 1)
        self.assertIn("build:", petit("info", "--ca", self.authority.certificate, server=server).stdout)
        self.assertIn("it may want TLS", self.unreachable(server))
        self.assertIn("the authority that signed it is not among the trusted ones", self.unreachable(server, "--tls"))
        other = Authority(self.directory, "other")
        self.assertIn("the authority that signed it is not among the trusted ones",
                      self.unreachable(server, "--ca", other.certificate))

    def test_a_server_in_plain_text_is_told_from_one_with_tls(self):
        server = self.serve(model_config("tiny", TINY / "v1_1"))
        self.assertIn("it may speak plain text", self.unreachable(server, "--tls"))

    def test_the_servers_name_is_checked(self):
        self.install(8, names="DNS:petit.example")
        server = self.secured()
        self.assertIn("its certificate is for another name", self.unreachable(server, "--ca", self.authority.certificate))
        petit("info", "--ca", self.authority.certificate, "--server-name", "petit.example", server=server)

    def test_an_expired_certificate_is_named_in_the_log(self):
        self.install(9, days=-1)
        server = self.secured()
        self.assertRegex(server.log(), r"error tls: \S+cert.pem has expired")
        self.assertIn("or it has expired", self.unreachable(server, "--ca", self.authority.certificate))

    def test_new_connections_get_the_new_certificate(self):
        server = self.secured()
        client = self.tls_client(server)
        self.assertEqual(self.serial(server), 7)
        self.install(8)
        self.wait_until(lambda: self.serial(server) == 8)
        self.assertEqual(len(client.models("ListModels").models), 1)  # the old connection goes on
        self.assertIn("has serial 08 and is good until", server.log())

    def test_what_cannot_be_used_replaces_nothing(self):
        server = self.secured()
        certificate, key = self.server_files
        shutil.copy(self.authority.issue("other-key")[1], key)
        self.wait_until(lambda: "is not the key of" in server.log())
        self.assertEqual(self.serial(server), 7)
        certificate.unlink()
        self.wait_until(lambda: "cert.pem: cannot be read: No such file or directory; what was good before stays" in
                        server.log())
        self.assertEqual(self.serial(server), 7)
        self.install(8)
        self.wait_until(lambda: self.serial(server) == 8)

    def test_bad_files_are_a_mistake_at_the_start(self):
        shutil.copy(self.authority.key, self.server_files[1])
        config = petit_e2e.write_config(self.directory, f"""
            {model_config("tiny", TINY / "v1_1")} tls {{ certificate: "cert.pem" key: "key.pem" }}""")
        refused = subprocess.run([BIN / "petit-server", "--config", config], capture_output=True, text=True)
        self.assertNotEqual(refused.returncode, 0)
        self.assertRegex(refused.stderr, r"key.pem: is not the key of \S+cert.pem")


class Clients(Tls):
    """Certificates that clients show."""

    def setUp(self):
        super().setUp()
        self.clients = Authority(self.directory, "clients")
        self.batch = self.clients.issue("batch", names="DNS:batch.example,URI:spiffe://example/batch",
                                        subject="/O=Example/CN=batch")
        self.ops = self.clients.issue("ops", names="DNS:ops.example", subject="/O=Example/CN=ops")
        self.stranger = Authority(self.directory, "strangers").issue("stranger")

    def test_who_has_no_certificate_of_the_authority_is_refused(self):
        server = self.secured('client_ca: "clients.pem"')
        self.assertIn("or a certificate that it knows", self.unreachable(server, "--ca", self.authority.certificate))
        ca = "--ca", self.authority.certificate
        self.unreachable(server, *ca, "--cert", self.stranger[0], "--key", self.stranger[1])
        petit("info", *ca, "--cert", self.batch[0], "--key", self.batch[1], server=server)
        self.assertRegex(server.log(), r"GetServerInfo request=\w+ .*client=certificate:batch\.example")

    def test_certificates_have_roles(self):
        server = self.secured('client_ca: "clients.pem"', """auth {
            client { name: "batch" role: TRANSLATE certificate_name: "spiffe://example/batch" }
            client { name: "ops" role: OPERATE certificate_subject: "CN=ops,O=Example" } }""", listen="0.0.0.0:0")
        server.address = f"127.0.0.1:{server.address.rsplit(':')[1]}"
        batch = self.tls_client(server, *self.batch)
        ops = self.tls_client(server, *self.ops)
        self.assertEqual(len(batch.translate("tiny", ["a package"]).results), 1)
        with self.assert_rpc_error(grpc.StatusCode.PERMISSION_DENIED, "client batch lacks the role OPERATE"):
            batch.models("UnloadModel", name="tiny")
        with self.assert_rpc_error(grpc.StatusCode.PERMISSION_DENIED, "client ops lacks the role TRANSLATE"):
            ops.translate("tiny", ["a package"])
        ops.models("UnloadModel", name="tiny")
        self.assertRegex(server.log(), r"Translate request=\w+ .*client=batch\b")

    def test_tokens_beside_certificates(self):
        made = petit("token", "new", "--name", "app", "--role", "TRANSLATE", "--out", self.directory / "token")
        token = (self.directory / "token").read_text().strip()
        server = self.secured('client_ca: "clients.pem" require_client_certificate: false', f"""auth {{
            {made.stdout} client {{ name: "ops" role: OPERATE certificate_name: "ops.example" }} }}""")
        app = self.tls_client(server, token=token)
        self.assertEqual(len(app.translate("tiny", ["a package"]).results), 1)
        ops = self.tls_client(server, *self.ops)
        ops.models("LoadModel", name="tiny")
        channel = grpc.secure_channel(server.address, self.credentials())
        self.stack.callback(channel.close)
        with self.assert_rpc_error(grpc.StatusCode.UNAUTHENTICATED, "certificate of a known client"):
            channel.unary_unary("/petit.v1.ModelService/ListModels")(b"", timeout=60)
        channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=60)
        self.assertNotIn(token, server.log())

    def test_new_authorities_are_read_too(self):
        server = self.secured('client_ca: "clients.pem"')
        shutil.copy(self.directory / "strangers.pem", self.directory / "clients.pem")

        def refused():
            return petit("info", "--ca", self.authority.certificate, "--cert", self.batch[0], "--key", self.batch[1],
                         server=server, check=False).returncode != 0

        self.wait_until(refused)
        petit("info", "--ca", self.authority.certificate, "--cert", self.stranger[0], "--key", self.stranger[1],
              server=server)


if __name__ == "__main__":
    petit_e2e.unittest.main()
