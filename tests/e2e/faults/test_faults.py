"""Clients that vanish, flood, reset, dawdle or use up every descriptor: the server forgets them and serves the others.

Short here; PETIT_SOAK_SECONDS (./dev soak) makes it long, and then times count, too."""

import concurrent.futures
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

import grpc

import petit_e2e
from faults import raw_http2
from petit_e2e import TINY, Server, model_config, petit, write_config

SOAK_SECONDS = float(os.environ.get("PETIT_SOAK_SECONDS", "0"))
PATIENCE_SECONDS = 120
HERE = pathlib.Path(__file__).parent
MIB = 1 << 20

# As little capacity as there can be: a row at a time, and long outputs.
# One text at a time, with so much work that the machine can refuse ten times as many (with the generator beside it).
NARROW = "batching { max_rows: 4 max_queue_length: 16 } decoding { max_new_tokens: 64 num_beams: 4 }"
LONG = {"max_new_tokens": 200, "min_new_tokens": 199}

TRANSLATE = b"/petit.v1.TranslationService/Translate"
METHODS_OF_GRPC = (b"/grpc.health.v1.Health/Check", b"/grpc.health.v1.Health/Watch",
                   b"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")


def reset_calls(count, path=TRANSLATE):
    headers = raw_http2.call_headers(path)
    for stream in range(1, 2 * count, 2):
        yield (raw_http2.frame(raw_http2.HEADERS, raw_http2.END_HEADERS, stream, headers) +
               raw_http2.frame(raw_http2.RST_STREAM, 0, stream, b"\0\0\0\x08"))


class Faults(petit_e2e.TestCase):
    def wait_for(self, condition, what):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (value := condition()):
            self.assertLess(time.monotonic(), deadline, f"waited in vain for {what}")
            time.sleep(0.02)
        return value

    def serve_tiny(self, extra="", more=""):
        return self.serve(f"{model_config('tiny', TINY / 'v1_1', extra)} {more}")

    def assert_serves(self, server):
        client = self.client(server)
        self.assertEqual(len(client.translate("tiny", ["a house"], decoding={"max_new_tokens": 4}).results), 1)

    def descriptors(self, server):
        return len(os.listdir(f"/proc/{server.process.pid}/fd"))

    def load(self, server, *arguments):
        """What `petit load` counted and measured, warm-up left out."""
        report = self.directory / "load.json"
        petit("load", "--model", "tiny", "--lengths", "3-6", "--quiet", "--json", report, "--warmup", "1s", *arguments,
              server=server, check=False)
        return json.loads(report.read_text())["phases"][0]["figures"][0]

    def refusals(self, server, stop):
        """Seconds that each refusal took, of a client that asks again and again."""
        caller, took = self.client(server), []
        while not stop.is_set():
            began = time.monotonic()
            try:
                caller.translate("tiny", ["a house"])
            except grpc.RpcError as error:
                self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
                took.append(time.monotonic() - began)
        return took

    def test_ten_times_its_capacity(self):
        server = self.serve_tiny(NARROW)
        capacity = self.load(server, "--streams", 2, "--duration", "2s")["texts_per_second"]
        before = server.memory()
        stop = threading.Event()
        self.stack.callback(stop.set)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            took = pool.submit(self.refusals, server, stop)
            figures = self.load(server, "--rate", max(100, 10 * capacity), "--duration", f"{SOAK_SECONDS or 3}s",
                                "--max-in-flight", 100000)
            stop.set()
        # Every text was answered or refused; nothing else became of any.
        refused = sum(error["count"] for error in figures["errors"])
        self.assertEqual([error["code"] for error in figures["errors"]], ["RESOURCE_EXHAUSTED"], figures["errors"])
        self.assertGreater(figures["answered"], 0)
        self.assertEqual(figures["answered"] + refused, figures["sent"])
        self.assertEqual(figures["not_sent"], 0)
        self.assertEqual(server.metric("petit_queue_length", model="tiny"), 0)
        self.assertEqual(server.metric("petit_active_sequences", model="tiny"), 0)
        # Calls in flight at once take what they take, for as long or short as it lasts, and leave nothing.
        self.assertLess(server.memory("VmHWM") - before, 512 * MIB)
        self.wait_for(lambda: server.memory() - before < 64 * MIB, "what the calls had taken")
        refusals = sorted(took.result())
        if SOAK_SECONDS:  # a busy machine may let it ask but a few times
            self.assertTrue(refusals)
            p99 = refusals[len(refusals) * 99 // 100]
            print(f"{figures['sent']} texts, {refused} refused; refusals p99 {1000 * p99:.1f} ms; memory "
                  f"{(server.memory('VmHWM') - before) / MIB:+.1f} MiB at the most, "
                  f"{(server.memory() - before) / MIB:+.1f} MiB afterwards", file=sys.stderr)
            self.assertLess(p99, 0.050)
        self.assert_serves(server)

    def test_a_thousand_clients_that_vanish(self):
        server = self.serve_tiny("batching { max_queue_length: 2000 }")
        self.assert_serves(server)
        descriptors, memory = self.descriptors(server), server.memory()
        for _ in range(3 if SOAK_SECONDS else 1):
            clients = subprocess.Popen([sys.executable, HERE / "vanishing_clients.py", server.address, "1000"],
                                       stdout=subprocess.PIPE, text=True)
            self.assertEqual(clients.stdout.readline(), "sent\n")
            self.wait_for(lambda: self.descriptors(server) >= descriptors + 1000, "all connections")
            self.wait_for(lambda: server.metric("petit_active_sequences", model="tiny") > 0, "their work")
            clients.send_signal(signal.SIGKILL)
            clients.wait()
            clients.stdout.close()
            self.wait_for(lambda: server.metric("petit_active_sequences", model="tiny") == 0 and
                          server.metric("petit_queue_length", model="tiny") == 0, "the work to be dropped")
            self.wait_for(lambda: self.descriptors(server) < descriptors + 20, "the connections to go")
        self.assertLess(server.memory() - memory, 256 * MIB)
        self.assert_serves(server)
        self.assertEqual(server.terminate(), 0)

    def test_sigterm_with_64_unary_and_64_streaming_calls(self):
        server = self.serve_tiny("batching { max_rows: 8 max_queue_length: 1000 }",
                                 more=f"drain_timeout_seconds: {PATIENCE_SECONDS}")
        caller = self.client(server)
        options = {"model": "tiny", "source_language": "en", "target_language": "fr", "decoding": LONG}
        unary = caller.method("petit.v1.TranslationService", "Translate")
        futures = [unary.future(unary.request_class(options=options, texts=[f"house {i}"]), timeout=300)
                   for i in range(64)]
        stream = caller.method("petit.v1.TranslationService", "StreamTranslate")
        streams = [stream(iter([stream.request_class(options=options, id=i, text=f"tree {i}")]), timeout=300)
                   for i in range(64)]
        self.wait_for(lambda: server.metric("petit_active_sequences", model="tiny") +
                      server.metric("petit_queue_length", model="tiny") +
                      server.metric("petit_requests_total", method="Translate", code="OK") +
                      server.metric("petit_requests_total", method="StreamTranslate", code="OK") >= 128, "all calls")
        server.process.send_signal(signal.SIGTERM)
        for future in futures:
            self.assertEqual(future.result().results[0].translation.target_tokens, 200)
        for replies in streams:
            self.assertEqual([reply.result.translation.target_tokens for reply in replies], [200])
        self.assertEqual(server.process.wait(PATIENCE_SECONDS), 0)

    def test_it_serves_again_when_there_are_descriptors_again(self):
        config = write_config(self.directory, model_config("tiny", TINY / "v1_1"))
        server = Server(config, wrapper=("prlimit", "--nofile=160:160"))
        self.stack.callback(server.close)
        self.assert_serves(server)
        host, port = server.address.rsplit(":", 1)
        hoard = [socket.create_connection((host, int(port)), timeout=60) for _ in range(300)]
        # Those beyond what there is room for are turned away rather than left waiting.
        closed = 0
        for each in hoard:
            each.settimeout(0.01)
            try:
                closed += each.recv(1) == b""
            except (TimeoutError, socket.timeout):
                pass
            except ConnectionError:
                closed += 1
        self.assertGreater(closed, 100)
        self.assertIn("petit_build_info", server.metrics())  # a scrape still has a descriptor
        for each in hoard:
            each.close()
        released = time.monotonic()
        self.assert_serves(server)
        if SOAK_SECONDS:
            self.assertLess(time.monotonic() - released, 5)

    def test_slow_readers_of_metrics(self):
        server = self.serve_tiny()
        host, port = server.metrics_address.rsplit(":", 1)
        for _ in range(40):
            reader = socket.socket()
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            reader.connect((host, int(port)))
            reader.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            self.stack.callback(reader.close)
        began = time.monotonic()
        self.assertIn("petit_build_info", server.metrics())
        if SOAK_SECONDS:
            self.assertLess(time.monotonic() - began, 1)

    def test_huge_headers_are_refused(self):
        server = self.serve_tiny()
        told = set()
        for size in (64 << 10, 1 << 20, 8 << 20):
            # gRPC ends the connection with the call, so each gets its own; what is still being sent may meet the end
            # before the reason arrives.
            caller = self.client(server, options=(("grpc.use_local_subchannel_pool", 1),))
            call = caller.method("petit.v1.ModelService", "ListModels")
            with self.assertRaises(grpc.RpcError) as refused:
                call(call.request_class(), metadata=(("x-huge", "a" * size),), timeout=60)
            self.assertIn(refused.exception.code(), (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE))
            told.add(refused.exception.code())
            caller.close()
        self.assertIn(grpc.StatusCode.RESOURCE_EXHAUSTED, told)
        self.assert_serves(server)

    def test_rapid_reset(self):
        """Calls reset as soon as they are opened, over connections that come and go."""
        server = self.serve_tiny()
        bystander = self.client(server)
        memory = server.memory()
        stop = threading.Event()
        sent = [0]

        def flood():
            while not stop.is_set():
                connection = raw_http2.Connection(server.address)
                for call in reset_calls(10_000):
                    sent[0] += 1
                    if stop.is_set() or not connection.send(call):
                        break
                connection.close()

        threads = [threading.Thread(target=flood) for _ in range(2)]
        for thread in threads:
            thread.start()
        self.stack.callback(stop.set)
        ends = time.monotonic() + (SOAK_SECONDS / 10)
        while sent[0] < 20000 or time.monotonic() < ends:  # who has a connection is served
            began = time.monotonic()
            bystander.translate("tiny", ["a house"], decoding={"max_new_tokens": 4})
            if SOAK_SECONDS:
                self.assertLess(time.monotonic() - began, 10)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertLess(server.memory("VmHWM") - memory, 1024 * MIB)
        self.wait_for(lambda: server.memory() - memory < 256 * MIB, "what the calls had taken")
        self.assert_serves(server)
        self.assertGreater(server.metric("petit_requests_total", method="Translate", model="unknown", code="CANCELLED"),
                           0)
        self.assertNotIn("code=CANCELLED", server.log())
        self.assertEqual(server.terminate(), 0)

    def reset_without_reading(self, server, path):
        """Resets calls over one connection until the server stops reading, or long enough."""
        connection = raw_http2.Connection(server.address)
        connection.socket.settimeout(1)
        self.stack.callback(connection.close)
        ends = time.monotonic() + (SOAK_SECONDS / 10)
        for sent, call in enumerate(reset_calls(1_000_000, path)):
            if not connection.send(call):  # the server has stopped reading, or hung up
                break
            if sent > 100_000 and time.monotonic() > ends:
                break
        return connection

    def test_rapid_reset_over_one_connection(self):
        """And its client reads nothing, so that gRPC can write to none of these calls that it is over. Each of 100,000
        would take some 15 KiB."""
        for path in (TRANSLATE, *METHODS_OF_GRPC, b"/no.Service/Method"):
            with self.subTest(path=path):
                server = self.serve_tiny()
                bystander = self.client(server)
                memory = server.memory()
                connection = self.reset_without_reading(server, path)
                bystander.translate("tiny", ["a house"], decoding={"max_new_tokens": 4})
                self.assertLess(server.memory("VmHWM") - memory, 512 * MIB)
                if path == TRANSLATE:  # gRPC may keep up with its own
                    self.assertGreater(server.metric("petit_denied_total", reason="max_connection_calls"), 0)
                self.assert_serves(server)
                connection.close()
                self.assertEqual(server.terminate(), 0)


if __name__ == "__main__":
    petit_e2e.unittest.main()
