"""What the end-to-end tests of distillation jobs share: data, configurations, specs, watching, and leftover workers."""

import os
import pathlib
import shutil
import signal
import time

import grpc
from google.protobuf import text_format

import petit_e2e
from petit_e2e import PROMPT_EN_FR, TINY, model_config, write_config

# How long a condition may take to come true on a machine that does much else.
PATIENCE_SECONDS = 240

NOUNS = [("house", "maison"), ("book", "lettre"), ("kitchen", "cuisine"), ("cat", "chatte"), ("week", "semaine")]
ADJECTIVES = [("small", "petite"), ("large", "grande"), ("cold", "froide"), ("free", "gratuite")]
PAIRS = [(f"The {noun} is {adjective}{end}", f"La {nom} est {adjectif}{end}")
         for noun, nom in NOUNS for adjective, adjectif in ADJECTIVES for end in (".", " !")]

ENDED = ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED")


def state_name(client, state):
    return client.pool.FindEnumTypeByName("petit.v1.JobState").values_by_number[state].name


def write_pairs(path, pairs):
    path.write_text("".join(f"{source}\t{target}\n" for source, target in pairs))


def workers_below(directory):
    """Process ids of the petit-workers whose task lies below this directory."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:  # it has ended
                continue
            is_worker = arguments[0].endswith(b"petit-worker") and b"--task" in arguments[:-1]
            task = arguments[arguments.index(b"--task") + 1] if is_worker else b""
            if task.startswith(os.fsencode(directory) + b"/"):
                found.append(int(entry.name))
    return found


def kill(pid):
    """SIGKILL to a process that may have ended."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


class JobsTestCase(petit_e2e.TestCase):
    """Below `directory`: data/{train,dev}.tsv, jobs/, and the model "published" of model_root models/."""

    def setUp(self):
        super().setUp()
        self.stack.callback(self.end_workers)  # before the directory goes, after the servers
        (self.directory / "data").mkdir()
        write_pairs(self.directory / "data/train.tsv", PAIRS[4:])
        write_pairs(self.directory / "data/dev.tsv", PAIRS[:4])

    def end_workers(self):
        while pids := workers_below(self.directory):
            for pid in pids:
                kill(pid)

    def config_body(self, jobs="", models=""):
        """A teacher, a student of other weights, and "published", which versions can be added to."""
        versions = self.directory / "models/published/1"
        if not versions.exists():
            versions.parent.mkdir(parents=True)
            shutil.copytree(TINY / "v1_1", versions)
        return (f'model_root: "{self.directory}/models"\n'
                f'jobs {{ root: "{self.directory}/jobs" data_root: "{self.directory}/data" threads: 1 {jobs} }}\n'
                f'model {{ name: "published" version_policy {{ latest {{}} }} {PROMPT_EN_FR} }}\n' +
                model_config("teacher", TINY / "v1_1") + model_config("student", TINY / "v1_0") + models)

    def write_config(self, **options):
        return write_config(self.directory, self.config_body(**options))

    def serve_jobs(self, **options):
        return self.serve(self.config_body(**options))

    def spec_text(self, steps=40, training="", arms=(0.25, 0.75), extra="",
                  student="teacher_layers { decoder_layers: 1 }", train="train.tsv", dev="dev.tsv"):
        """A job of a second or two. `extra` is more of JobSpec."""
        return "\n".join([
            'teacher: "teacher"', f"student {{ {student} }}", *(f"arms {{ alpha: {alpha} }}" for alpha in arms),
            f'train {{ path: "{train}" source_language: "en" target_language: "fr" }}',
            f'dev {{ name: "dev" path: "{dev}" source_language: "en" target_language: "fr" }}',
            "optimizer { learning_rate: 1e-3 }",
            f"training {{ steps: {steps} batch_size: 4 max_target_tokens: 24 seed: 7 {training} }}", extra, ""])

    def spec(self, client, **options):
        return text_format.Parse(self.spec_text(**options), client.message("petit.v1.JobSpec"))

    def wait_for(self, condition, what):
        """The condition's first true value."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (value := condition()):
            self.assertLess(time.monotonic(), deadline, f"waited in vain for {what}")
            time.sleep(0.02)
        return value

    def jobs(self, client, rpc_method, /, timeout=PATIENCE_SECONDS, **fields):
        return client.call("petit.v1.JobService", rpc_method, timeout=timeout, **fields)

    def create(self, client, request_id="", **options):
        return self.jobs(client, "CreateJob", spec=self.spec(client, **options), request_id=request_id)

    def watch(self, client, name, after=0):
        """The stream of the job's events."""
        call = client.method("petit.v1.JobService", "WatchJob")
        return call(call.request_class(name=name, after_sequence=after), timeout=PATIENCE_SECONDS)

    def watch_until(self, client, name, condition):
        """The first event that the condition holds for."""
        events = self.watch(client, name)
        for event in events:
            if condition(event):
                events.cancel()
                return event
        raise AssertionError(f"{name} ended first: {self.jobs(client, 'GetJob', name=name)}")

    def wait_until_ended(self, client, name, expected="JOB_STATE_SUCCEEDED"):
        """The ended job, whose state must be the expected one."""
        for _ in self.watch(client, name):
            pass
        job = self.jobs(client, "GetJob", name=name)
        self.assertEqual(state_name(client, job.state), expected, job.error)
        return job

    def list_names(self, client):
        return [job.name for job in self.jobs(client, "ListJobs").jobs]
