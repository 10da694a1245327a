"""Each line of a JSON log is an object that tells whose call it was, and nothing that a client sends can break a line."""

import datetime
import json
import subprocess

import grpc

import petit_e2e
from petit_e2e import BIN, TINY, model_config, write_config

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"


class Logs(petit_e2e.TestCase):
    def start(self, extra="log_format: JSON\n"):
        self.server = self.serve(extra + model_config("tiny", TINY / "v1_1"))
        self.caller = self.client(self.server)

    def call(self, request_id, metadata=(), model="tiny", texts=("a house",), **options):
        call = self.caller.method("petit.v1.TranslationService", "Translate")
        request = call.request_class(
            options={"model": model, "source_language": "en", "target_language": "fr",
                     "decoding": {"max_new_tokens": 4}, **options}, texts=texts)
        _, done = call.with_call(request, timeout=120, metadata=[("x-request-id", request_id), *metadata])
        return done

    def entries(self):
        """Every line, parsed; the server has ended, so that all are there."""
        if self.server.process.poll() is None:
            self.assertEqual(self.server.terminate(), 0)
        text = self.server.log()
        self.assertTrue(text.endswith("\n"))
        lines = text.splitlines()  # at every kind of line end that Unicode has
        self.assertEqual(len(lines), text.count("\n"))
        entries = [json.loads(line) for line in lines]
        for entry in entries:
            self.assertLessEqual({"time", "level", "message"}, entry.keys())
            time = datetime.datetime.fromisoformat(entry["time"])
            self.assertEqual(time.utcoffset(), datetime.timedelta(0))
        return entries

    def entry(self, request_id):
        found = [entry for entry in self.entries() if entry.get("request_id") == request_id]
        self.assertEqual(len(found), 1, request_id)
        return found[0]

    def test_a_call_has_its_fields(self):
        self.start()
        self.call("one", [("traceparent", TRACEPARENT), ("tracestate", "vendor=x")], texts=["a house", "a tree"])
        entry = self.entry("one")
        self.assertEqual({key: entry[key] for key in ("level", "method", "model", "code", "texts", "trace_id", "span_id")},
                         {"level": "info", "method": "Translate", "model": "tiny", "code": "OK", "texts": 2,
                          "trace_id": TRACE, "span_id": SPAN})
        self.assertGreater(entry["seconds"], 0)
        self.assertNotIn("error", entry)
        self.assertNotIn("tracestate", json.dumps(entry))

    def test_failed_calls_tell_why(self):
        self.start()
        with self.assert_rpc_error(grpc.StatusCode.NOT_FOUND):
            self.call("lost", model="nobody")
        entry = self.entry("lost")
        self.assertEqual((entry["code"], entry["model"]), ("NOT_FOUND", "nobody"))
        self.assertIn("nobody", entry["error"])

    def test_every_kind_of_call_takes_the_trace(self):
        self.start()
        metadata = [("traceparent", TRACEPARENT)]
        stream = self.caller.method("petit.v1.TranslationService", "StreamTranslate")
        options = {"model": "tiny", "source_language": "en", "target_language": "fr", "decoding": {"max_new_tokens": 4}}
        list(stream(iter([stream.request_class(options=options), stream.request_class(id=1, text="a")]), timeout=120,
                    metadata=metadata))
        score = self.caller.method("petit.v1.TranslationService", "Score")
        score(score.request_class(model="tiny", source_language="en", target_language="fr",
                                  pairs=[{"source": "a", "target": "b"}]), timeout=120, metadata=metadata)
        models = self.caller.method("petit.v1.ModelService", "ListModels")
        models(models.request_class(), timeout=120, metadata=metadata)
        live = self.caller.method("inference.GRPCInferenceService", "ServerLive")
        live(live.request_class(), timeout=120, metadata=metadata)
        watch = self.caller.method("petit.v1.JobService", "WatchJob")
        with self.assert_rpc_error(grpc.StatusCode.FAILED_PRECONDITION):  # this server runs no jobs
            list(watch(watch.request_class(name="jobs/x"), timeout=120, metadata=metadata))
        traced = {entry["method"] for entry in self.entries() if entry.get("trace_id") == TRACE}
        self.assertEqual(traced, {"StreamTranslate", "Score", "ListModels", "ServerLive", "WatchJob"})

    def test_a_trace_that_is_none_is_ignored(self):
        self.start()
        bad = ["", "garbage", TRACEPARENT.upper(), TRACEPARENT + "-more", f"00-{'0' * 32}-{SPAN}-01", f"ff-{TRACE}-{SPAN}-01"]
        for i, header in enumerate(bad):
            self.call(f"bad{i}", [("traceparent", header)])
        for entry in self.entries():
            self.assertNotIn("trace_id", entry)
            self.assertNotIn("span_id", entry)

    def test_the_trace_goes_to_the_log_alone(self):
        self.start()
        done = self.call("quiet", [("traceparent", TRACEPARENT)])
        sent = [*done.initial_metadata(), *done.trailing_metadata()]
        self.assertNotIn("traceparent", dict(sent))
        self.assertFalse([pair for pair in sent if TRACE in str(pair)])

    def hostile_calls(self):
        for i, name in enumerate(['a"\n{"level":"error"}', "line\u2028and\u0085next\r\n", "\x00\x1b[31m", "{}%s{0}"]):
            with self.assert_rpc_error(grpc.StatusCode.NOT_FOUND):
                self.call(f"hostile{i}", model=name)
            with self.assert_rpc_error(grpc.StatusCode.INVALID_ARGUMENT):
                self.call(f"pair{i}", target_language=name)
        # Bad UTF-8, which Python's protobuf would not send: TranslateRequest { options { model: "\xff\n" } }.
        raw = self.caller.channel.unary_unary("/petit.v1.TranslationService/Translate")
        with self.assert_rpc_error(grpc.StatusCode.INVALID_ARGUMENT):
            raw(b"\x0a\x04\x0a\x02\xff\n", timeout=120, metadata=[("x-request-id", "utf8")])

    def test_nothing_that_a_client_sends_breaks_a_line_of_json(self):
        self.start()
        self.hostile_calls()
        seen = {entry.get("request_id") for entry in self.entries()}
        for i in range(4):
            self.assertLessEqual({f"hostile{i}", f"pair{i}"}, seen)
        self.assertIn("utf8", seen)

    def test_nothing_that_a_client_sends_breaks_a_line_of_text(self):
        self.start(extra="")
        self.hostile_calls()
        self.call("last", [("traceparent", TRACEPARENT)])
        self.assertEqual(self.server.terminate(), 0)
        for line in self.server.log().splitlines():
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d (info|warning|error) \S")
        self.assertRegex(self.server.log(), rf"Translate request=last model=tiny code=OK texts=1 seconds=\S+ trace={TRACE} "
                                            rf"span={SPAN}( |$|\n)")

    def test_a_failed_start_is_an_entry_too(self):
        path = write_config(self.directory, "log_format: JSON\n" + model_config("tiny", TINY / "v1_1", 'device: "cuda:7"'))
        done = subprocess.run([BIN / "petit-server", "--config", path], capture_output=True, text=True, timeout=120)
        self.assertNotEqual(done.returncode, 0)
        entries = [json.loads(line) for line in done.stderr.splitlines()]
        self.assertEqual(entries[-1]["level"], "critical")
        self.assertIn("cuda:7", entries[-1]["message"])


if __name__ == "__main__":
    petit_e2e.unittest.main()
