"""Certificates of the tests' own authorities, made by the `openssl` command."""

import pathlib
import subprocess


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Authority:
    """Issues certificates into its directory."""

    def __init__(self, directory, name):
        self.directory = pathlib.Path(directory)
        self.name = name
        self.certificate = self.directory / f"{name}.pem"
        self.key = self.directory / f"{name}.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2,
                "-keyout", self.key, "-out", self.certificate, "-subj", f"/CN={name}")

    def issue(self, name, serial=1, names="DNS:localhost,IP:127.0.0.1", subject="/O=Test/CN=petit", days=1):
        """(certificate, key), paths of PEM files."""
        certificate, key, request, extensions = (
            self.directory / f"{name}.{kind}" for kind in ("pem", "key", "csr", "ext"))
        extensions.write_text(f"subjectAltName={names}\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", request,
                "-subj", subject)
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-set_serial", serial,
                "-days", days, "-extfile", extensions, "-out", certificate)
        return certificate, key
