"""A client of another project's making, Triton's, translates unchanged through the Open Inference Protocol."""

import numpy
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2, service_pb2_grpc

import grpc

import petit_e2e
from petit_e2e import TINY, model_config

TEXTS = ["the house is small", "une maison, déjà"]


def text_tensor(texts, shape, name="text"):
    tensor = triton.InferInput(name, shape, "BYTES")
    tensor.set_data_from_numpy(numpy.array([text.encode() for text in texts], dtype=object).reshape(shape))
    return tensor


FINISH_REASON_LENGTH = 2  # petit.v1.FinishReason


class OpenInference(petit_e2e.TestCase):
    def setUp(self):
        super().setUp()
        self.server = self.serve(model_config("tiny", TINY / "v1_1") +
                                 model_config("later", TINY / "v1_0", "load_later: true"))
        self.triton = triton.InferenceServerClient(self.server.address)
        self.stack.callback(self.triton.close)

    def expected(self, texts, **options):
        """What Translate says."""
        return [result.translation
                for result in self.client(self.server).translate("tiny", texts, **options).results]

    def test_liveness_readiness_and_metadata(self):
        self.assertTrue(self.triton.is_server_live())
        self.assertTrue(self.triton.is_server_ready())
        self.assertTrue(self.triton.is_model_ready("tiny"))
        self.assertTrue(self.triton.is_model_ready("tiny", "1"))
        self.assertFalse(self.triton.is_model_ready("later"))
        self.assertEqual(self.triton.get_server_metadata().name, "petit")
        metadata = self.triton.get_model_metadata("tiny")
        self.assertEqual((metadata.name, list(metadata.versions)), ("tiny", ["1"]))
        self.assertEqual([(tensor.name, tensor.datatype) for tensor in metadata.outputs],
                         [("translation", "BYTES"), ("score", "FP32"), ("target_tokens", "INT32"),
                          ("finish_reason", "BYTES")])

    def test_translates_as_translate_does(self):
        for shape in ([2], [2, 1]):
            result = self.triton.infer("tiny", [text_tensor(TEXTS, shape)], request_id="7",
                                       parameters={"max_new_tokens": 6})
            expected = self.expected(TEXTS, decoding={"max_new_tokens": 6})
            self.assertEqual(result.as_numpy("translation").shape, tuple(shape))
            self.assertEqual([text.decode() for text in result.as_numpy("translation").flatten()],
                             [translation.text for translation in expected])
            self.assertEqual(list(result.as_numpy("score").flatten()),
                             [numpy.float32(translation.score) for translation in expected])
            self.assertEqual(list(result.as_numpy("target_tokens").flatten()),
                             [translation.target_tokens for translation in expected])
            self.assertEqual(list(result.as_numpy("finish_reason").flatten()),
                             [b"LENGTH" if translation.finish_reason == FINISH_REASON_LENGTH else b"EOS"
                              for translation in expected])
            self.assertEqual((result.get_response().id, result.get_response().model_version), ("7", "1"))

    def test_languages_and_decoding_are_the_requests(self):
        inputs = [text_tensor(TEXTS, [2, 1]), text_tensor(["fr", "fr"], [2, 1], "source_language"),
                  text_tensor(["en", "en"], [2, 1], "target_language")]
        result = self.triton.infer("tiny", inputs, model_version="1", outputs=[triton.InferRequestedOutput("translation")],
                                   parameters={"max_new_tokens": 8, "num_beams": 3, "length_penalty": 0.5})
        expected = self.expected(TEXTS, source_language="fr", target_language="en",
                                 decoding={"max_new_tokens": 8, "num_beams": 3, "length_penalty": 0.5})
        self.assertEqual([text.decode() for text in result.as_numpy("translation").flatten()],
                         [translation.text for translation in expected])
        self.assertIsNone(result.as_numpy("score"))
        by_parameters = self.triton.infer("tiny", [text_tensor(TEXTS, [2])],
                                          parameters={"source_language": "fr", "target_language": "en",
                                                      "max_new_tokens": 8, "num_beams": 3, "length_penalty": 0.5})
        self.assertEqual(list(by_parameters.as_numpy("translation")), list(result.as_numpy("translation").flatten()))

    def test_typed_contents_are_answered_typed(self):
        stub = service_pb2_grpc.GRPCInferenceServiceStub(self.client(self.server).channel)
        request = service_pb2.ModelInferRequest(model_name="tiny")
        tensor = request.inputs.add(name="text", datatype="BYTES", shape=[2])
        tensor.contents.bytes_contents.extend(text.encode() for text in TEXTS)
        request.parameters["max_new_tokens"].int64_param = 6
        response = stub.ModelInfer(request, timeout=120)
        self.assertFalse(response.raw_output_contents)
        expected = self.expected(TEXTS, decoding={"max_new_tokens": 6})
        self.assertEqual([text.decode() for text in response.outputs[0].contents.bytes_contents],
                         [translation.text for translation in expected])
        self.assertEqual(list(response.outputs[2].contents.int_contents),
                         [translation.target_tokens for translation in expected])

    def assert_refused(self, code, fragment, *arguments, **options):
        with self.assertRaises(triton.InferenceServerException) as caught:
            self.triton.infer(*arguments, **options)
        self.assertEqual(caught.exception.status(), f"StatusCode.{code}")
        self.assertIn(fragment, caught.exception.message())

    def test_errors_are_translates(self):
        text = text_tensor(TEXTS, [2])
        self.assert_refused("NOT_FOUND", "tiny", "nobody", [text])
        self.assert_refused("NOT_FOUND", "9", "tiny", [text], model_version="9")
        self.assert_refused("UNAVAILABLE", "later", "later", [text])
        self.assert_refused("INVALID_ARGUMENT", "texts[1]: the text is empty", "tiny", [text_tensor(["a", ""], [2])])
        self.assert_refused("INVALID_ARGUMENT", "en to fr, fr to en", "tiny", [text],
                            parameters={"target_language": "ko"})
        self.assert_refused("INVALID_ARGUMENT", "there is no parameter \"beams\"", "tiny", [text],
                            parameters={"beams": 2})
        self.assert_refused("INVALID_ARGUMENT", "at most 512", "tiny", [text], parameters={"max_new_tokens": 513})
        with self.assertRaises(triton.InferenceServerException) as caught:
            self.triton.is_model_ready("nobody")
        self.assertEqual(caught.exception.status(), "StatusCode.NOT_FOUND")

    def test_is_counted_like_any_call(self):
        self.triton.infer("tiny", [text_tensor(TEXTS, [2])], parameters={"max_new_tokens": 4})
        self.assertEqual(self.server.metric("petit_requests_total", method="ModelInfer", model="tiny", code="OK"), 1)
        self.assertEqual(self.server.metric("petit_target_tokens_total", model="tiny"), 8)
        self.assertRegex(self.server.log(), r"ModelInfer request=\w+ model=tiny code=OK texts=2 ")

    def test_a_client_that_gives_up_ends_the_work(self):
        with self.assertRaises(triton.InferenceServerException) as caught:
            self.triton.infer("tiny", [text_tensor(["word " * 20] * 64, [64])], client_timeout=0.02,
                              parameters={"max_new_tokens": 512, "num_beams": 16})
        self.assertEqual(caught.exception.status(), "StatusCode.DEADLINE_EXCEEDED")


if __name__ == "__main__":
    petit_e2e.unittest.main()
