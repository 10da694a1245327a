#!/usr/bin/env python3
"""./dev bench load: petit load beside a generator that shares no code with it, at the same rate, in turn.

The peer is an asyncio loop over Python's grpcio, whose messages come from the server's reflection. Both send the same
texts in the same order to the demo's student, evenly spaced, each over one connection, and count latencies from when a
text was due. The rate is half of what the server answers with 32 in flight, unless --rate says otherwise."""

import argparse
import asyncio
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXTS = ROOT / "tests/data/parity/sentences.tsv"
CONFIG = """listen: "127.0.0.1:0"
log_level: LOG_LEVEL_WARNING
torch_threads: 1  # leaves a core to the generators, which are what is compared
model {{ name: "student" checkpoint: "{root}/deploy/demo/models/student"
  prompt {{ source: "en" target: "fr" prefix: "translate English to French: " }} }}
"""


def quantile(values, share):
    """Nearest rank."""
    return sorted(values)[max(1, math.ceil(share * len(values))) - 1]


async def send(call, request, due, counts, latencies):
    await call(request, timeout=60)
    if counts:
        latencies.append(time.monotonic() - due)


async def drive(address, texts, rate, warmup, duration):
    import grpc
    from google.protobuf import descriptor_pool, message_factory
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

    with grpc.insecure_channel(address) as channel:
        pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        method = pool.FindServiceByName("petit.v1.TranslationService").FindMethodByName("Translate")
        request_class = message_factory.GetMessageClass(method.input_type)
        response_class = message_factory.GetMessageClass(method.output_type)
    options = {"model": "student", "source_language": "en", "target_language": "fr"}
    requests = [request_class(options=options, texts=[text]) for text in texts]
    latencies, lags, tasks = [], [], []
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary("/petit.v1.TranslationService/Translate",
                                   request_serializer=request_class.SerializeToString,
                                   response_deserializer=response_class.FromString)
        await call(requests[0])
        start = time.monotonic()
        for number in range(math.ceil(rate * (warmup + duration))):
            due = start + number / rate
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            lags.append(time.monotonic() - due)
            counts = due >= start + warmup
            tasks.append(asyncio.create_task(send(call, requests[number % len(requests)], due, counts, latencies)))
        await asyncio.gather(*tasks)
    return {"answered": len(latencies), "p50": quantile(latencies, 0.5), "p99": quantile(latencies, 0.99),
            "lag": quantile(lags, 0.99)}


def run_peer(address, rate, options):
    command = [sys.executable, __file__, "--drive", address, "--rate", str(rate), "--seconds", str(options.seconds),
               "--warmup", str(options.warmup)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def run_petit(address, petit, *arguments):
    with tempfile.TemporaryDirectory() as directory:
        report = pathlib.Path(directory) / "load.json"
        subprocess.run([petit, "load", "--server", address, "--model", "student", "--texts", TEXTS, "--quiet", "--json",
                        report, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)
        figures = json.loads(report.read_text())["phases"][0]["figures"][0]
    return {"answered": figures["answered"], "p50": figures["latency"]["p50"], "p99": figures["latency"]["p99"],
            "lag": figures["lag"]["p99"], "texts_per_second": figures["texts_per_second"]}


def compare(address, options):
    petit = options.bin / "petit"
    rate = options.rate
    if rate is None:
        capacity = run_petit(address, petit, "--streams", 32, "--duration", "5s", "--warmup", "1s")["texts_per_second"]
        rate = round(capacity / 2, 1)
        print(f"With 32 in flight the student answers {capacity:.1f} texts/s; the rate is half of that.\n")
    flags = ("--rate", rate, "--arrivals", "constant", "--duration", f"{options.seconds}s", "--warmup", f"{options.warmup}s")
    rounds = []
    print(f"{rate} texts/s, {options.seconds} s after {options.warmup} s of warm-up, {os.cpu_count()} CPUs for all\n")
    print("| round | petit p50 ms | peer p50 ms | ratio | petit p99 ms | peer p99 ms | ratio | petit lag p99 ms | peer lag p99 ms |")
    print("|---|---|---|---|---|---|---|---|---|")
    for number in range(options.rounds):
        # Who goes first changes, so that a trend of the machine's favours neither.
        turns = [lambda: run_petit(address, petit, *flags), lambda: run_peer(address, rate, options)]
        results = [turns[number % 2](), turns[1 - number % 2]()]
        ours, theirs = results if number % 2 == 0 else reversed(results)
        if ours["answered"] != theirs["answered"]:
            raise SystemExit(f"petit load counted {ours['answered']} answers, the peer {theirs['answered']}")
        rounds.append((ours, theirs))
        print_row(str(number + 1), *rounds[-1])
    middle = [{key: statistics.median(one[who][key] for one in rounds) for key in ("p50", "p99", "lag")} for who in (0, 1)]
    print_row("median", *middle)


def print_row(name, ours, theirs):
    cells = [name]
    for key in ("p50", "p99"):
        cells += [f"{1000 * ours[key]:.1f}", f"{1000 * theirs[key]:.1f}", f"{ours[key] / theirs[key]:.3f}"]
    cells += [f"{1000 * ours['lag']:.2f}", f"{1000 * theirs['lag']:.2f}"]
    print("| " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, help="texts a second")
    parser.add_argument("--seconds", type=float, default=15, help="measured, each time")
    parser.add_argument("--warmup", type=float, default=2, help="seconds before that")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/release/bin", help="of petit and petit-server")
    parser.add_argument("--drive", help=argparse.SUPPRESS)  # the peer's own process: an address
    options = parser.parse_args()
    if options.drive:
        texts = [line.split("\t")[0] for line in TEXTS.read_text().splitlines()]
        print(json.dumps(asyncio.run(drive(options.drive, texts, options.rate, options.warmup, options.seconds))))
        return
    with tempfile.TemporaryDirectory() as directory:
        config = pathlib.Path(directory) / "petit.textproto"
        config.write_text(CONFIG.format(root=ROOT))
        server = subprocess.Popen([options.bin / "petit-server", "--config", config], stdout=subprocess.PIPE, text=True)
        try:
            for line in server.stdout:
                if line.startswith("listening on "):
                    compare(line.split()[-1], options)
                    break
            else:
                raise SystemExit(f"the server ended with {server.wait()}")
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
