"""What the end-to-end tests share: real servers, and a gRPC client that learns the services by reflection alone."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import unittest
import urllib.request

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

BIN = pathlib.Path(os.environ["PETIT_BIN"])
SOURCE = pathlib.Path(os.environ["PETIT_SOURCE"])
TINY = SOURCE / "tests/data/tiny"  # two complete checkpoints with random weights
DEMO = SOURCE / "deploy/demo/models"

PROMPT_EN_FR = 'prompt { source: "en" target: "fr" prefix: "translate English to French: " }'
PROMPT_FR_EN = 'prompt { source: "fr" target: "en" prefix: "translate French to English: " }'


def model_config(name, checkpoint, extra=""):
    return f'model {{ name: "{name}" checkpoint: "{checkpoint}" {PROMPT_EN_FR} {PROMPT_FR_EN} {extra} }}\n'


def write_config(directory, body, listen="127.0.0.1:0", metrics="127.0.0.1:0"):
    path = pathlib.Path(directory) / "petit.textproto"
    path.write_text(f'listen: "{listen}"\nmetrics_listen: "{metrics}"\n{body}')
    return path


class Server:
    """A petit-server process. Ready once constructed; its log is in `log_path`. `wrapper` is a command that ends by
    executing the one which follows it."""

    def __init__(self, config_path, env=None, wrapper=()):
        self.log_path = pathlib.Path(config_path).with_suffix(".log")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*wrapper, BIN / "petit-server", "--config", str(config_path)], stdout=subprocess.PIPE, stderr=log,
                text=True, env={**os.environ, **(env or {})})
        self.address = self.metrics_address = None
        while self.address is None or self.metrics_address is None:
            line = self.process.stdout.readline()
            if not line:
                raise AssertionError(f"the server ended with {self.process.wait()}:\n{self.log()}")
            if match := re.match(r"(listening|metrics) on (\S+)", line):
                if match[1] == "listening":
                    self.address = match[2]
                else:
                    self.metrics_address = match[2]

    def log(self):
        return self.log_path.read_text(errors="replace")

    def terminate(self):
        """SIGTERM, and the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def metrics(self):
        with urllib.request.urlopen(f"http://{self.metrics_address}/metrics", timeout=60) as reply:
            return reply.read().decode()

    def metric(self, name, **labels):
        """Sum of the series of this name that carry these labels; 0 if there are none."""
        total = 0.0
        for line in self.metrics().splitlines():
            match = re.match(r"(\w+)(?:\{(.*)\})? (\S+)$", line)
            if match and match[1] == name:
                found = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
                if all(found.get(key) == value for key, value in labels.items()):
                    total += float(match[3])
        return total

    def memory(self, field="VmRSS"):
        """A figure of /proc/PID/status in bytes."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s+(\d+) kB", status, re.M)[1]) * 1024


class TokenInterceptor(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor,
                       grpc.StreamUnaryClientInterceptor, grpc.StreamStreamClientInterceptor):
    """Sends a token with every call, reflection's too."""

    def __init__(self, token):
        self.token = token

    def intercept(self, continuation, details, request):
        metadata = [*(details.metadata or ()), ("authorization", f"Bearer {self.token}")]
        return continuation(details._replace(metadata=metadata), request)

    intercept_unary_unary = intercept_unary_stream = intercept_stream_unary = intercept_stream_stream = intercept


class Client:
    """Calls by reflection: nothing of Petit's protos is compiled in. `credentials` of a secure channel."""

    def __init__(self, address, token=None, credentials=None, options=()):
        self.channel = (grpc.secure_channel(address, credentials, options) if credentials
                        else grpc.insecure_channel(address, options))
        grpc.channel_ready_future(self.channel).result(timeout=60)
        if token is not None:
            self.channel = grpc.intercept_channel(self.channel, TokenInterceptor(token))
        self.database = ProtoReflectionDescriptorDatabase(self.channel)
        self.pool = descriptor_pool.DescriptorPool(self.database)

    def close(self):
        self.channel.close()

    def services(self):
        return sorted(self.database.get_services())

    def message(self, name, **fields):
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(name))(**fields)

    def method(self, service, method):
        """A grpc callable that takes keyword fields, or for client streams an iterator of messages."""
        descriptor = self.pool.FindServiceByName(service).FindMethodByName(method)
        request = message_factory.GetMessageClass(descriptor.input_type)
        response = message_factory.GetMessageClass(descriptor.output_type)
        path = f"/{service}/{method}"
        kind = ("stream" if descriptor.client_streaming else "unary") + "_" + (
            "stream" if descriptor.server_streaming else "unary")
        call = getattr(self.channel, kind)(path, request_serializer=request.SerializeToString,
                                           response_deserializer=response.FromString)
        call.request_class = request
        return call

    def call(self, rpc_service, rpc_method, /, timeout=120, **fields):
        call = self.method(rpc_service, rpc_method)
        return call(call.request_class(**fields), timeout=timeout)

    def translate(self, model, texts, timeout=120, **options):
        options = {"source_language": "en", "target_language": "fr", **options}
        return self.call("petit.v1.TranslationService", "Translate", timeout=timeout,
                         options={"model": model, **options}, texts=texts)

    def models(self, method, /, **fields):
        return self.call("petit.v1.ModelService", method, **fields)


def petit(*arguments, server=None, stdin=None, check=True):
    """Runs the `petit` command; returns the finished process with its text."""
    command = [str(BIN / "petit"), *map(str, arguments)]
    env = {**os.environ, **({"PETIT_SERVER": server.address} if server else {})}
    done = subprocess.run(command, input=stdin, capture_output=True, env=env)
    done.stdout, done.stderr = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def new_token(name, *roles):
    """(token, the client's entry), as `petit token new` makes them."""
    made = petit("token", "new", "--name", name, *(word for role in roles for word in ("--role", role)))
    return re.search(r"petit_\S+", made.stderr)[0], made.stdout


class TestCase(unittest.TestCase):
    """Cleans up servers, clients and directories."""

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.directory = pathlib.Path(self.stack.enter_context(tempfile.TemporaryDirectory()))

    def serve(self, body, **options):
        server = Server(write_config(self.directory, body, **options))
        self.stack.callback(server.close)
        return server

    def client(self, server, **options):
        client = Client(server.address, **options)
        self.stack.callback(client.close)
        return client

    def wait_until(self, condition):
        deadline = time.monotonic() + 60
        while not condition():
            self.assertLess(time.monotonic(), deadline, "waited in vain")
            time.sleep(0.02)

    @contextlib.contextmanager
    def assert_rpc_error(self, code, *fragments):
        """The block ends with this gRPC code and a message that holds each fragment."""
        with self.assertRaises(grpc.RpcError) as caught:
            yield caught
        self.assertEqual(caught.exception.code(), code, caught.exception.details())
        for fragment in fragments:
            self.assertIn(fragment, caught.exception.details())
