"""What the tests of deploy/ and docker/ share."""

import shutil
import subprocess
import unittest

import petit_e2e
from petit_e2e import BIN, DEMO, SOURCE

DEPLOY = SOURCE / "deploy"
GRACE_SECONDS = 10  # that a server takes after its drain at the most
DRAIN_SECONDS = 30  # drain_timeout_seconds unless a configuration says otherwise


def needs(program):
    return unittest.skipIf(shutil.which(program) is None, f"{program} is not installed")


def run(*command, check=True, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


class Deployment(petit_e2e.TestCase):
    def check_config(self, text):
        """The server takes this configuration, with the demo's models at /models and the volume that it gets."""
        path = self.directory / "petit.textproto"
        for name in ("models", "data"):
            (self.directory / name).mkdir(exist_ok=True)
        path.write_text(text.replace("/models/", f"{DEMO}/").replace("/var/lib/petit", str(self.directory)))
        run(BIN / "petit-server", "--check", "--config", path)
