"""The Helm chart makes confined, probed pods with a configuration that the server takes, and refuses what cannot work."""

import json
import re

import yaml

import petit_e2e
from deployments.deployment import DEPLOY, DRAIN_SECONDS, GRACE_SECONDS, Deployment, needs, run

CHART = DEPLOY / "helm/petit"


@needs("helm")
@needs("promtool")
class HelmChart(Deployment):
    VARIANTS = {
        "default": {},
        "jobs": {"replicaCount": 1, "jobs": {"enabled": True, "config": "max_queued: 8 threads: 2"},
                 "persistence": {"enabled": True}, "jobLauncherRole": {"create": True}},
        "scaled": {"autoscaling": {"enabled": True}, "monitoring": {"serviceMonitor": True, "rules": True},
                   "drainTimeoutSeconds": 62.5, "preStopSeconds": 7, "podLabels": {"team": "mt"},
                   "extraVolumes": [{"name": "tls", "secret": {"secretName": "tls"}}],
                   "extraVolumeMounts": [{"name": "tls", "mountPath": "/tls", "readOnly": True}]},
    }

    def template(self, values, check=True):
        path = self.directory / "values.yaml"
        path.write_text(json.dumps(values))
        done = run("helm", "template", "mt", CHART, "--kube-version", "1.31.0", "--values", path, check=check)
        return done if not check else [part for part in yaml.safe_load_all(done.stdout) if part]

    def one(self, parts, kind):
        found, = (part for part in parts if part["kind"] == kind)
        return found

    def test_lint(self):
        run("helm", "lint", "--strict", CHART)

    def test_the_pod_is_confined_and_probed_and_has_the_time_that_a_drain_takes(self):
        for name, values in self.VARIANTS.items():
            with self.subTest(name):
                parts = self.template(values)
                pod = self.one(parts, "Deployment")["spec"]["template"]["spec"]
                container, = pod["containers"]
                self.assertTrue(pod["securityContext"]["runAsNonRoot"])
                self.assertEqual(container["securityContext"], {
                    "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]}})
                self.assertEqual(container["livenessProbe"]["grpc"], {"port": 50051, "service": "liveness"})
                self.assertEqual(container["readinessProbe"]["grpc"], {"port": 50051})
                needed = (values.get("preStopSeconds", 5) + values.get("drainTimeoutSeconds", DRAIN_SECONDS) +
                          GRACE_SECONDS)
                self.assertGreater(pod["terminationGracePeriodSeconds"], needed)
                self.assertEqual({mount["name"] for mount in container["volumeMounts"]},
                                 {volume["name"] for volume in pod["volumes"]})
                config = self.one(parts, "ConfigMap")["data"]["petit.textproto"]
                self.check_config(config)
                init, = pod["initContainers"]
                made = {path for path in init["command"] if path.startswith("/")}
                self.assertLessEqual(set(re.findall(r'(?:model|data)_root: "(.*)"', config)), made)

    def test_the_rules_are_those_of_prometheus(self):
        rule = self.one(self.template(self.VARIANTS["scaled"]), "PrometheusRule")
        path = self.directory / "rules.yml"
        path.write_text(json.dumps(rule["spec"]))
        run("promtool", "check", "rules", path)
        groups = [group for path in ("recording", "alerts") for group in
                  yaml.safe_load((DEPLOY / f"prometheus/rules/petit-{path}.yml").read_text())["groups"]]
        self.assertEqual(rule["spec"]["groups"][1:], groups)
        objectives = yaml.safe_load((DEPLOY / "prometheus/rules/petit-objectives.yml").read_text())["groups"][0]
        self.assertEqual([rule["record"] for rule in rule["spec"]["groups"][0]["rules"]],
                         [rule["record"] for rule in objectives["rules"]])

    def test_values_that_cannot_work_are_refused(self):
        for values, message in (
                ({"jobs": {"enabled": True}}, "replicaCount 1"),
                ({"jobs": {"enabled": True}, "replicaCount": 1, "autoscaling": {"enabled": True}}, "exclude"),
                ({"persistence": {"enabled": True}}, "ReadWriteMany"),
                ({"replicas": 3}, "replicas"),
                ({"config": "limits {}"}, "config"),
                ({"drainTimeoutSeconds": 0}, "drainTimeoutSeconds")):
            with self.subTest(str(values)):
                done = self.template(values, check=False)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(message, done.stderr)


if __name__ == "__main__":
    petit_e2e.unittest.main()
