"""What deploy/ and docker/ hold is well-formed, agrees with the server, and starts one where that can be tried here."""

import json
import os
import re
import shutil
import socket
import subprocess

import yaml

import petit_e2e
from deployments.deployment import DEPLOY, DRAIN_SECONDS, GRACE_SECONDS, Deployment, needs, run
from petit_e2e import BIN, SOURCE, TINY, Client, Server, model_config, write_config
from petit_jobs import JobsTestCase

SLURM_IS_ABSENT = 77


class Systemd(Deployment):
    UNIT = DEPLOY / "systemd/petit-server.service"

    def copy(self):
        """Names the programs that are here."""
        copy = self.directory / "petit-server.service"
        copy.write_text(self.UNIT.read_text().replace("/opt/petit/bin", str(BIN)))
        return copy

    @needs("systemd-analyze")
    def test_verify(self):
        done = run("systemd-analyze", "verify", "--man=no", self.copy())
        self.assertNotIn("petit-server.service", done.stderr)

    @needs("systemd-analyze")
    def test_the_sandbox_holds(self):
        report = json.loads(run("systemd-analyze", "security", "--offline=true", "--json=short", "--no-pager",
                                self.copy()).stdout)
        open_doors = {entry["json_field"] for entry in report if entry["set"] is False and float(entry["exposure"] or 0)}
        self.assertLessEqual(open_doors, {
            "PrivateNetwork", "RootDirectoryOrRootImage", "IPAddressDeny", "DeviceAllow", "MemoryDenyWriteExecute", "ProcSubset",
            "RestrictAddressFamilies_AF_INET_INET6", "RestrictAddressFamilies_AF_UNIX",
            "RestrictAddressFamilies_AF_NETLINK", "SystemCallFilter_resources", "UMask"})

    @needs("systemd-sysusers")
    def test_the_unit_runs_as_the_user_that_sysusers_makes(self):
        done = run("systemd-sysusers", "--dry-run", DEPLOY / "systemd/petit.sysusers.conf")
        user = re.search(r"^User=(\w+)$", self.UNIT.read_text(), re.M)[1]
        self.assertRegex((DEPLOY / "systemd/petit.sysusers.conf").read_text(), rf"(?m)^u {user} ")
        self.assertEqual(re.findall("(?m)^.*rror.*$", done.stderr), [])

    def test_the_server_tells_when_it_is_ready_and_when_it_ends(self):
        self.assertIn("\nType=notify\n", self.UNIT.read_text())
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.settimeout(60)
            manager.bind(str(self.directory / "notify"))
            server = Server(write_config(self.directory, model_config("tiny", TINY / "v1_1")),
                            env={"NOTIFY_SOCKET": str(self.directory / "notify")})
            self.stack.callback(server.close)
            self.assertEqual(manager.recv(256), b"READY=1\nSTATUS=loading models")
            self.assertEqual(manager.recv(256), b"STATUS=serving")
            self.assertEqual(server.terminate(), 0)
            self.assertEqual(manager.recv(256), b"STOPPING=1\nSTATUS=draining")

    def test_the_journal_is_told_that_a_failed_start_is_an_error(self):
        config = write_config(self.directory, 'model { name: "a" }\ndrain_timeout_seconds: -1\n')
        reader, writer = os.pipe()
        journal = os.fstat(writer)
        with open(reader) as lines, open(writer, "w") as errors:
            done = subprocess.run([BIN / "petit-server", "--config", config], stdout=subprocess.DEVNULL, stderr=errors,
                                  env={**os.environ, "JOURNAL_STREAM": f"{journal.st_dev}:{journal.st_ino}"})
            errors.close()
            said = lines.read().splitlines()
        self.assertEqual(done.returncode, 2)
        self.assertGreater(len(said), 1)
        self.assertEqual([line for line in said if not line.startswith("<3>")], [])

    def test_it_waits_for_the_drain(self):
        seconds = int(re.search(r"^TimeoutStopSec=(\d+)$", self.UNIT.read_text(), re.M)[1])
        self.assertGreater(seconds, DRAIN_SECONDS + GRACE_SECONDS)


class Docker(Deployment):
    COMPOSE = SOURCE / "docker/compose.yaml"

    def test_compose_mounts_what_is_there_and_pins_what_it_fetches(self):
        compose = yaml.safe_load(self.COMPOSE.read_text())
        for name, service in compose["services"].items():
            self.assertRegex(service["image"], r":(v?\d+\.\d+\.\d+|cpu)$", name)
            self.assertEqual(service["cap_drop"], ["ALL"], name)
            for port in service["ports"]:
                self.assertTrue(port.startswith("127.0.0.1:"), port)
            for volume in service["volumes"]:
                source = volume.split(":")[0]
                if source.startswith("."):
                    self.assertTrue((self.COMPOSE.parent / source).exists(), volume)
                else:
                    self.assertIn(source, compose["volumes"])
        if shutil.which("docker") and run("docker", "compose", "version", check=False).returncode == 0:
            run("docker", "compose", "-f", self.COMPOSE, "config", "--quiet")
        grace = compose["services"]["petit"]["stop_grace_period"]
        self.assertGreater(int(grace.removesuffix("s")), DRAIN_SECONDS + GRACE_SECONDS)

    def test_compose_and_grafana_agree(self):
        volumes = [volume.split(":") for volume in
                   yaml.safe_load(self.COMPOSE.read_text())["services"]["grafana"]["volumes"]]
        provider, = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/petit.yml").read_text())["providers"]
        self.assertIn(provider["options"]["path"],
                      [volume[1] for volume in volumes if volume[0].endswith("/grafana/dashboards")])
        source, = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
        for path in (DEPLOY / "grafana/dashboards").glob("*.json"):
            variable = json.loads(path.read_text())["templating"]["list"][0]
            self.assertEqual((variable["type"], variable["current"]["value"]), ("datasource", source["uid"]))

    def test_prometheus_of_compose_differs_from_the_example_in_its_target_alone(self):
        example = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
        own = yaml.safe_load((SOURCE / "docker/prometheus.yml").read_text())
        own["scrape_configs"][0]["static_configs"] = example["scrape_configs"][0]["static_configs"]
        self.assertEqual(own, example)

    def test_the_images_configuration_is_good(self):
        self.check_config((SOURCE / "docker/petit.textproto").read_text())


class Slurm(JobsTestCase):
    @needs("sbatch")
    def test_a_server_that_is_a_slurm_job_distils_by_slurm_jobs(self):
        """With the example's configuration, but for the places of the checkpoints."""
        text = (DEPLOY / "slurm/petit.textproto").read_text()
        text = text.replace("/shared/petit/checkpoints/teacher", str(TINY / "v1_1"))
        text = text.replace("/shared/petit", str(self.directory)).replace("threads: 4", "threads: 1")
        config = self.directory / "petit.textproto"
        config.write_text(text)
        (self.directory / "models").mkdir()
        command = [SOURCE / "tests/e2e/slurm/with_slurm.sh", "bash", "-c", 'echo "$SLURM_CONF"; exec cat']
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as slurm:
            conf = slurm.stdout.readline().strip()
            if not conf:
                self.assertEqual(slurm.wait(), SLURM_IS_ABSENT, "Slurm did not start")
                self.skipTest("Slurm is not installed")
            env = {**os.environ, "SLURM_CONF": conf, "PETIT_SERVER_PROGRAM": str(BIN / "petit-server")}
            job = run("sbatch", "--parsable", "--cpus-per-task=1", "--mem=1G", DEPLOY / "slurm/petit-server.sbatch",
                      config, env=env, cwd=self.directory).stdout.strip()
            output = self.directory / f"petit-server-{job}.out"
            text = self.wait_for(lambda: output.exists() and "metrics on" in output.read_text() and output.read_text(),
                                 "the server's address")
            self.assertRegex(text, r"^node \S+\n")
            caller = Client(re.search(r"listening on (\S+)", text)[1])
            self.stack.callback(caller.close)
            self.assertTrue(caller.translate("teacher", ["The house."]).results[0].translation.target_tokens)
            name = self.create(caller, extra='publish_as: "distilled" resources { memory_bytes: 1073741824 }').name
            self.wait_until_ended(caller, name)
            attempt = self.directory / name / "attempts/1/slurm_job_id"
            self.assertNotEqual(attempt.read_text().strip(), job)
            self.assertTrue(caller.translate("distilled", ["The house."]).results[0].translation.target_tokens)
            run("scancel", job, env=env)
            self.wait_for(lambda: "drained" in output.read_text(), "the server's end")
            slurm.stdin.close()


if __name__ == "__main__":
    petit_e2e.unittest.main()
