#!/usr/bin/env python3
"""./dev bench capacity: what one core serves, and what a second thread, replica or server adds to it.

For each model a server of its own, pinned to its cores; the generator (petit load) has the rest. Tokens/s come from closed
loops with 1, 8 and 32 texts in flight, the rate from a search for the highest that keeps 99 % of the answers within the
objective. Synthetic texts of 5 to 25 words; --shapes adds flan-T5's shapes with random weights, whose translations all have
32 tokens, and no search. Two servers on two cores share them with the generator."""

import argparse
import concurrent.futures
import json
import os
import pathlib
import statistics
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEMO = ROOT / "deploy/demo/models"
CONFIG = """listen: "127.0.0.1:0"
log_level: LOG_LEVEL_WARNING
torch_threads: {threads}
model {{ name: "model" checkpoint: "{checkpoint}" precision: {precision} threads: {threads} replicas: {replicas}
  prompt {{ source: "en" target: "fr" prefix: "translate English to French: " }} }}
"""
STREAMS = (1, 8, 32)
ROW = "| {:<22} | {:<9} | {:>5} | {:>7} | {:>8} | {:>8} | {:>9} | {:>7} | {:>6} | {:>6} |"


class Server:
    def __init__(self, options, checkpoint, precision, cores, replicas=1):
        self.directory = tempfile.TemporaryDirectory()
        config = pathlib.Path(self.directory.name) / "petit.textproto"
        config.write_text(CONFIG.format(threads=len(cores) // replicas, replicas=replicas, checkpoint=checkpoint,
                                        precision=precision))
        self.process = subprocess.Popen(
            ["taskset", "-c", ",".join(map(str, cores)), options.bin / "petit-server", "--config", config],
            stdout=subprocess.PIPE, text=True)
        self.address = None
        for line in self.process.stdout:
            if line.startswith("listening on "):
                self.address = line.split()[-1]
                return
        raise SystemExit(f"the server ended with {self.process.wait()}")

    def resident_bytes(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.directory.cleanup()


def load(options, address, cores, *arguments):
    """The report of a `petit load`."""
    with tempfile.TemporaryDirectory() as directory:
        report = pathlib.Path(directory) / "load.json"
        # 5: no rate held; the report says so.
        done = subprocess.run(["taskset", "-c", ",".join(map(str, cores)), options.bin / "petit", "load", "--server", address,
                               "--quiet", "--json", report, *map(str, arguments)], stdout=subprocess.DEVNULL)
        if done.returncode not in (0, 5):
            raise SystemExit(f"petit load ended with {done.returncode}")
        return json.loads(report.read_text())


def figures(report):
    return report["phases"][-1]["figures"][0]


def search(options, address, cores, rate):
    """The cells for the highest rate that holds, and its latencies."""
    report = load(options, address, cores, "--rate", round(rate, 1), "--slo", options.slo, "--search", "--duration",
                  f"{options.seconds}s")
    best = report["search"] and report["search"]["best"]
    held = [phase for phase in report["phases"] if phase["rate"] == best]
    if not held:
        return ["none", "-", "-"]
    latency = held[-1]["figures"][0]["latency"]
    return [f"{best:.1f}", f"{1000 * latency['p50']:.0f}", f"{1000 * latency['p99']:.0f}"]


def measure(options, name, checkpoint, precision, cores, fixed_length=False):
    everything = sorted(os.sched_getaffinity(0))
    rest = [core for core in everything if core not in cores] or everything
    server = Server(options, checkpoint, precision, cores)
    extra = ("--max-new-tokens", 32) if fixed_length else ()
    try:
        load(options, server.address, rest, "--streams", 8, "--duration", "3s", "--warmup", "1s", *extra)
        tokens, rate = [], 0
        for streams in STREAMS:
            one = figures(load(options, server.address, rest, "--streams", streams, "--duration", f"{options.seconds}s", *extra))
            tokens.append(one["tokens_per_second"])
            rate = max(rate, one["texts_per_second"])
        cells = ["-"] * 3 if fixed_length else search(options, server.address, rest, rate / 2)
        print(ROW.format(name, precision, len(cores), *(f"{value:.0f}" for value in tokens), *cells,
                         f"{server.resident_bytes() / 1e6:.0f}"), flush=True)
    finally:
        server.close()


def measure_split(options, name, checkpoint, cores, extra=()):
    """One server with a thread for each core, one with a replica for each, and one server for each, with the same generators
    beside them: in turn, medians."""
    def drive(servers):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            reports = pool.map(lambda server: load(options, server.address, cores, "--streams", 32 // len(servers), "--duration",
                                                   f"{options.seconds}s", *extra), servers)
            return sum(figures(report)["tokens_per_second"] for report in reports)

    kinds = {f"one server, {len(cores)} threads": lambda: [Server(options, checkpoint, "FP32", cores)],
             f"one server, {len(cores)} replicas": lambda: [Server(options, checkpoint, "FP32", cores, len(cores))],
             f"{len(cores)} servers": lambda: [Server(options, checkpoint, "FP32", [core]) for core in cores]}
    results, memory = {kind: [] for kind in kinds}, {}
    for _ in range(options.rounds):
        for kind, start in kinds.items():
            servers = start()
            try:
                drive(servers)
                results[kind].append(drive(servers))
                memory[kind] = sum(server.resident_bytes() for server in servers)
            finally:
                for server in servers:
                    server.close()
    print(f"\n{name}, FP32, 32 texts in flight, {len(cores)} cores with the generator on them, medians of {options.rounds} rounds:\n")
    print("| | tokens/s | | MB |\n|---|---|---|---|")
    first = statistics.median(results[next(iter(kinds))])
    for kind, values in results.items():
        value = statistics.median(values)
        print(f"| {kind} | {value:.0f} | {value / first:.2f}x | {memory[kind] / 1e6:.0f} |", flush=True)


def make_shape(options, shape, directory):
    checkpoint = pathlib.Path(directory) / shape
    subprocess.run([options.bin / "petit_distill_bench", "--student", DEMO / "student", "--make", checkpoint, "--shape", shape],
                   check=True, stdout=subprocess.DEVNULL)
    return checkpoint


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8, help="of each measurement")
    parser.add_argument("--slo", default="p99=500ms", help="for the demo's models")
    parser.add_argument("--rounds", type=int, default=3, help="of the comparison of threads, replicas and servers")
    parser.add_argument("--split-only", action="store_true", help="that comparison alone")
    parser.add_argument("--shapes", default="", help="of flan-T5, with commas: small,base,large")
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/release/bin")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("it takes two cores: one for the server, one for the generator")
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    print(f"{model}, {len(cores)} cores; {options.seconds} s each; {options.slo}\n")
    if not options.split_only:
        print(ROW.format("model", "precision", "cores", "1 t/s", "8 t/s", "32 t/s", "texts/s", "p50 ms", "p99 ms", "MB"))
        print("|" + "---|" * 10)
    for name, folder, precision in (("teacher", "teacher", "FP32"), ("teacher", "teacher", "INT8"),
                                    ("student-distilled", "student-distilled", "FP32")):
        if not options.split_only:
            measure(options, name, DEMO / folder, precision, cores[:1])
    with tempfile.TemporaryDirectory() as directory:
        for shape in filter(None, options.shapes.split(",")):
            checkpoint = make_shape(options, shape, directory)
            for precision in () if options.split_only else ("FP32", "BF16", "INT8"):
                measure(options, f"flan-T5-{shape}'s shape", checkpoint, precision, cores[:1], fixed_length=True)
            measure_split(options, f"flan-T5-{shape}'s shape", checkpoint, cores[:2], ("--max-new-tokens", 32))
    measure_split(options, "teacher", DEMO / "teacher", cores[:2])


if __name__ == "__main__":
    main()
