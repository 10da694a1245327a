"""Distillation is a service: a job trains students, tells what it does, and its best student is served without a stop."""

import hashlib
import json
import pathlib
import re
import threading

import grpc
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import petit_e2e
from petit_e2e import Server, model_config, petit
from petit_jobs import JobsTestCase, state_name, workers_below

ENDLESS = 1_000_000  # steps of jobs that are cancelled
STANDARD_SIGNALS = (1 << 31) - 1  # but not those that the C library keeps for itself


def tensors(checkpoint):
    return hashlib.sha256((pathlib.Path(checkpoint) / "model.safetensors").read_bytes()).hexdigest()


class Distillation(JobsTestCase):
    def test_the_best_student_is_published_and_served_while_clients_translate(self):
        server = self.serve_jobs()
        caller = self.client(server)
        stop, failures, seen = threading.Event(), [], [set(), set(), set()]

        def translate(versions):
            own = self.client(server)
            while not stop.is_set():
                try:
                    results = own.translate("published", ["The house."], decoding={"max_new_tokens": 8}).results
                    versions.add(results[0].translation.model_version)
                except grpc.RpcError as error:
                    failures.append(error)
                    return

        threads = [threading.Thread(target=translate, args=(versions,)) for versions in seen]
        for thread in threads:
            thread.start()
        self.stack.callback(stop.set)
        self.wait_for(lambda: all(seen) or failures, "each client's first translation")

        spec = self.directory / "job.textproto"
        spec.write_text(self.spec_text(extra='publish_as: "published"'))
        name = petit("jobs", "create", "--spec", spec, server=server).stdout.strip()
        self.assertRegex(name, r"^jobs/[a-z0-9]+$")
        watched = petit("jobs", "watch", name, server=server)
        self.assertEqual(watched.returncode, 0)
        self.assertIn("SUCCEEDED", watched.stdout)

        job = self.jobs(caller, "GetJob", name=name)
        self.assertEqual(state_name(caller, job.state), "JOB_STATE_SUCCEEDED")
        self.assertEqual([student.arm for student in job.students], ["alpha-0.25", "alpha-0.75"])
        best, = (student for student in job.students if student.best)
        self.assertEqual([student.published_as for student in job.students if student.published_as], ["published/2"])
        self.assertEqual(best.published_as, "published/2")
        self.assertEqual(caller.models("GetModel", name="published").served_version, 2)
        self.wait_for(lambda: all(2 in versions for versions in seen) or failures, "translations by the new version")
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(seen, [{1, 2}] * 3)
        self.check_checkpoint(self.directory / "models/published/2", best)
        self.assertEqual(server.terminate(), 0)

    def check_checkpoint(self, version, best):
        """A complete checkpoint in Hugging Face's layout, with its model card."""
        for name in ("config.json", "generation_config.json", "model.safetensors", "spiece.model", "README.md"):
            self.assertGreater((version / name).stat().st_size, 0, name)
        self.assertEqual(tensors(version), tensors(best.checkpoint))
        config = json.loads((version / "config.json").read_text())
        self.assertEqual((config["model_type"], config["num_layers"], config["num_decoder_layers"]), ("t5", 3, 1))
        card = (version / "README.md").read_text()
        self.assertIn(f"# Student {best.arm}\n", card)
        self.assertIn("Distilled from `teacher`", card)
        self.assertRegex(card, r"\| dev \| \d+ \| [\d.]+ \| [\d.]+ \| [\d.]+ \| [\d.]+ \|")
        for data in ("train.tsv", "dev.tsv"):
            digest = hashlib.sha256((self.directory / "data" / data).read_bytes()).hexdigest()
            self.assertIn(f"| {data} | {digest} |", card)

    def test_the_curves_can_be_read_with_tensorboard(self):
        caller = self.client(self.serve_jobs())
        name = self.create(caller).name
        events = list(self.watch(caller, name))
        last = [event.progress for event in events if event.HasField("progress")][-1]
        self.assertEqual(last.step, 40)
        for arm in last.arms:
            directory = self.directory / name / "attempts/1/tensorboard" / arm.arm
            curves = EventAccumulator(str(directory)).Reload()
            for tag in ("cross_entropy", "kl", "loss", "learning_rate", "gradient_norm"):
                point = curves.Scalars(f"train/{tag}")[-1]
                self.assertEqual(point.step, 40)
                self.assertAlmostEqual(point.value, getattr(arm, tag), delta=1e-6 * max(1, abs(point.value)))
            told = [event.dev_score for event in events if event.dev_score.arm == arm.arm]
            for tag in ("bleu", "chrf", "cross_entropy", "kl"):
                points = curves.Scalars(f"dev/dev/{tag}")
                self.assertEqual([point.step for point in points], [score.step for score in told])
                for point, score in zip(points, told):
                    self.assertAlmostEqual(point.value, getattr(score, tag), delta=1e-5 * max(1, abs(point.value)))

    def test_a_watch_goes_on_where_it_was_left(self):
        server = self.serve_jobs()
        caller = self.client(server)
        name = self.create(caller, steps=60, training="eval_steps: 5").name
        pieces, ended = [], False
        while not ended:
            events, ended = self.watch(caller, name, after=pieces[-1].sequence if pieces else 0), True
            for count, event in enumerate(events):
                pieces.append(event)
                if count == 2:
                    events.cancel()
                    ended = False
                    break
        whole = list(self.watch(caller, name))
        self.assertEqual([event.sequence for event in pieces], list(range(1, len(whole) + 1)))
        self.assertEqual(pieces, whole)
        self.assertEqual(state_name(caller, whole[-1].state_change.state), "JOB_STATE_SUCCEEDED")
        job = self.jobs(caller, "GetJob", name=name)
        self.assertEqual(job.last_sequence, len(whole))
        self.assertEqual([event.student for event in whole if event.HasField("student")], list(job.students))
        self.assertEqual(list(self.watch(caller, name, after=len(whole))), [])
        times = [event.time.ToNanoseconds() for event in whole if event.HasField("dev_score")]  # the worker's
        self.assertEqual(times, sorted(times))
        self.assertGreater(len({time % 10**9 for time in times}), 1, "times are of whole seconds")
        shown = petit("jobs", "watch", name, "--after", len(whole) - 1, "--json", server=server)
        self.assertEqual(len(shown.stdout.splitlines()), 1)

    def test_each_arms_losses_are_told_apart_while_the_job_runs_and_forgotten_afterwards(self):
        server = self.serve_jobs()
        caller = self.client(server)
        name = self.create(caller, steps=ENDLESS, extra="loss { temperature: 2 }").name
        identity = name.removeprefix("jobs/")
        told = [self.watch_until(caller, name, lambda event: event.HasField("progress")).progress]
        self.assertEqual([arm.arm for arm in told[0].arms], ["alpha-0.25", "alpha-0.75"])
        for arm, alpha in zip(told[0].arms, (0.25, 0.75)):
            self.assertGreater(arm.cross_entropy, 0)
            self.assertGreater(arm.kl, 0)
            expected = alpha * 4 * arm.kl + (1 - alpha) * arm.cross_entropy
            self.assertAlmostEqual(arm.loss, expected, delta=1e-6 * expected)

        def figures():
            return {(arm, term): server.metric("petit_job_loss", job=identity, arm=arm, term=term)
                    for arm in ("alpha-0.25", "alpha-0.75") for term in ("cross_entropy", "kl")}

        now = self.wait_for(lambda: (found := figures()) and all(found.values()) and found, "series of the job")
        self.assertEqual(len(set(now.values())), 4, now)
        self.assertGreater(server.metric("petit_job_step", job=identity), 0)
        self.assertEqual(server.metric("petit_jobs", state="RUNNING"), 1)
        self.jobs(caller, "CancelJob", name=name)
        self.wait_until_ended(caller, name, "JOB_STATE_CANCELLED")
        self.wait_for(lambda: f'job="{identity}"' not in server.metrics(), "the end of the series")
        self.wait_for(lambda: server.metric("petit_jobs", state="CANCELLED") == 1, "the count of jobs")
        self.assertEqual(server.metric("petit_jobs", state="RUNNING"), 0)
        # What was in the series has been in an event.
        events = [event.progress for event in self.watch(caller, name) if event.HasField("progress")]
        for (arm, term), value in now.items():
            values = [getattr(part, term) for progress in events for part in progress.arms if part.arm == arm]
            nearest = min(values, key=lambda other: abs(value - other))
            self.assertAlmostEqual(value, nearest, delta=1e-5 * nearest, msg=f"{arm} {term}")

    def test_jobs_are_made_once_listed_got_cancelled_and_deleted(self):
        server = self.serve_jobs()
        caller = self.client(server)
        first = self.create(caller, request_id="a", steps=ENDLESS).name
        self.assertEqual(self.create(caller, request_id="a", steps=ENDLESS).name, first)
        with self.assert_rpc_error(grpc.StatusCode.ALREADY_EXISTS, "a", first):
            self.create(caller, request_id="a", steps=ENDLESS - 1)
        self.watch_until(caller, first, lambda event: event.HasField("progress"))
        others = [self.create(caller, steps=ENDLESS).name for _ in range(2)]
        names = [*reversed(others), first]
        self.assertEqual(self.list_names(caller), names)
        paged = self.jobs(caller, "ListJobs", page_size=2)
        self.assertEqual([job.name for job in paged.jobs], names[:2])
        rest = self.jobs(caller, "ListJobs", page_size=2, page_token=paged.next_page_token)
        self.assertEqual(([job.name for job in rest.jobs], rest.next_page_token), (names[2:], ""))
        listed = json.loads(petit("jobs", "list", "--json", server=server).stdout)
        self.assertEqual([(job["name"], job["state"]) for job in listed],
                         list(zip(names, ("QUEUED", "QUEUED", "RUNNING"))))

        # One that waits ends at once, one that runs when its worker has stopped.
        petit("jobs", "cancel", others[0], server=server)
        self.assertEqual(state_name(caller, self.jobs(caller, "GetJob", name=others[0]).state), "JOB_STATE_CANCELLED")
        with self.assert_rpc_error(grpc.StatusCode.FAILED_PRECONDITION, first):
            self.jobs(caller, "DeleteJob", name=first)
        self.jobs(caller, "CancelJob", name=others[1])
        petit("jobs", "cancel", first, server=server)
        watched = petit("jobs", "watch", first, server=server, check=False)
        self.assertEqual((watched.returncode, "CANCELLED" in watched.stderr), (1, True), watched)
        with self.assert_rpc_error(grpc.StatusCode.FAILED_PRECONDITION, "CANCELLED"):
            self.jobs(caller, "CancelJob", name=first)

        directory = self.directory / first
        self.assertTrue(directory.exists())
        petit("jobs", "delete", first, server=server)
        self.assertFalse(directory.exists())
        with self.assert_rpc_error(grpc.StatusCode.NOT_FOUND, first):
            self.jobs(caller, "GetJob", name=first)
        with self.assert_rpc_error(grpc.StatusCode.NOT_FOUND, first):
            list(self.watch(caller, first))
        self.assertEqual(self.list_names(caller), names[:2])

    def test_no_handler_of_a_signal_runs_where_models_compute(self):
        """Its frame would lie where the kernels of LibTorch's oneDNN keep data: below a stack pointer that points into
        the heap."""
        server = self.serve_jobs()
        caller = self.client(server)
        name = self.create(caller, steps=ENDLESS).name
        self.watch_until(caller, name, lambda event: event.HasField("progress"))
        caller.translate("teacher", ["The book is large."])
        [worker] = workers_below(self.directory)
        for pid in (server.process.pid, worker):
            threads = list(pathlib.Path(f"/proc/{pid}/task").iterdir())
            self.assertGreater(len(threads), 1)
            for thread in threads:
                try:
                    status = (thread / "status").read_text()
                except OSError:  # it has ended
                    continue
                blocked, caught = (int(re.search(rf"^{field}:\s+(\w+)$", status, re.M)[1], 16)
                                   for field in ("SigBlk", "SigCgt"))
                self.assertEqual(caught & ~blocked & STANDARD_SIGNALS, 0, status)
        self.jobs(caller, "CancelJob", name=name)
        self.wait_until_ended(caller, name, "JOB_STATE_CANCELLED")

    def test_what_a_cancelled_job_leaves_can_be_served(self):
        caller = self.client(self.serve_jobs())
        early = self.create(caller, steps=ENDLESS).name
        self.wait_for(lambda: self.jobs(caller, "GetJob", name=early).attempt == 1, "the start of the job")
        self.jobs(caller, "CancelJob", name=early)
        late = self.create(caller, steps=ENDLESS, training="eval_steps: 3").name
        self.watch_until(caller, late, lambda event: event.dev_score.step > 0)
        self.jobs(caller, "CancelJob", name=late)
        left = [student for name in (early, late)
                for student in self.wait_until_ended(caller, name, "JOB_STATE_CANCELLED").students]
        self.assertEqual([student.arm for student in left[-2:]], ["alpha-0.25", "alpha-0.75"])
        self.assertEqual([student.published_as for student in left], [""] * len(left))
        body = "".join(model_config(f"left{i}", student.checkpoint) for i, student in enumerate(left))
        (self.directory / "other").mkdir()
        other = Server(petit_e2e.write_config(self.directory / "other", body))
        self.stack.callback(other.close)
        for i in range(len(left)):
            results = self.client(other).translate(f"left{i}", ["The book is large."]).results
            self.assertGreater(results[0].translation.target_tokens, 0)

    def test_a_second_job_reads_the_teacher_from_the_cache(self):
        caller = self.client(self.serve_jobs())
        forwards, students = [], []
        for _ in range(2):
            job = self.wait_until_ended(caller, self.create(caller, extra="teacher_cache { top_k: 8 }").name)
            forwards.append(job.progress.teacher_forwards)
            students.append([tensors(student.checkpoint) for student in job.students])
        self.assertGreater(forwards[0], 0)
        self.assertEqual(forwards[1], 0)
        self.assertEqual(students[0], students[1])

    def test_a_server_without_jobs_says_so(self):
        caller = self.client(self.serve(model_config("teacher", petit_e2e.TINY / "v1_1")))
        with self.assert_rpc_error(grpc.StatusCode.FAILED_PRECONDITION, "jobs"):
            self.jobs(caller, "ListJobs")


if __name__ == "__main__":
    petit_e2e.unittest.main()
