"""The answers of `bulkheadctl explain`: the causes, in order, in sentences."""

import re
import signal

from harness import ControlledTestCase, listener, main, signal_process

LATE = {"restart_delay": {"min": "1h", "max": "1h", "jitter": 0}}


def process_child(name, script="exec sleep 1000", **keys):
    return {"id": name, "type": "process", "argv": ["/bin/sh", "-c", script], "ready": "exec", **keys}


class Explain(ControlledTestCase):
    def explain(self, daemon, path):
        """The state, and the sentences without times and pids; checks that both forms agree."""
        told = daemon.control.value("explain", path)
        status, text, _ = daemon.control.run("explain", path)
        self.assertEqual((status, told["path"]), (0, path))
        for sentence in told["sentences"]:
            self.assertRegex(sentence, r"^\d\d:\d\d:\d\d\.\d{3} root\S* .+\.$")
            self.assertIn(sentence, " ".join(text.split()))
        return told["state"], [re.sub(r"pid \d+", "pid N", sentence[13:]) for sentence in told["sentences"]]

    def test_a_crashed_child_that_waits_for_its_restart(self):
        daemon = self.supervise(process_child("job", "exit 3", **LATE), supervisor={"max_restarts": 5, "max_seconds": 60})
        daemon.events.wait(lambda events: any(one.get("delay_ms") for one in events), what="a delayed restart")
        state, sentences = self.explain(daemon, "root/job")
        self.assertEqual(state, "waiting")
        self.assertEqual(sentences, [
            "root: starting.",
            "root/job (pid N): started.",
            "root/job: ready.",
            "root/job (pid N): exited with status 3.",
            "root/job: restarting at once; restart 1 within its supervisor's max_seconds.",
            "root/job (pid N): started.",
            "root/job: ready.",
            "root/job (pid N): exited with status 3.",
            "root/job: restarting in 3600.000 s; restart 2 within its supervisor's max_seconds."])

    def test_an_unknown_path_gets_a_suggestion(self):
        daemon = self.supervise(process_child("database"), listener())
        for path, near in (("root/databse", "root/database"), ("root/ecko", "root/echo"), ("root/what", None)):
            status, _, errors = daemon.control.run("explain", path)
            told = f"bulkheadctl: there is no node {path}" + (f"; did you mean {near}?" if near else "") + "\n"
            self.assertEqual((status, errors), (1, told))

    def test_a_child_that_a_siblings_crash_restarted(self):
        web = {"id": "web", "type": "supervisor", "strategy": "rest_for_one", "children": [
            process_child("first"), process_child("second"), process_child("third")]}
        daemon = self.supervise(web, process_child("bystander"))
        mark = daemon.events.mark()
        signal_process(daemon.control.node("root/web/second")["pid"], signal.SIGSEGV)
        daemon.events.next("child_ready", "root/web/third", after=mark)
        self.assertEqual(self.explain(daemon, "root/web/third"), ("running", [
            "root: starting.",
            "root/web: starting.",
            "root/web/third (pid N): started.",
            "root/web/third: ready.",
            "root/web/second (pid N): killed by SIGSEGV.",
            "root/web/second: restarting at once; restart 1 within its supervisor's max_seconds.",
            "root/web/third: stopping with SIGTERM.",
            "root/web/third (pid N): killed by SIGTERM, as requested.",
            "root/web/third (pid N): started.",
            "root/web/third: ready."]))
        self.assertNotIn("SIGSEGV", " ".join(self.explain(daemon, "root/bystander")[1]))

    def test_a_child_whose_supervisor_gave_up_and_restarted(self):
        web = {"id": "web", "type": "supervisor", "max_restarts": 0, "max_seconds": 60, "children": [
            process_child("bad"), process_child("good")]}
        daemon = self.supervise(web)
        mark = daemon.events.mark()
        signal_process(daemon.control.node("root/web/bad")["pid"], signal.SIGKILL)
        daemon.events.next("child_ready", "root/web/good", after=mark)
        self.assertEqual(self.explain(daemon, "root/web/good")[1][4:], [
            "root/web: giving up: root/web/bad exceeded max_restarts (0) within max_seconds (60).",
            "root/web/good: stopping with SIGTERM.",
            "root/web/good (pid N): killed by SIGTERM, as requested.",
            "root/web: gave up, and stopped everything below it.",
            "root/web: restarting at once; restart 1 within its supervisor's max_seconds.",
            "root/web: starting.",
            "root/web/good (pid N): started.",
            "root/web/good: ready."])

    def test_a_permanent_failure(self):
        daemon = self.supervise(process_child("job", "exit 78", permanent_failure_exit=[78]), process_child("other"))
        ended = daemon.events.next("child_exited", "root/job")
        state, sentences = self.explain(daemon, "root/job")
        self.assertEqual((state, ended["reason"]), ("failed", {"type": "exit", "status": 78}))
        self.assertIn("root/job (pid N): exited with status 78.", sentences)

    def test_a_listener_and_its_worker(self):
        daemon = self.supervise(listener(workers=1))
        mark = daemon.events.mark()
        signal_process(daemon.control.node("root/echo/1")["pid"], signal.SIGKILL)
        daemon.events.next("child_ready", "root/echo/1", after=mark)
        state, sentences = self.explain(daemon, "root/echo/1")
        self.assertEqual(state, "running")
        self.assertEqual(sentences[-4:], [
            "root/echo/1 (pid N): killed by SIGKILL.",
            "root/echo/1: restarting at once; restart 1 within its supervisor's max_seconds.",
            "root/echo/1 (pid N): started.",
            "root/echo/1: ready."])
        self.assertIn("root/echo: bound 127.0.0.1:", self.explain(daemon, "root/echo")[1][0])


if __name__ == "__main__":
    main()
