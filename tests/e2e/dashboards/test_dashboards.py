"""Every series that a recording rule, an alert or a panel reads exists in a real Prometheus and moves with the work."""

import json
import re
import shutil
import subprocess
import threading
import unittest

import grpc

import petit_e2e
from petit_e2e import SOURCE, TINY, model_config, new_token
from petit_jobs import JobsTestCase, PATIENCE_SECONDS, kill, workers_below
from dashboards.prometheus import Prometheus, metric_names, wait_for_all

DEPLOY = SOURCE / "deploy"
RULES = sorted((DEPLOY / "prometheus/rules").glob("*.yml"))
RULE_TESTS = sorted((DEPLOY / "prometheus/tests").glob("*.yml"))
DASHBOARDS = sorted((DEPLOY / "grafana/dashboards").glob("*.json"))
# These tell what is, not what is done.
CONSTANT = {"petit_build_info", "process_max_fds", "process_start_time_seconds", "petit:objective:unanswered_ratio",
            "petit:objective:slow_ratio", "petit:objective:memory_bytes"}
ENDLESS = 1_000_000  # steps
CALLERS = 3
# One call fills the queue, so that others are refused.
SMALL_QUEUE = "batching { max_rows: 4 max_queue_length: 16 }"
TEXTS = ["The house is small."] * 16
# More than the server lets a client have in flight.
LIMIT = "limits { client { max_texts_in_flight: 100 } }\n"
TOO_MANY_TEXTS = TEXTS * 7
# One client has many of these in work, another a single one.
LONG = {"max_new_tokens": 64, "min_new_tokens": 64}
CROWD = ["The house is small."] * 64


def promtool(*arguments):
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def panels(dashboard):
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions(dashboard):
    """Of all panels, with the variables as "All" has them."""
    return {f"{dashboard['title']}, {panel['title']}, {target['refId']}":
            re.sub(r"\$(job|model|run)\b", ".*", target["expr"]).replace("$__rate_interval", "30s")
            for panel in panels(dashboard) for target in panel["targets"]}


def variable_names(dashboard):
    """Names of the series that the variables' values come from."""
    queries = [variable["definition"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
    return set().union(*(metric_names(re.fullmatch(r"label_values\((.*), \w+\)", query)[1]) for query in queries))


class Dashboards(JobsTestCase):
    @classmethod
    def setUpClass(cls):
        if shutil.which("prometheus") is None or shutil.which("promtool") is None:
            raise unittest.SkipTest("Prometheus is not installed; Debian has it in prometheus")
        cls.dashboards = [json.loads(path.read_text()) for path in DASHBOARDS]

    def test_promtool_finds_no_fault(self):
        for arguments in (("check", "config", DEPLOY / "prometheus/prometheus.yml"), ("check", "rules", *RULES),
                          ("test", "rules", *RULE_TESTS)):
            status, output = promtool(*arguments)
            self.assertEqual(status, 0, output)

    def test_every_alert_is_tested(self):
        alerts = set(re.findall(r"- alert: (\w+)", (DEPLOY / "prometheus/rules/petit-alerts.yml").read_text()))
        tested = set(re.findall(r'alertname="(\w+)"', (DEPLOY / "prometheus/tests/alerts_test.yml").read_text()))
        self.assertEqual(alerts, tested)

    def test_panels_are_described_and_do_not_overlap(self):
        self.assertEqual(len({dashboard["uid"] for dashboard in self.dashboards}), len(self.dashboards))
        for path, dashboard in zip(DASHBOARDS, self.dashboards):
            self.assertEqual(path.stem, dashboard["uid"])
            everything = dashboard["panels"]
            self.assertEqual(len({panel["id"] for panel in everything}), len(everything))
            cells = set()
            for panel in everything:
                place = panel["gridPos"]
                self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
                taken = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
                self.assertFalse(cells & taken, panel["title"])
                cells |= taken
            for panel in panels(dashboard):
                self.assertGreater(len(panel["description"]), 5, panel["title"])
                self.assertTrue(panel["fieldConfig"]["defaults"]["unit"], panel["title"])

    def scrape(self, server):
        """A Prometheus with the example's configuration, in a hurry."""
        text = (DEPLOY / "prometheus/prometheus.yml").read_text()
        for old, new in (("127.0.0.1:9464", server.metrics_address), ("15s", "1s"),
                         ("rules/*.yml", f"{DEPLOY}/prometheus/rules/*.yml")):
            self.assertIn(old, text)
            text = text.replace(old, new)
        config = self.directory / "prometheus.yml"
        config.write_text(text)
        prometheus = Prometheus(config, self.directory)
        self.stack.callback(prometheus.close)
        return prometheus

    def client(self, server, name="caller"):
        return super().client(server, token=self.tokens[name])

    def load(self, server):
        """Translates, is refused, asks for what is not there, crowds another client out, loads and unloads, until told
        to stop."""
        stop = threading.Event()

        def call(client):
            while not stop.wait(0.02):  # it need not be a flood
                for model, texts in (("busy", TEXTS), ("busy", TEXTS), ("nobody", TEXTS), ("busy", TOO_MANY_TEXTS)):
                    try:
                        client.translate(model, texts, decoding={"max_new_tokens": 24})
                    except grpc.RpcError as error:
                        if error.code() not in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.NOT_FOUND,
                                                grpc.StatusCode.INVALID_ARGUMENT):
                            raise

        def crowd(client, texts=CROWD):
            while not stop.is_set():
                client.translate("shared", texts, decoding=LONG)

        def be_crowded(client):
            crowd(client, CROWD[:1])

        def switch(client):
            while not stop.is_set():
                client.models("UnloadModel", name="idle")
                stop.wait(2)  # a scrape or two must see it
                client.models("LoadModel", name="idle")
                stop.wait(2)

        threads = [threading.Thread(target=work, args=(self.client(server, name),)) for work, name in
                   [(call, "caller")] * CALLERS + [(switch, "caller"), (crowd, "crowd"), (be_crowded, "crowded")]]
        for thread in threads:
            thread.start()

        def end():
            stop.set()
            for thread in threads:
                thread.join()

        self.stack.callback(end)
        return end

    def test_what_rules_and_panels_read_is_there_and_moves(self):
        self.tokens, entries = {}, ""
        for name in ("caller", "crowd", "crowded"):
            self.tokens[name], entry = new_token(name, "TRANSLATE", "OPERATE", "TRAIN")
            entries += entry
        models = (model_config("busy", TINY / "v1_1", SMALL_QUEUE) + model_config("idle", TINY / "v1_0") +
                  model_config("shared", TINY / "v1_1"))
        server = self.serve_jobs(models=f"{models} {LIMIT} auth {{ {entries} }}")
        prometheus = self.scrape(server)
        # From before the work, so that all of it is seen to move.
        self.assertEqual(wait_for_all({"a scrape": lambda: prometheus.query("petit_jobs"),
                                       "the rules": prometheus.rules}, PATIENCE_SECONDS), [])
        caller = self.client(server)
        end_load = self.load(server)
        spec = self.spec(caller, steps=ENDLESS)
        spec.optimizer.warmup_steps = ENDLESS // 2  # the learning rate moves, too
        for _ in range(2):  # the second waits
            self.jobs(caller, "CreateJob", spec=spec)
        # A worker that dies is followed by another one.
        first = {"the first attempt": lambda: prometheus.query("petit_job_attempt == 1")}
        self.assertEqual(wait_for_all(first, PATIENCE_SECONDS), [])
        for pid in workers_below(self.directory):
            kill(pid)

        rules = prometheus.rules()
        for rule in rules:
            if rule["type"] == "alerting":
                self.assertEqual(sorted(rule["annotations"]), ["action", "description", "summary"], rule["name"])
                self.assertIn(rule["labels"].get("severity"), ("page", "ticket"), rule["name"])
        shown = {title: text for dashboard in self.dashboards for title, text in expressions(dashboard).items()}
        names = set().union(*(metric_names(rule["query"]) for rule in rules), *map(metric_names, shown.values()),
                            *map(variable_names, self.dashboards))
        recorded = {rule["name"] for rule in rules if rule["type"] == "recording"}
        told = names - recorded - CONSTANT - {"up"}  # by the server
        self.assertEqual({name for name in names if ":" in name} - recorded, set(), "read and not recorded")
        self.assertGreater(len(told), 20)

        conditions = {f"{name} moves": lambda name=name: prometheus.moves(name) for name in told}
        conditions |= {f"{name} is there": lambda name=name: prometheus.query(f"{name} != 0")
                       for name in names & CONSTANT | {"up"}}
        conditions |= {f"{name} is recorded": lambda name=name: prometheus.query(name) for name in recorded}
        conditions |= {f"panel {title}": lambda text=text: prometheus.query(text) for title, text in shown.items()}
        conditions |= {f"{text} is seen": lambda text=text: prometheus.query(text) for text in (
            "job_model:petit_rejected:full_ratio5m > 0", "job_model:petit_held_sequences:mean5m > 0", "job:petit_calls:unanswered_ratio5m > 0",
            'petit_jobs{state="QUEUED"} == 1', 'job_model_method_code:petit_requests:rate5m{model="unknown"} > 0')}
        self.assertEqual(wait_for_all(conditions, PATIENCE_SECONDS), [])
        for rule in prometheus.rules():
            self.assertEqual((rule["name"], rule["health"], rule.get("lastError", "")), (rule["name"], "ok", ""))

        # The check itself can fail.
        self.assertFalse(prometheus.moves("petit_mislaid_total"))
        self.assertFalse(prometheus.moves("process_start_time_seconds"))

        end_load()
        server.close()
        pending = 'ALERTS{alertname="PetitTargetDown", alertstate="pending"}'
        self.assertEqual(wait_for_all({"up moves": lambda: prometheus.moves("up"),
                                       "PetitTargetDown": lambda: prometheus.query(pending)}, PATIENCE_SECONDS), [])

    def test_names_are_read_out_of_expressions(self):
        self.assertEqual(metric_names('sum by (job) (rate(a_total{le="2.5", code=~"x|y"}[5m])) or job:b:rate5m * 0'),
                         {"a_total", "job:b:rate5m"})
        self.assertEqual(metric_names("c == 0 and on (job, model) max by (job) (d offset 30m) > 1e3 * scalar(e:f:g)"),
                         {"c", "d", "e:f:g"})


if __name__ == "__main__":
    petit_e2e.unittest.main()
