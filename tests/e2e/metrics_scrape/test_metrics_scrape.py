"""/metrics tells what the server does, counts failures too, and answers while others hold half-sent requests."""

import socket

import grpc

import petit_e2e
from petit_e2e import TINY, model_config


class MetricsScrape(petit_e2e.TestCase):
    def test_series_move_with_the_work(self):
        server = self.serve(model_config("tiny", TINY / "v1_1"))
        caller = self.client(server)
        self.assertEqual(server.metric("petit_model_ready", model="tiny"), 1)
        self.assertGreater(server.metric("petit_model_bytes", model="tiny"), 1000)
        self.assertEqual(server.metric("petit_model_info", model="tiny", version="1", precision="FP32", device="cpu",
                                       executor="TORCH"), 1)
        self.assertEqual(server.metric("petit_build_info"), 1)
        before = server.metric("petit_target_tokens_total", model="tiny")
        done = caller.translate("tiny", ["a house", "a tree"], decoding={"max_new_tokens": 8})
        tokens = sum(result.translation.target_tokens for result in done.results)
        self.assertEqual(server.metric("petit_target_tokens_total", model="tiny") - before, tokens)
        self.assertEqual(server.metric("petit_requests_total", method="Translate", model="tiny", code="OK"), 1)
        for histogram in ("petit_request_seconds", "petit_queue_seconds", "petit_first_token_seconds",
                          "petit_step_seconds", "petit_step_sequences"):
            self.assertGreater(server.metric(histogram + "_count", model="tiny"), 0, histogram)
        self.assertEqual(server.metric("petit_active_sequences", model="tiny"), 0)
        self.assertGreater(server.metric("process_resident_memory_bytes"), 1 << 20)

    def test_failures_are_counted_and_unknown_names_are_not_labels(self):
        server = self.serve(model_config("tiny", TINY / "v1_1"))
        caller = self.client(server)
        for name in ("nobody", "nobody2"):
            with self.assert_rpc_error(grpc.StatusCode.NOT_FOUND):
                caller.translate(name, ["a"])
        self.assertEqual(server.metric("petit_requests_total", model="unknown", code="NOT_FOUND"), 2)
        self.assertNotIn("nobody", server.metrics())
        self.assertEqual(server.metric("petit_request_seconds_count", model="unknown"), 2)

    def test_half_sent_requests_do_not_block_a_scrape(self):
        server = self.serve(model_config("tiny", TINY / "v1_1"))
        host, port = server.metrics_address.rsplit(":", 1)
        for _ in range(3):
            half = self.stack.enter_context(socket.create_connection((host, int(port))))
            half.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
        self.assertIn("petit_build_info", server.metrics())


if __name__ == "__main__":
    petit_e2e.unittest.main()
