"""Jobs run on a Slurm cluster, several tasks of a job together with the result of one, and outlive the server."""

import os
import subprocess
import unittest

import petit_e2e
from petit_e2e import SOURCE, Server
from petit_jobs import JobsTestCase, kill, workers_below

ENDLESS = 1_000_000  # steps of jobs that are cancelled
SLURM_IS_ABSENT = 77
RESOURCES = "memory_bytes: 1073741824"  # of each task; the node has 4 GiB


class SlurmJobs(JobsTestCase):
    @classmethod
    def setUpClass(cls):
        """A Slurm that lasts as long as its standard input is open."""
        command = [SOURCE / "tests/e2e/slurm/with_slurm.sh", "sh", "-c", 'echo "$SLURM_CONF"; exec cat']
        cls.slurm = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        cls.addClassCleanup(cls.end_slurm)
        cls.slurm_conf = cls.slurm.stdout.readline().strip()
        if not cls.slurm_conf:
            if cls.slurm.wait() == SLURM_IS_ABSENT:
                raise unittest.SkipTest("Slurm is not installed")
            raise AssertionError(f"Slurm did not start: exit status {cls.slurm.returncode}")

    @classmethod
    def end_slurm(cls):
        cls.slurm.stdin.close()
        cls.slurm.wait()
        cls.slurm.stdout.close()

    def setUp(self):
        super().setUp()
        self.stack.callback(self.command, "scancel", "--user", str(os.getuid()))
        self.config = self.write_config(jobs="launcher: SLURM")

    def start(self):
        server = Server(self.config, env={"SLURM_CONF": self.slurm_conf})
        self.stack.callback(server.close)
        return server, self.client(server)

    def command(self, *arguments):
        return subprocess.run(arguments, env={**os.environ, "SLURM_CONF": self.slurm_conf}, check=True,
                              capture_output=True, text=True).stdout

    def check_events(self, caller, job):
        events = list(self.watch(caller, job.name))
        self.assertEqual([event.sequence for event in events], list(range(1, job.last_sequence + 1)))
        return events

    def test_two_tasks_learn_what_one_does(self):
        _, caller = self.start()
        scores = []
        for tasks in (1, 2):
            name = self.create(caller, training="dropout: 0 eval_steps: 20",
                               extra=f"resources {{ tasks: {tasks} {RESOURCES} }}").name
            job = self.wait_until_ended(caller, name)
            self.assertEqual(job.attempt, 1)
            events = self.check_events(caller, job)
            scores.append([event.dev_score for event in events if event.HasField("dev_score")])
            self.assertEqual({student.arm for student in job.students}, {"alpha-0.25", "alpha-0.75"})
        self.assertEqual([score.step for score in scores[0]], [0, 0, 20, 20, 40, 40])
        self.assertEqual(len(scores[1]), len(scores[0]))
        for one, two in zip(*scores):
            self.assertEqual((one.arm, one.set, one.step), (two.arm, two.set, two.step))
            for figure in ("cross_entropy", "kl"):
                self.assertAlmostEqual(getattr(one, figure), getattr(two, figure), delta=1e-4 * getattr(one, figure),
                                       msg=f"{one.arm} {figure} at step {one.step}")
            self.assertAlmostEqual(one.chrf, two.chrf, delta=1e-4 * one.chrf)

    def test_a_job_goes_on_while_the_server_is_dead_and_is_adopted(self):
        server, caller = self.start()
        name = self.create(caller, steps=400, extra=f"resources {{ tasks: 2 {RESOURCES} }}").name
        self.watch_until(caller, name, lambda event: event.HasField("progress"))
        server.close()  # SIGKILL
        _, caller = self.start()
        job = self.wait_until_ended(caller, name)
        self.assertEqual((job.attempt, job.progress.step), (1, 400))
        self.check_events(caller, job)

    def test_a_job_that_lost_a_task_is_started_again(self):
        _, caller = self.start()
        name = self.create(caller, steps=400, training="checkpoint_seconds: 0.2",
                           extra=f"resources {{ tasks: 2 {RESOURCES} }}").name
        self.watch_until(caller, name, lambda event: event.HasField("progress"))
        tasks = workers_below(self.directory)
        kill(max(tasks))
        job = self.wait_until_ended(caller, name)
        self.assertEqual((job.attempt, job.progress.step), (2, 400))
        self.check_events(caller, job)

    def test_a_running_job_can_be_cancelled_by_the_next_server(self):
        server, caller = self.start()
        name = self.create(caller, steps=ENDLESS, extra=f"resources {{ tasks: 2 {RESOURCES} }}").name
        self.watch_until(caller, name, lambda event: event.HasField("progress"))
        server.close()
        _, caller = self.start()
        self.assertEqual(len(workers_below(self.directory)), 2)
        self.assertTrue((self.directory / name / "attempts/1/rendezvous").exists())  # they have met
        before = self.jobs(caller, "GetJob", name=name).progress.step
        self.watch_until(caller, name, lambda event: event.progress.step > before)
        self.jobs(caller, "CancelJob", name=name)
        job = self.wait_until_ended(caller, name, "JOB_STATE_CANCELLED")
        self.assertEqual(job.attempt, 1)
        log = self.directory / name / "attempts/1/worker.log"
        self.assertEqual({student.arm for student in job.students}, {"alpha-0.25", "alpha-0.75"},
                         f"{job}\n{log.read_text()}")
        self.assertEqual(self.command("squeue", "--noheader", "--states=PENDING,RUNNING").strip(), "")


if __name__ == "__main__":
    petit_e2e.unittest.main()
