"""`petit data opus`: whatever the server and the network do, the sets are right or not there."""

import hashlib
import http.server
import io
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import threading
import unittest
import zipfile

PETIT = pathlib.Path(os.environ["PETIT_BIN"]) / "petit"
ARCHIVE_PATH = "/OPUS-GlobalVoices/v2018q4/moses/en-fr.txt.zip"


def make_zip(mark="", members=("en", "fr"), pairs=3000):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("README", "about")
        for member in members:
            archive.writestr(f"GlobalVoices.en-fr.{member}",
                             "".join(f"{member} text{mark} {i} {'long ' * 20}\n" for i in range(pairs)))
    return out.getvalue()


class Server:
    """Serves `content`; the other attributes are what goes wrong."""

    def __init__(self, content):
        self.content = content
        self.etag = '"one"'
        self.ranges = True
        self.cut = []      # after how many bytes of a body the connection drops, request by request
        self.stall = None  # an event: a cut body waits for it first
        self.codes = []    # answered in place of the file, request by request
        self.redirect = None
        self.requests = []  # (path, headers)
        self.sent_some = threading.Event()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.answer(self)

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever)
        self.thread.start()
        self.base = f"http://127.0.0.1:{self.http.server_address[1]}"

    def close(self):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()

    def answer(self, handler):
        self.requests.append((handler.path, dict(handler.headers)))
        if self.redirect and handler.path == ARCHIVE_PATH:
            handler.send_response(302)
            handler.send_header("Location", self.redirect)
            handler.end_headers()
            return
        if self.codes:
            handler.send_error(self.codes.pop(0))
            return
        start = 0
        asked = handler.headers.get("Range")
        if asked and self.ranges and handler.headers.get("If-Range") == self.etag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(self.content):
                handler.send_error(416)
                return
        body = self.content[start:]
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        if self.etag:
            handler.send_header("ETag", self.etag)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        cut = self.cut.pop(0) if self.cut else None
        try:
            handler.wfile.write(body[:cut])
            handler.wfile.flush()
            if cut is not None and self.stall:
                self.sent_some.set()
                self.stall.wait(60)
        except OSError:
            pass
        handler.close_connection = True


class DataFetch(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.TemporaryDirectory()
        self.addCleanup(self.home.cleanup)
        self.out = pathlib.Path(self.home.name) / "out"
        self.archive = make_zip()
        self.server = Server(self.archive)
        self.addCleanup(self.server.close)

    def command(self, *more):
        return [PETIT, "data", "opus", "--out", self.out, "--train", "100", "--test", "20", "--mirror",
                self.server.base, *more]

    def environment(self):
        kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        return kept | {"no_proxy": "*"}

    def fetch(self, *more, code=0, env=None):
        done = subprocess.run(self.command(*more), capture_output=True, text=True, timeout=120,
                              env=env or self.environment())
        self.assertEqual(done.returncode, code, done.stderr)
        if code:
            self.assertEqual([p.name for p in self.out.glob("*") if p.name != ".opus"], [])
        return done

    def assert_sets(self, archive, mark=""):
        train = (self.out / "train.en-fr.tsv").read_text().splitlines()
        test = (self.out / "test.en-fr.tsv").read_text().splitlines()
        reversed_test = (self.out / "test.fr-en.tsv").read_text().splitlines()
        self.assertEqual((len(train), len(test)), (100, 20))
        long = "long " * 19 + "long"
        self.assertEqual(train[0], f"en text{mark} 0 {long}\tfr text{mark} 0 {long}")
        self.assertEqual(test[0], f"en text{mark} 100 {long}\tfr text{mark} 100 {long}")
        self.assertEqual(reversed_test[0], f"fr text{mark} 100 {long}\ten text{mark} 100 {long}")
        manifest = json.loads((self.out / "manifest.json").read_text())
        self.assertEqual(manifest["source"]["sha256"], hashlib.sha256(archive).hexdigest())
        self.assertEqual(manifest["order"], "OPUS order, not the report's order")
        self.assertEqual(sorted(p.name for p in self.out.iterdir()),
                         ["dev.en-fr.tsv", "manifest.json", "test.en-fr.tsv", "test.fr-en.tsv", "train.en-fr.tsv"])

    def test_a_whole_download_makes_the_sets(self):
        digest = hashlib.sha256(self.archive).hexdigest()
        done = self.fetch()
        self.assert_sets(self.archive)
        self.assertIn("OPUS order, not the report's order", done.stdout)
        self.assertIn(digest, done.stdout)
        self.assertEqual([path for path, _ in self.server.requests], [ARCHIVE_PATH])
        self.fetch("--sha256", digest.upper())

    def test_a_dropped_connection_is_resumed_where_it_was(self):
        self.server.cut = [len(self.archive) // 2]
        done = self.fetch()
        self.assert_sets(self.archive)
        self.assertIn("trying again", done.stderr)
        headers = self.server.requests[1][1]
        self.assertEqual(headers["Range"], f"bytes={len(self.archive) // 2}-")
        self.assertEqual(headers["If-Range"], '"one"')

    def interrupt_half_way(self):
        self.server.cut = [len(self.archive) // 2]
        self.server.stall = threading.Event()
        self.addCleanup(self.server.stall.set)
        process = subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env=self.environment())
        self.assertTrue(self.server.sent_some.wait(60))
        part = self.out / ".opus" / "en-fr.zip.part"
        while process.poll() is None and (not part.exists() or part.stat().st_size < len(self.archive) // 2):
            os.sched_yield()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, err)
        self.assertIn("interrupted", err)
        self.assertEqual([p.name for p in self.out.iterdir()], [".opus"])

    def test_ctrl_c_keeps_what_is_there_for_the_next_run(self):
        self.interrupt_half_way()
        self.fetch()
        self.assert_sets(self.archive)
        self.assertEqual(self.server.requests[-1][1]["Range"], f"bytes={len(self.archive) // 2}-")

    def test_a_file_that_changed_in_between_is_fetched_from_its_start(self):
        self.interrupt_half_way()
        self.server.content = make_zip(mark="!")
        self.server.etag = '"two"'
        done = self.fetch()
        self.assert_sets(self.server.content, mark="!")
        self.assertIn("from its start", done.stderr)

    def test_a_server_without_ranges_sends_it_all_again(self):
        self.server.ranges = False
        self.server.cut = [len(self.archive) // 2]
        self.fetch()
        self.assert_sets(self.archive)

    def test_without_a_validator_nothing_is_resumed(self):
        self.server.etag = None
        self.server.cut = [len(self.archive) // 2]
        self.fetch()
        self.assert_sets(self.archive)
        self.assertNotIn("Range", self.server.requests[1][1])

    def test_a_server_that_is_busy_is_asked_again(self):
        self.server.codes = [503]
        self.fetch()
        self.assert_sets(self.archive)

    def test_a_wrong_checksum_leaves_nothing(self):
        done = self.fetch("--sha256", "0" * 64, code=1)
        self.assertIn(hashlib.sha256(self.archive).hexdigest(), done.stderr)
        self.assertEqual(list((self.out / ".opus").iterdir()), [])
        self.assertIn("64 hexadecimal digits", self.fetch("--sha256", "abc", code=2).stderr)

    def test_an_archive_that_is_not_there_is_named(self):
        self.server.codes = [404]
        done = self.fetch(code=1)
        self.assertIn(f"404 for {self.server.base}{ARCHIVE_PATH}", done.stderr)
        self.assertEqual(len(self.server.requests), 1)

    def test_a_damaged_archive_is_no_data(self):
        at = len(self.archive) // 2
        flipped = bytearray(self.archive)
        flipped[at] ^= 1
        for content, words in ((bytes(flipped), "damaged"), (self.archive[:at], "damaged"), (b"<html>", "damaged"),
                               (b"", "damaged"), (make_zip(members=["en"]), "no member GlobalVoices.en-fr.fr")):
            self.server.content = content
            done = self.fetch(code=1)
            self.assertIn(words, done.stderr)
            self.assertFalse((self.out / ".opus").exists())

    def test_names_in_the_archive_write_nothing(self):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("../../escaped", "x")
            archive.writestr("/tmp/petit-escaped", "x")
            for member in ("en", "fr"):
                archive.writestr(f"GlobalVoices.en-fr.{member}", "a\n" * 120)
        self.server.content = out.getvalue()
        self.fetch()
        self.assertEqual([p.name for p in pathlib.Path(self.home.name).iterdir()], ["out"])
        self.assertFalse(pathlib.Path("/tmp/petit-escaped").exists())

    def test_sides_of_different_lengths_are_no_pairs(self):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("GlobalVoices.en-fr.en", "a\n" * 200)
            archive.writestr("GlobalVoices.en-fr.fr", "a\n" * 199)
        self.server.content = out.getvalue()
        self.assertIn("GlobalVoices.en-fr.en:200: has no counterpart", self.fetch(code=1).stderr)

    def test_a_corpus_that_is_too_small_says_so(self):
        self.server.content = make_zip(pairs=50)
        self.assertIn("holds 50 pairs", self.fetch(code=1).stderr)

    def test_a_full_disk_is_named_while_fetching_and_while_writing(self):
        (self.out / ".opus").mkdir(parents=True)
        part = self.out / ".opus" / "en-fr.zip.part"
        part.symlink_to("/dev/full")
        self.assertIn("en-fr.zip.part: No space left", self.fetch(code=1).stderr)
        part.unlink()
        (self.out / "train.en-fr.tsv.part").symlink_to("/dev/full")
        self.assertIn("train.en-fr.tsv.part: No space left", self.fetch(code=1).stderr)
        requests = len(self.server.requests)
        self.fetch()  # the archive is there
        self.assert_sets(self.archive)
        self.assertEqual(len(self.server.requests), requests)

    def test_redirects_are_followed(self):
        self.server.redirect = "/elsewhere.zip"
        self.fetch()
        self.assert_sets(self.archive)

    def test_redirects_to_other_protocols_are_not(self):
        self.server.redirect = "file:///etc/passwd"
        self.assertIn("rotocol", self.fetch(code=1).stderr)

    def test_the_environment_s_proxy_is_used(self):
        env = {name: value for name, value in self.environment().items() if name != "no_proxy"}
        done = subprocess.run([PETIT, "data", "opus", "--out", self.out, "--train", "100", "--test", "20", "--url",
                               "http://opus.example/x.zip"], capture_output=True, text=True, timeout=120,
                              env=env | {"http_proxy": self.server.base})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.server.requests[-1][0], "http://opus.example/x.zip")
        self.assert_sets(self.archive)

    def test_a_url_that_is_none_is_refused(self):
        for url in ("opus.zip", "file:///etc/passwd", "ftp://host/x"):
            done = subprocess.run([PETIT, "data", "opus", "--out", self.out, "--url", url], capture_output=True,
                                  text=True, timeout=60)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("is not a URL like https://HOST/PATH", done.stderr)


class DataImport(unittest.TestCase):
    def test_import_prints_the_sets_it_made(self):
        with tempfile.TemporaryDirectory() as home:
            export = pathlib.Path(home) / "gv.jsonl"
            export.write_text("".join(json.dumps({"en": f"text {i}", "fr": f"texte {i}"}) + "\n" for i in range(12)))
            command = [PETIT, "data", "import", export, "--out", f"{home}/out"]
            done = subprocess.run([*command, "--train", "7", "--test", "2", "--dev", "1"], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("train.en-fr.tsv", done.stdout)
            self.assertIn("2 are in no set", done.stderr)
            few = subprocess.run(command, capture_output=True, text=True, timeout=60)
            self.assertEqual(few.returncode, 1)
            self.assertIn("holds 12 pairs", few.stderr)

    def test_ctrl_c_leaves_no_set(self):
        with tempfile.TemporaryDirectory() as home:
            export = pathlib.Path(home) / "gv.jsonl"
            os.mkfifo(export)
            process = subprocess.Popen([PETIT, "data", "import", export, "--out", f"{home}/out", "--train", "7"],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            with open(export, "w") as writer:
                writer.write('{"en": "text", "fr": "texte"}\n')
                writer.flush()
                process.send_signal(signal.SIGINT)
                _, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 130, err)
            self.assertIn("interrupted", err)
            out = pathlib.Path(home) / "out"
            self.assertEqual(list(out.iterdir()) if out.exists() else [], [])

    def test_help_tells_how_to_export_the_corpus(self):
        done = subprocess.run([PETIT, "data", "import", "--help"], capture_output=True, text=True, timeout=60)
        self.assertIn("to_json", done.stdout)


if __name__ == "__main__":
    unittest.main()
