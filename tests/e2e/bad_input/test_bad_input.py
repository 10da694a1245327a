"""Every bad request gets its code and a message that says what would be right, and the server goes on serving."""

import grpc

import petit_e2e
from petit_e2e import TINY, model_config

INVALID = grpc.StatusCode.INVALID_ARGUMENT


class BadInput(petit_e2e.TestCase):
    def setUp(self):
        super().setUp()
        self.server = self.serve(
            model_config("tiny", TINY / "v1_1", "max_source_tokens: 64 load_later: false") +
            model_config("later", TINY / "v1_0", "load_later: true") + "limits { max_text_bytes: 2000 }")
        self.caller = self.client(self.server)

    def tearDown(self):
        # Whatever was sent: the server still translates.
        self.assertTrue(self.caller.translate("tiny", ["a house"], decoding={"max_new_tokens": 4}).results)

    def test_unknown_model_lists_the_known(self):
        with self.assert_rpc_error(grpc.StatusCode.NOT_FOUND, "nobody", "tiny", "later"):
            self.caller.translate("nobody", ["a"])

    def test_unknown_version(self):
        with self.assert_rpc_error(grpc.StatusCode.NOT_FOUND, "7"):
            self.caller.translate("tiny/versions/7", ["a"])

    def test_unloaded_model_is_unavailable(self):
        with self.assert_rpc_error(grpc.StatusCode.UNAVAILABLE, "later"):
            self.caller.translate("later", ["a"])

    def test_language_pair_lists_the_configured(self):
        with self.assert_rpc_error(INVALID, "en", "ko", "fr"):
            self.caller.translate("tiny", ["a"], target_language="ko")

    def test_empty_text(self):
        with self.assert_rpc_error(INVALID, "empty"):
            self.caller.translate("tiny", [""])

    def test_no_texts(self):
        with self.assert_rpc_error(INVALID, "texts"):
            self.caller.translate("tiny", [])

    def test_text_over_the_byte_limit(self):
        with self.assert_rpc_error(INVALID, "2000"):
            self.caller.translate("tiny", ["a" * 2001])

    def test_text_over_the_token_limit(self):
        with self.assert_rpc_error(INVALID, "64"):
            self.caller.translate("tiny", ["house " * 100])

    def test_one_bad_text_does_not_lose_the_others(self):
        results = self.caller.translate("tiny", ["a house", "", "a house"], decoding={"max_new_tokens": 4}).results
        self.assertEqual(results[0].translation.text, results[2].translation.text)
        self.assertEqual(results[1].error.code, INVALID.value[0])

    def test_invalid_utf8_names_field_and_offset(self):
        options = self.caller.message("petit.v1.TranslateRequest", options={
            "model": "tiny", "source_language": "en", "target_language": "fr"}).SerializeToString()
        raw = options + b"\x12\x02ok" + b"\x12\x03ab\x80"
        call = self.caller.channel.unary_unary("/petit.v1.TranslationService/Translate")
        with self.assert_rpc_error(INVALID, "UTF-8", "texts[1]"):
            call(raw, timeout=60)

    def test_garbage_instead_of_a_message(self):
        call = self.caller.channel.unary_unary("/petit.v1.TranslationService/Translate")
        with self.assert_rpc_error(INVALID):
            call(b"\xff\xff\xff\xff", timeout=60)

    def test_bad_options_say_what_is_right(self):
        for decoding, fragment in (
                ({"max_new_tokens": 0}, "max_new_tokens"), ({"max_new_tokens": 100000}, "512"),
                ({"num_beams": 0}, "num_beams"), ({"num_beams": 1000}, "16"),
                ({"repetition_penalty": 0.0}, "repetition_penalty"), ({"do_sample": True, "top_p": 1.5}, "top_p"),
                ({"do_sample": True, "temperature": 0.0}, "temperature"),
                ({"do_sample": True, "num_beams": 2}, "num_beams"),
                ({"length_penalty": float("nan")}, "length_penalty"),
                ({"no_repeat_ngram_size": -1}, "no_repeat_ngram_size")):
            with self.subTest(decoding), self.assert_rpc_error(INVALID, fragment):
                self.caller.translate("tiny", ["a"], decoding=decoding)

    def test_more_alternatives_than_beams(self):
        with self.assert_rpc_error(INVALID, "num_alternatives"):
            self.caller.translate("tiny", ["a"], num_alternatives=3, decoding={"num_beams": 2})

    def test_a_server_without_jobs_says_what_to_configure(self):
        with self.assert_rpc_error(grpc.StatusCode.FAILED_PRECONDITION, "data_root"):
            self.caller.call("petit.v1.JobService", "ListJobs")


class FullQueue(petit_e2e.TestCase):
    def test_full_queue_says_when_to_come_back(self):
        server = self.serve(model_config(
            "tiny", TINY / "v1_1", "batching { max_queue_length: 2 mode: ONE_AT_A_TIME }"))
        caller = self.client(server)
        with self.assert_rpc_error(grpc.StatusCode.RESOURCE_EXHAUSTED, "queue") as caught:
            caller.translate("tiny", ["a house"] * 200, decoding={"max_new_tokens": 16})
        details = [value for key, value in caught.exception.trailing_metadata() if key == "grpc-status-details-bin"]
        self.assertEqual(len(details), 1)
        status = caller.message("google.rpc.Status")
        status.ParseFromString(details[0])
        self.assertTrue(status.details[0].type_url.endswith("google.rpc.RetryInfo"))
        self.assertTrue(caller.translate("tiny", ["a house"]).results)


if __name__ == "__main__":
    petit_e2e.unittest.main()
