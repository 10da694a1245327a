"""A damaged checkpoint costs its own model only; the error names file and tensor."""

import json
import shutil
import struct

import grpc

import petit_e2e
from petit_e2e import TINY, model_config


class BadCheckpoint(petit_e2e.TestCase):
    def damaged(self, name, change):
        target = self.directory / name
        shutil.copytree(TINY / "v1_1", target)
        change(target)
        return model_config(name, target)

    def test_the_others_serve_and_the_error_says_where(self):
        def truncate(directory):
            path = directory / "model.safetensors"
            path.write_bytes(path.read_bytes()[:-100])

        def lie(directory):  # a shape that the configuration does not ask for
            path = directory / "model.safetensors"
            data = path.read_bytes()
            (length,) = struct.unpack("<Q", data[:8])
            header = json.loads(data[8:8 + length])
            shape = header["shared.weight"]["shape"]
            header["shared.weight"]["shape"] = [shape[1], shape[0]]
            text = json.dumps(header).encode()
            path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length:])

        def no_tokenizer(directory):
            (directory / "spiece.model").write_bytes(b"not a model")

        server = self.serve(self.damaged("cut", truncate) + self.damaged("liar", lie) +
                            self.damaged("mute", no_tokenizer) + model_config("good", TINY / "v1_1"))
        caller = self.client(server)
        self.assertTrue(caller.translate("good", ["a house"]).results[0].translation.target_tokens)
        for name, fragments in (("cut", ["model.safetensors"]), ("liar", ["model.safetensors", "shared.weight"]),
                                ("mute", ["spiece.model"])):
            version = caller.models("GetModel", name=name).versions[0]
            self.assertEqual(version.state, 5, version)  # FAILED
            for fragment in fragments:
                self.assertIn(fragment, version.error)
            with self.assert_rpc_error(grpc.StatusCode.UNAVAILABLE, name):
                caller.translate(name, ["a house"])
            with self.assert_rpc_error(grpc.StatusCode.INVALID_ARGUMENT, *fragments):
                caller.models("LoadModel", name=name)
        # A mended checkpoint loads without a restart.
        shutil.copy(TINY / "v1_1" / "model.safetensors", self.directory / "cut" / "model.safetensors")
        caller.models("LoadModel", name="cut")
        self.assertTrue(caller.translate("cut", ["a house"]).results)

    def test_a_tokenizer_with_another_digest_is_refused(self):
        server = self.serve(model_config("tiny", TINY / "v1_1", f'tokenizer_sha256: "{"0" * 64}"'))
        version = self.client(server).models("GetModel", name="tiny").versions[0]
        self.assertEqual(version.state, 5)
        self.assertIn("spiece.model", version.error)


if __name__ == "__main__":
    petit_e2e.unittest.main()
