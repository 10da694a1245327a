"""Servers and workers may be killed at any moment: no job that was acknowledged is lost, no event is missing or told
twice, and the students are the same, bit for bit, as without the kills.

PETIT_CRASHES is the number of kills (default 8), PETIT_CRASH_SEED makes their choice the same again.
"""

import hashlib
import os
import pathlib
import random
import shutil
import threading
import time

import grpc

import petit_e2e
from petit_e2e import Server
from petit_jobs import ENDED, JobsTestCase, kill, state_name, workers_below

CRASHES = int(os.environ.get("PETIT_CRASHES", "8"))
SEED = int(os.environ.get("PETIT_CRASH_SEED", random.randrange(1 << 32)))
# Of a few seconds each, with dropout and many checkpoints.
TRAINING = "dropout: 0.1 checkpoint_seconds: 0.2 eval_steps: 100"
KINDS = [
    {"steps": 400, "training": TRAINING},
    {"steps": 500, "training": TRAINING, "arms": (0.5,), "student": 'model: "student"',
     "extra": "teacher_cache { top_k: 16 }"},
]


class JobCrashes(JobsTestCase):
    def start(self):
        self.server = Server(self.config)
        self.stack.callback(self.server.close)
        self.caller = self.client(self.server)

    def setUp(self):
        super().setUp()
        self.config = self.write_config(jobs="max_attempts: 1000 max_running_per_device: 2 max_ended: 1000")
        self.random = random.Random(SEED)
        self.events = {}  # of each acknowledged job, as they have been told
        self.kinds = {}
        self.wanted = 0  # jobs asked for, acknowledged or not

    def students(self, job):
        """What a job has made: per arm, whether it is the best and the digest of its weights."""
        return {student.arm: (student.best, hashlib.sha256(
            (pathlib.Path(student.checkpoint) / "model.safetensors").read_bytes()).hexdigest())
                for student in job.students}

    def ask_for_a_job(self):
        """One that was not acknowledged is asked for again."""
        kind = self.wanted % len(KINDS)
        job = self.create(self.caller, request_id=f"request {self.wanted}", **KINDS[kind])
        self.assertNotIn(job.name, self.kinds)
        self.kinds[job.name], self.events[job.name] = kind, []
        self.wanted += 1

    def catch_up(self, name, last):
        """Takes over the events up to number `last`."""
        told = self.events[name]
        if len(told) >= last:
            return
        events = self.watch(self.caller, name, after=len(told))
        for event in events:
            self.assertEqual(event.sequence, len(told) + 1)
            told.append(event)
            if len(told) >= last:
                events.cancel()
                return

    def look(self):
        """Keeps two jobs at work and one waiting, and follows all."""
        jobs = self.jobs(self.caller, "ListJobs", page_size=1000).jobs
        names = {job.name for job in jobs}
        self.assertLessEqual(self.kinds.keys(), names)
        self.assertLessEqual(len(names - self.kinds.keys()), 1)  # it may have been stored, though nobody heard so
        for job in jobs:
            if job.name in self.events:
                self.catch_up(job.name, job.last_sequence)
        unfinished = sum(state_name(self.caller, job.state) not in ENDED for job in jobs if job.name in self.kinds)
        if unfinished < 3:
            self.ask_for_a_job()

    def strike(self, victim, struck):
        """Kills at a random moment: of the server's life, or of a worker's."""
        workers, deadline = [], time.monotonic() + 60
        while victim != "server" and not workers and time.monotonic() < deadline:
            while not workers_below(self.directory) and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(self.random.uniform(0, 1.5))
            workers = workers_below(self.directory)
        if victim == "server":
            time.sleep(self.random.uniform(0, 1.5))
        if victim != "worker":
            kill(self.server.process.pid)
        for pid in workers if victim == "all" else workers[:1]:
            kill(pid)
        struck.set()

    def crash(self, victim):
        struck = threading.Event()
        thread = threading.Thread(target=self.strike, args=(victim, struck))
        thread.start()
        try:
            while not struck.is_set():
                self.look()
                time.sleep(0.02)
        except grpc.RpcError as error:
            self.assertIn(error.code(), (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED), error.details())
            self.assertNotEqual(victim, "worker", error.details())
        finally:
            thread.join()
        if victim != "worker":
            self.server.close()
            self.start()

    def test_kills_lose_no_job_and_change_no_student(self):
        print(f"PETIT_CRASHES={CRASHES} PETIT_CRASH_SEED={SEED}", flush=True)
        self.start()
        undisturbed = []
        for kind in KINDS:
            job = self.wait_until_ended(self.caller, self.create(self.caller, **kind).name)
            undisturbed.append(self.students(job))
            self.jobs(self.caller, "DeleteJob", name=job.name)
        shutil.rmtree(self.directory / "jobs/teacher-cache")

        # First a worker that has something to go on from.
        self.ask_for_a_job()
        states = "jobs/*/attempts/*/state/step-*"
        self.wait_for(lambda: any(path.name != "step-0" for path in self.directory.glob(states)), "a checkpoint")
        for number in range(CRASHES):
            self.crash("worker" if number == 0 else self.random.choice(("server", "worker", "all")))

        resumed = 0
        for name, kind in self.kinds.items():
            job = self.wait_until_ended(self.caller, name)
            self.catch_up(name, job.last_sequence)
            # As text: another connection's messages are of another class.
            self.assertEqual(list(map(str, self.watch(self.caller, name))), list(map(str, self.events[name])))
            self.assertEqual([event.sequence for event in self.events[name]], list(range(1, job.last_sequence + 1)))
            starts = [event.log.text for event in self.events[name] if " runs as process " in event.log.text]
            resumed += sum(not text.endswith("from step 0") for text in starts)
            self.assertEqual(self.students(job), undisturbed[kind], f"{name}, kind {kind}, {starts}")
        self.assertGreater(resumed, 0)
        # None was made twice.
        self.assertLessEqual(len(self.jobs(self.caller, "ListJobs", page_size=1000).jobs), self.wanted + 1)
        print(f"{len(self.kinds)} jobs, {resumed} starts of a worker from a checkpoint", flush=True)


if __name__ == "__main__":
    petit_e2e.unittest.main()
