"""Clients that leave or run out of time stop costing at once, and the server is empty afterwards."""

import grpc

import petit_e2e
from petit_e2e import TINY, model_config

ENDLESS = {"max_new_tokens": 512, "min_new_tokens": 511}


class Cancellation(petit_e2e.TestCase):
    def setUp(self):
        super().setUp()
        self.server = self.serve(model_config("tiny", TINY / "v1_1", "batching { max_rows: 4 max_queue_length: 1000 }"))
        self.caller = self.client(self.server)
        self.options = {"model": "tiny", "source_language": "en", "target_language": "fr", "decoding": ENDLESS}

    def settled(self):
        """True once nothing is active or queued; bounded by the work that one short translation takes."""
        for _ in range(200):
            self.caller.translate("tiny", ["a"], decoding={"max_new_tokens": 1})
            if (self.server.metric("petit_active_sequences", model="tiny") == 0 and
                    self.server.metric("petit_queue_length", model="tiny") == 0):
                return True
        return False

    def test_cancelled_calls_leave_nothing_behind(self):
        unary = self.caller.method("petit.v1.TranslationService", "Translate")
        futures = [unary.future(unary.request_class(options=self.options, texts=["house"] * 60), timeout=300)
                   for _ in range(16)]
        # A call that is cancelled on its way never reaches the server, and is not counted there.
        while self.caller.models("GetServerInfo").texts_accepted < 16 * 60:
            pass
        for future in futures:
            future.cancel()
        self.assertTrue(self.settled())
        made = self.server.metric("petit_target_tokens_total", model="tiny")
        self.assertLess(made, 16 * 60 * 512 / 2)
        self.assertEqual(self.server.metric("petit_requests_total", method="Translate", code="CANCELLED"), 16)

    def test_a_stream_that_vanishes_frees_its_rows(self):
        stream = self.caller.method("petit.v1.TranslationService", "StreamTranslate")
        replies = stream((stream.request_class(options=self.options, id=i, text=f"house {i}") for i in range(40)),
                         timeout=300)
        next(replies)
        replies.cancel()
        self.assertTrue(self.settled())

    def test_the_deadline_stops_the_work(self):
        with self.assert_rpc_error(grpc.StatusCode.DEADLINE_EXCEEDED):
            self.caller.translate("tiny", ["house"] * 200, timeout=0.2, decoding=ENDLESS)
        self.assertTrue(self.settled())


if __name__ == "__main__":
    petit_e2e.unittest.main()
