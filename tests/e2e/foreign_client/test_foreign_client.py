"""A client that is not ours, and knows nothing but the port, translates, streams, scores and lists models."""

import petit_e2e
from petit_e2e import TINY, model_config


class ForeignClient(petit_e2e.TestCase):
    def setUp(self):
        super().setUp()
        self.server = self.serve(model_config("new", TINY / "v1_1") + model_config("old", TINY / "v1_0"))
        self.foreign = self.client(self.server)

    def test_reflection_lists_the_services(self):
        services = self.foreign.services()
        for name in ("petit.v1.TranslationService", "petit.v1.ModelService", "petit.v1.JobService",
                     "grpc.health.v1.Health"):
            self.assertIn(name, services)

    def test_translates_many_texts_in_order(self):
        texts = ["the house is small", "a package", "the house is small"]
        response = self.foreign.translate("new", texts, decoding={"max_new_tokens": 12})
        self.assertEqual(len(response.results), 3)
        first, second, third = (result.translation for result in response.results)
        self.assertEqual(first.text, third.text)
        self.assertGreater(first.source_tokens, second.source_tokens)
        self.assertEqual((first.model, first.model_version), ("new", 1))
        self.assertRegex(first.model_digest, "^[0-9a-f]{64}$")
        self.assertGreater(first.timing.total.ToNanoseconds(), 0)
        self.assertLessEqual(first.target_tokens, 12)

    def test_streams_every_text_back_under_its_id(self):
        stream = self.foreign.method("petit.v1.TranslationService", "StreamTranslate")
        options = {"model": "old", "source_language": "en", "target_language": "fr",
                   "decoding": {"max_new_tokens": 8}}
        def requests():
            yield stream.request_class(options=options)
            for i in range(100):
                yield stream.request_class(id=i, text=f"text number {i}")
        answers = {reply.id: reply.result for reply in stream(requests(), timeout=120)}
        self.assertEqual(sorted(answers), list(range(100)))
        self.assertTrue(all(answer.HasField("translation") for answer in answers.values()))

    def test_scores_with_zero_divergence_from_itself(self):
        response = self.foreign.call(
            "petit.v1.TranslationService", "Score", model="new", reference_model="new", source_language="en",
            target_language="fr", pairs=[{"source": "the house", "target": "la maison"}])
        score = response.results[0].score
        self.assertEqual(len(score.token_log_probs), len(score.target_ids))
        self.assertEqual(score.target_ids[-1], 1)
        self.assertTrue(all(value < 0 for value in score.token_log_probs))
        self.assertTrue(all(abs(value) < 1e-6 for value in score.token_kl))
        other = self.foreign.call(
            "petit.v1.TranslationService", "Score", model="new", reference_model="old", source_language="en",
            target_language="fr", pairs=[{"source": "the house", "target": "la maison"}])
        self.assertTrue(all(value > 1e-3 for value in other.results[0].score.token_kl))

    def test_lists_models_with_what_they_cost(self):
        models = self.foreign.models("ListModels").models
        self.assertEqual([model.name for model in models], ["models/new", "models/old"])
        version = models[0].versions[0]
        self.assertEqual((version.version, version.precision, version.device, version.executor),
                         (1, "FP32", "cpu", "TORCH"))
        self.assertGreater(version.parameters, 1000)
        self.assertEqual(version.bytes_in_memory, 4 * version.parameters)
        self.assertGreater(version.bytes_on_disk, 1000)

    def test_health_is_known_for_service_and_model(self):
        # gRPC's own health service brings no descriptor for reflection: HealthCheckRequest { string service = 1 }.
        check = self.foreign.channel.unary_unary("/grpc.health.v1.Health/Check")
        for service in (b"", b"liveness", b"petit.v1.TranslationService", b"models/new"):
            self.assertEqual(check(b"\x0a" + bytes([len(service)]) + service, timeout=60), b"\x08\x01", service)

    def test_every_reply_carries_the_request_id(self):
        call = self.foreign.method("petit.v1.ModelService", "ListModels")
        _, done = call.with_call(call.request_class(), metadata=[("x-request-id", "abc-123")])
        self.assertIn(("x-request-id", "abc-123"), [tuple(pair) for pair in done.trailing_metadata()])


if __name__ == "__main__":
    petit_e2e.unittest.main()
