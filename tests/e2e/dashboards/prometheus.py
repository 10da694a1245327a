"""A real Prometheus beside a server under test, and the names that PromQL expressions read."""

import json
import math
import re
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

KEYWORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan"}
POLL_SECONDS = 0.2


def metric_names(expression):
    """Names of the series that a PromQL expression reads."""
    for pattern in (r'"[^"]*"', r"\{[^}]*\}", r"\[[^\]]*\]", r"\boffset\s+\w+",
                    r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)"):
        expression = re.sub(pattern, " ", expression)
    found = re.findall(r"(?<![\w.:])([a-zA-Z_:][\w:]*)(?![\w:])(?!\s*\()", expression)
    return {name for name in found if name.lower() not in KEYWORDS}


class Prometheus:
    """Ready once constructed."""

    def __init__(self, config, storage):
        self.log = storage / "prometheus.log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={storage / 'data'}",
                 "--log.format=json", "--web.listen-address=127.0.0.1:0"], stderr=log)
        address = []
        if wait_for_all({"an address": lambda: address.extend(self.addresses()) or address}, seconds=60):
            self.close()
            raise AssertionError(f"Prometheus did not start:\n{self.log.read_text()}")
        self.url = f"http://{address[0]}"
        if wait_for_all({"readiness": self.ready}, seconds=60):
            self.close()
            raise AssertionError(f"Prometheus does not become ready:\n{self.log.read_text()}")

    def ready(self):
        """It listens before it has opened its storage, and answers 503 until then."""
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=60) as reply:
                return reply.status == 200
        except urllib.error.HTTPError:
            return False

    def addresses(self):
        """What the log says that it listens on."""
        entries = (json.loads(line) for line in self.log.read_text().splitlines() if line.endswith("}"))
        return [entry["address"] for entry in entries if entry.get("msg", "").lower() == "listening on"]

    def close(self):
        self.process.kill()
        self.process.wait()

    def get(self, path, **parameters):
        with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(parameters)}", timeout=60) as reply:
            return json.load(reply)["data"]

    def query(self, expression):
        """The values of the expression now, by their labels; those that are no number are left out."""
        result = self.get("/api/v1/query", query=expression)
        if result["resultType"] == "scalar":
            return {"": float(result["result"][1])}
        values = {json.dumps(series["metric"]): float(series["value"][1]) for series in result["result"]}
        return {labels: value for labels, value in values.items() if not math.isnan(value)}

    def moves(self, name):
        """Whether a series of this name has had two values, or their number has changed."""
        return any(self.query(f"{expression} > 0") for expression in (
            f"max(changes({name}[1h]))",
            f"max_over_time(count({name})[10m:1s]) - min_over_time(count({name})[10m:1s])"))

    def rules(self):
        return [rule for group in self.get("/api/v1/rules")["groups"] for rule in group["rules"]]


def wait_for_all(conditions, seconds):
    """Asks each condition until it was true once; returns the names of those that never were."""
    waiting = dict(conditions)
    deadline = time.monotonic() + seconds
    while waiting and time.monotonic() < deadline:
        waiting = {name: condition for name, condition in waiting.items() if not condition()}
        time.sleep(POLL_SECONDS if waiting else 0)
    return sorted(waiting)
