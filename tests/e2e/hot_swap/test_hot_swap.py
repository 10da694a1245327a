"""Models come, go and change version while others serve, without a failed request and without growing the process."""

import shutil
import threading

import grpc

import petit_e2e
from petit_e2e import DEMO, PROMPT_EN_FR, TINY, Server, model_config, write_config

MiB = 1 << 20


class HotSwap(petit_e2e.TestCase):
    def versioned(self):
        root = self.directory / "root"
        for version, source in ((1, "v1_0"), (2, "v1_1")):
            shutil.copytree(TINY / source, root / "student" / str(version))
        return (f'model_root: "{root}"\nmodel {{ name: "student" version_policy {{ latest {{}} }} replicas: 2 {PROMPT_EN_FR} }}\n' +
                model_config("other", TINY / "v1_1"))

    def test_switching_versions_under_load_fails_no_request(self):
        server = self.serve(self.versioned())
        caller = self.client(server)
        self.assertEqual(caller.models("GetModel", name="student").served_version, 2)  # the latest
        stop, failures, versions = threading.Event(), [], set()

        def load(model):
            own = self.client(server)
            while not stop.is_set():
                try:
                    result = own.translate(model, ["a small house"], decoding={"max_new_tokens": 12}).results[0]
                    versions.add((model, result.translation.model_version))
                except grpc.RpcError as error:
                    failures.append(error)

        threads = [threading.Thread(target=load, args=(model,)) for model in ("student", "student", "other")]
        for thread in threads:
            thread.start()
        for version in (1, 2) * 5:
            model = caller.models("SetServedVersion", name="student", version=version)
            self.assertEqual(model.served_version, version)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(versions, {("student", 1), ("student", 2), ("other", 1)})

    def test_replicas_share_the_weights_and_a_requests_texts(self):
        texts = [f"The {adjective} house is {other}." for adjective in ("small", "large", "old", "new")
                 for other in ("blue", "red")]
        memory, results = [], []
        for replicas in (1, 4):
            directory = self.directory / str(replicas)
            directory.mkdir()
            server = Server(write_config(directory, model_config("demo", DEMO / "teacher", f"replicas: {replicas}")))
            self.stack.callback(server.close)
            caller = self.client(server)
            version, = caller.models("GetModel", name="demo").versions
            self.assertEqual(version.replicas, replicas)
            results.append([result.translation.text for result in caller.translate("demo", texts).results])
            memory.append(server.memory())
        self.assertEqual(*results)
        self.assertLess(memory[1] - memory[0], version.bytes_in_memory)

    def test_the_served_version_survives_a_restart(self):
        config = write_config(self.directory, self.versioned())
        for served in (2, 1):
            server = Server(config)
            self.stack.callback(server.close)
            caller = self.client(server)
            self.assertEqual(caller.models("GetModel", name="student").served_version, served)
            caller.models("SetServedVersion", name="student", version=1)
            self.assertEqual(server.terminate(), 0)

    def test_a_version_that_does_not_load_leaves_the_old_one_serving(self):
        server = self.serve(self.versioned())
        caller = self.client(server)
        broken = self.directory / "root" / "student" / "3"
        shutil.copytree(TINY / "v1_0", broken)
        (broken / "model.safetensors").write_bytes(b"\0" * 100)
        with self.assert_rpc_error(grpc.StatusCode.INVALID_ARGUMENT, "model.safetensors"):
            caller.models("SetServedVersion", name="student", version=3)
        self.assertEqual(caller.models("GetModel", name="student").served_version, 2)
        self.assertEqual(caller.translate("student", ["a house"]).results[0].translation.model_version, 2)
        with self.assert_rpc_error(grpc.StatusCode.NOT_FOUND, "4"):
            caller.models("SetServedVersion", name="student", version=4)

    def test_unloaded_models_come_back(self):
        server = self.serve(self.versioned())
        caller = self.client(server)
        caller.models("UnloadModel", name="student")
        self.assertEqual(server.metric("petit_model_ready", model="student"), 0)
        with self.assert_rpc_error(grpc.StatusCode.UNAVAILABLE, "student"):
            caller.translate("student", ["a"])
        self.assertTrue(caller.translate("other", ["a"]).results)
        caller.models("LoadModel", name="student")
        self.assertEqual(server.metric("petit_model_ready", model="student"), 1)
        self.assertTrue(caller.translate("student", ["a"]).results)

    def test_twenty_cycles_grow_the_process_by_at_most_16_mib(self):
        server = self.serve(model_config("teacher", petit_e2e.DEMO / "teacher") + model_config("other", TINY / "v1_1"))
        caller = self.client(server)

        def cycle():
            caller.models("UnloadModel", name="teacher")
            caller.models("LoadModel", name="teacher")
            caller.translate("teacher", ["This package contains the documentation."])

        caller.translate("teacher", ["This package contains the documentation."])
        before = server.memory()
        for _ in range(20):
            cycle()
        self.assertLessEqual(server.memory() - before, 16 * MiB)


if __name__ == "__main__":
    petit_e2e.unittest.main()
