"""SIGTERM with calls in flight: all that were admitted finish, new ones are turned away, and the server exits with 0."""

import signal
import threading

import grpc

import petit_e2e
from petit_e2e import TINY, model_config

LONG = {"max_new_tokens": 200, "min_new_tokens": 199}


class GracefulShutdown(petit_e2e.TestCase):
    def test_unary_and_streaming_calls_in_flight_finish(self):
        server = self.serve(model_config("tiny", TINY / "v1_1", "batching { max_rows: 8 max_queue_length: 1000 }"))
        caller = self.client(server)
        unary = caller.method("petit.v1.TranslationService", "Translate")
        options = {"model": "tiny", "source_language": "en", "target_language": "fr", "decoding": LONG}
        futures = [unary.future(unary.request_class(options=options, texts=[f"house {i}"]), timeout=300)
                   for i in range(64)]
        # The stream stays half open until its answers are here: what was sent is answered, then the stream ends.
        stream = caller.method("petit.v1.TranslationService", "StreamTranslate")
        answered = threading.Event()

        def requests():
            for i in range(32):
                yield stream.request_class(options=options, id=i, text=f"tree {i}")
            answered.wait(300)

        replies = stream(requests(), timeout=300)
        first = next(replies)  # the server works by now
        self.assertTrue(first.result.HasField("translation"))
        server.process.send_signal(signal.SIGTERM)
        streamed = {first.id}
        for _ in range(31):
            reply = next(replies)
            self.assertTrue(reply.result.HasField("translation"), reply)
            streamed.add(reply.id)
        answered.set()
        self.assertEqual(len(streamed), 32)
        for future in futures:
            self.assertEqual(future.result().results[0].translation.target_tokens, 200)
        self.assertEqual(server.process.wait(60), 0)
        self.assertIn("drain", server.log().lower())

    def test_an_idle_server_exits_at_once_with_zero(self):
        server = self.serve(model_config("tiny", TINY / "v1_1"))
        self.assertEqual(server.terminate(), 0)

    def test_after_the_end_nobody_answers(self):
        server = self.serve(model_config("tiny", TINY / "v1_1"))
        caller = self.client(server)
        self.assertTrue(caller.translate("tiny", ["a"]).results)
        self.assertEqual(server.terminate(), 0)
        with self.assert_rpc_error(grpc.StatusCode.UNAVAILABLE):
            caller.translate("tiny", ["a"], timeout=10)


if __name__ == "__main__":
    petit_e2e.unittest.main()
