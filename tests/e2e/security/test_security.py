"""Tokens and roles, on every method; limits of each client; and no token anywhere in the log."""

import concurrent.futures
import os
import subprocess
import threading

import grpc

import petit_e2e
from petit_e2e import BIN, TINY, model_config, new_token, petit

ROLES = ("TRANSLATE", "SCORE", "OPERATE", "TRAIN")

# The role that each method needs; None: any known client may call it. A method that is missing here fails a test.
NEEDS = {
    "/petit.v1.TranslationService/Translate": "TRANSLATE",
    "/petit.v1.TranslationService/StreamTranslate": "TRANSLATE",
    "/petit.v1.TranslationService/Score": "SCORE",
    "/petit.v1.ModelService/ListModels": None,
    "/petit.v1.ModelService/GetModel": None,
    "/petit.v1.ModelService/GetServerInfo": None,
    "/petit.v1.ModelService/LoadModel": "OPERATE",
    "/petit.v1.ModelService/UnloadModel": "OPERATE",
    "/petit.v1.ModelService/SetServedVersion": "OPERATE",
    "/petit.v1.JobService/CreateJob": "TRAIN",
    "/petit.v1.JobService/GetJob": "TRAIN",
    "/petit.v1.JobService/ListJobs": "TRAIN",
    "/petit.v1.JobService/CancelJob": "TRAIN",
    "/petit.v1.JobService/DeleteJob": "TRAIN",
    "/petit.v1.JobService/PublishStudent": "TRAIN",
    "/petit.v1.JobService/WatchJob": "TRAIN",
    "/inference.GRPCInferenceService/ServerLive": None,
    "/inference.GRPCInferenceService/ServerReady": None,
    "/inference.GRPCInferenceService/ModelReady": None,
    "/inference.GRPCInferenceService/ServerMetadata": None,
    "/inference.GRPCInferenceService/ModelMetadata": None,
    "/inference.GRPCInferenceService/ModelInfer": "TRANSLATE",
    "/grpc.health.v1.Health/Check": "health",
    "/grpc.health.v1.Health/Watch": "health",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": None,
}


class Security(petit_e2e.TestCase):
    def setUp(self):
        super().setUp()
        self.tokens, self.entries = {}, {}
        for name, roles in {"all": ROLES, **{role.lower(): (role,) for role in ROLES}}.items():
            self.tokens[name], self.entries[name] = new_token(name, *roles)

    def secured(self, more="", auth=""):
        """A server that knows `all` and a client of each role."""
        (self.directory / "data").mkdir(exist_ok=True)
        return self.serve(f"""
            {model_config("tiny", TINY / "v1_1")}
            jobs {{ root: "jobs" data_root: "data" }}
            auth {{ {"".join(self.entries.values())} {auth} }}
            {more}""")

    def outcome(self, channel, path, metadata=()):
        """The call's status code and message; an empty message is sent, which no method likes too well."""
        call = channel.stream_stream(path)(iter([b""]), metadata=metadata, timeout=60)
        try:
            for _ in call:
                call.cancel()  # one answer is enough; Watch has no end
                return grpc.StatusCode.OK, ""
            return call.code(), call.details()
        except grpc.RpcError:
            return call.code(), call.details()

    def channel(self, server):
        channel = grpc.insecure_channel(server.address)
        self.stack.callback(channel.close)
        return channel

    def methods(self, client):
        services = [client.pool.FindServiceByName(name) for name in client.services()]
        return [f"/{service.full_name}/{method.name}" for service in services for method in service.methods]


class Tokens(Security):
    def test_every_method_is_for_whom_it_is_meant_and_nobody_else(self):
        server = self.secured()
        client = self.client(server, token=self.tokens["all"])
        self.assertEqual(sorted(self.methods(client)), sorted(NEEDS))
        channel = self.channel(server)
        for path, needed in NEEDS.items():
            code, details = self.outcome(channel, path)
            self.assertEqual(code == grpc.StatusCode.UNAUTHENTICATED, needed != "health", (path, code, details))
            code, details = self.outcome(channel, path, [("authorization", "Bearer petit_wrong")])
            self.assertEqual(code == grpc.StatusCode.UNAUTHENTICATED, needed != "health", (path, code, details))
            for name in ("all", *map(str.lower, ROLES)):
                code, details = self.outcome(channel, path, [("authorization", f"Bearer {self.tokens[name]}")])
                self.assertNotEqual(code, grpc.StatusCode.UNAUTHENTICATED, (path, name, details))
                denied = needed in ROLES and name not in ("all", needed.lower())
                self.assertEqual(code == grpc.StatusCode.PERMISSION_DENIED, denied, (path, name, code, details))
                if denied:
                    self.assertIn(f"client {name} lacks the role {needed} that this method needs", details)
        code, details = self.outcome(channel, "/petit.v1.TranslationService/None",
                                     [("authorization", f"Bearer {self.tokens['all']}")])
        self.assertEqual(code, grpc.StatusCode.UNIMPLEMENTED, details)
        for reason in ("no_credentials", "bad_token", "no_role", "no_method"):
            self.assertGreater(server.metric("petit_denied_total", reason=reason), 0, reason)
        log = server.log()
        for token in (*self.tokens.values(), "petit_wrong"):
            self.assertNotIn(token, log)
        self.assertNotIn("Bearer", log)
        self.assertRegex(log, r"GetServerInfo request=\w+ .*client=score\b")

    def test_health_can_be_closed_too(self):
        server = self.secured(auth="health_without_token: false")
        channel = self.channel(server)
        code, _ = self.outcome(channel, "/grpc.health.v1.Health/Check")
        self.assertEqual(code, grpc.StatusCode.UNAUTHENTICATED)
        code, _ = self.outcome(channel, "/grpc.health.v1.Health/Check",
                               [("authorization", f"Bearer {self.tokens['score']}")])
        self.assertEqual(code, grpc.StatusCode.OK)

    def test_two_tokens_on_one_connection_are_two_clients(self):
        channel = self.channel(server := self.secured())
        path = "/petit.v1.JobService/ListJobs"
        for name in ("train", "score", "train", "score"):
            code, _ = self.outcome(channel, path, [("authorization", f"Bearer {self.tokens[name]}")])
            self.assertEqual(code, grpc.StatusCode.OK if name == "train" else grpc.StatusCode.PERMISSION_DENIED)
        code, _ = self.outcome(channel, path)
        self.assertEqual(code, grpc.StatusCode.UNAUTHENTICATED)
        code, _ = self.outcome(channel, path, 2 * [("authorization", f"Bearer {self.tokens['train']}")])
        self.assertEqual(code, grpc.StatusCode.UNAUTHENTICATED)
        self.assertIn("client=train", server.log())

    def test_the_file_of_clients_is_read_again(self):
        file = self.directory / "clients.textproto"
        first, first_entry = new_token("first", "TRANSLATE")
        second, second_entry = new_token("second", "TRANSLATE")
        file.write_text(first_entry)
        server = self.secured(auth='clients_file: "clients.textproto" reload_seconds: 0.05')
        channel = self.channel(server)

        def known(token):
            code, _ = self.outcome(channel, "/petit.v1.ModelService/ListModels", [("authorization", f"Bearer {token}")])
            return code == grpc.StatusCode.OK

        self.assertTrue(known(first))
        self.assertFalse(known(second))
        file.write_text("client { this is no textproto")
        self.wait_until(lambda: "the clients read before stay" in server.log())
        self.assertTrue(known(first))
        next_file = self.directory / "next"
        next_file.write_text(second_entry)
        next_file.rename(file)
        self.wait_until(lambda: known(second))
        self.assertFalse(known(first))
        self.assertTrue(known(self.tokens["all"]))
        self.assertEqual(server.log().count("the clients read before stay"), 1)

    def test_anonymous_callers_get_their_roles(self):
        server = self.serve(model_config("tiny", TINY / "v1_1") + "auth { anonymous_role: TRANSLATE }",
                            listen="0.0.0.0:0")
        client = petit_e2e.Client(f"127.0.0.1:{server.address.rsplit(':')[1]}")
        self.stack.callback(client.close)
        self.assertEqual(len(client.translate("tiny", ["a package"]).results), 1)
        with self.assert_rpc_error(grpc.StatusCode.UNAUTHENTICATED, "authorization: Bearer TOKEN"):
            client.models("UnloadModel", name="tiny")
        self.assertRegex(server.log(), r"Translate request=\w+ .*client=127\.0\.0\.1\b")

    def test_the_command_sends_its_token(self):
        server = self.secured()
        token_file = self.directory / "token"
        token_file.write_text(self.tokens["translate"] + "\n")
        self.assertEqual(petit("translate", "--token-file", token_file, "a package", server=server).returncode, 0)
        self.assertIn("tiny", petit("models", "list", "--token-file", token_file, server=server).stdout)
        refused = petit("translate", "a package", server=server, check=False)
        self.assertEqual(refused.returncode, 4)
        self.assertIn("--token-file or PETIT_TOKEN_FILE", refused.stderr)
        refused = petit("jobs", "list", "--token-file", token_file, server=server, check=False)
        self.assertIn("client translate lacks the role TRAIN", refused.stderr)
        for variable, value in (("PETIT_TOKEN", self.tokens["score"]), ("PETIT_TOKEN_FILE", str(token_file))):
            done = subprocess.run([BIN / "petit", "info"], capture_output=True, text=True,
                                  env={**os.environ, "PETIT_SERVER": server.address, variable: value})
            self.assertEqual(done.returncode, 0, done.stderr)
        elsewhere = petit("info", "--server", "petit.example:1", "--token-file", token_file, check=False)
        self.assertEqual(elsewhere.returncode, 2)
        self.assertIn("not sent to petit.example:1 in plain text", elsewhere.stderr)

    def test_a_token_is_written_where_nobody_else_can_read_it(self):
        out = self.directory / "app.token"
        made = petit("token", "new", "--name", "app", "--role", "translate", "--role", "SCORE", "--out", out)
        self.assertEqual(made.stderr, "")
        self.assertRegex(made.stdout, r'^client { name: "app" role: TRANSLATE role: SCORE token_sha256: "[0-9a-f]{64}" }$')
        self.assertEqual(out.stat().st_mode & 0o777, 0o600)
        self.assertRegex(out.read_text(), r"^petit_[\w-]{43}\n$")
        again = petit("token", "new", "--name", "app", "--role", "SCORE", "--out", out, check=False)
        self.assertEqual(again.returncode, 2)
        self.assertIn("exists", again.stderr)
        for bad in (("--name", "1st", "--role", "SCORE"), ("--name", "a", "--role", "ROOT"), ("--name", "a")):
            self.assertEqual(petit("token", "new", *bad, check=False).returncode, 2, bad)

    def test_tokens_in_plain_text_are_a_mistake_beyond_this_machine(self):
        config = petit_e2e.write_config(self.directory, f"""
            {model_config("tiny", TINY / "v1_1")} auth {{ {self.entries["all"]} }}""", listen="0.0.0.0:0")
        refused = subprocess.run([BIN / "petit-server", "--config", config], capture_output=True, text=True)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("petit.textproto:1:1: listen is 0.0.0.0:0, which other machines reach", refused.stderr)
        config = petit_e2e.write_config(self.directory, f"""
            {model_config("tiny", TINY / "v1_1")} auth {{ {self.entries["all"]} }}""")
        refused = subprocess.run([BIN / "petit-server", "--config", config, "--listen", "0.0.0.0:0"],
                                 capture_output=True, text=True)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("add tls {", refused.stderr)


class Limits(Security):
    def test_requests_beyond_the_rate_are_told_when_to_come_back(self):
        server = self.secured("limits { client { requests_per_second: 0.001 burst: 3 } }")
        path = "/petit.v1.ModelService/ListModels"
        channel = self.channel(server)
        score = [("authorization", f"Bearer {self.tokens['score']}")]
        for _ in range(3):
            self.assertEqual(self.outcome(channel, path, score)[0], grpc.StatusCode.OK)
        call = channel.unary_unary(path)
        with self.assert_rpc_error(grpc.StatusCode.RESOURCE_EXHAUSTED, "limits.client.requests_per_second") as caught:
            call(b"", metadata=score, timeout=60)
        details = dict(caught.exception.trailing_metadata())["grpc-status-details-bin"]
        self.assertIn(b"google.rpc.RetryInfo", details)
        self.assertEqual(self.outcome(channel, path, [("authorization", f"Bearer {self.tokens['train']}")])[0],
                         grpc.StatusCode.OK)
        self.assertEqual(self.outcome(channel, "/grpc.health.v1.Health/Check")[0], grpc.StatusCode.OK)
        self.assertEqual(server.metric("petit_denied_total", reason="requests_per_second"), 1)

    def test_a_stream_is_slowed_down_rather_than_refused(self):
        server = self.secured("limits { client { requests_per_second: 50 burst: 5 max_texts_in_flight: 2 } }")
        client = self.client(server, token=self.tokens["translate"])
        stream = client.method("petit.v1.TranslationService", "StreamTranslate")
        options = {"model": "tiny", "source_language": "en", "target_language": "fr",
                   "decoding": {"max_new_tokens": 4}}
        requests = [stream.request_class(options=options),
                    *(stream.request_class(id=i, text=f"text {i}") for i in range(40))]
        answers = {reply.id: reply.result for reply in stream(iter(requests), timeout=120)}
        self.assertEqual(sorted(answers), list(range(40)))
        self.assertTrue(all(answer.HasField("translation") for answer in answers.values()))

    def test_texts_in_flight_are_bounded(self):
        server = self.secured("limits { client { max_texts_in_flight: 2 } }")
        client = self.client(server, token=self.tokens["all"])
        self.assertEqual(len(client.translate("tiny", ["a", "b"]).results), 2)
        with self.assert_rpc_error(grpc.StatusCode.INVALID_ARGUMENT, "limits.client.max_texts_in_flight"):
            client.translate("tiny", ["a", "b", "c"])
        with self.assert_rpc_error(grpc.StatusCode.INVALID_ARGUMENT, "limits.client.max_texts_in_flight"):
            client.call("petit.v1.TranslationService", "Score", model="tiny", source_language="en",
                        target_language="fr", pairs=3 * [{"source": "a", "target": "b"}])

    def test_a_flood_is_held_back_for_another_client(self):
        server = self.secured()
        flood, polite = (self.client(server, token=self.tokens[name]) for name in ("translate", "all"))
        decoding = {"max_new_tokens": 128, "min_new_tokens": 128}

        def one():
            return polite.translate("tiny", ["a package"], decoding=decoding).results[0].translation.text

        expected = one()
        self.assertEqual(server.metric("petit_held_sequences_total", model="tiny"), 0)
        enough = threading.Event()

        def send_many():
            while not enough.is_set():
                results = flood.translate("tiny", 64 * ["a package"], decoding=decoding).results
                self.assertTrue(all(result.HasField("translation") for result in results))

        with concurrent.futures.ThreadPoolExecutor() as pool:
            sender = pool.submit(send_many)
            try:
                self.wait_until(lambda: one() == expected
                                and server.metric("petit_held_sequences_total", model="tiny") > 0)
            finally:
                enough.set()
            sender.result()


if __name__ == "__main__":
    petit_e2e.unittest.main()
