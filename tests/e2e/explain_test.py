"""What `bulkheadctl explain` answers at three in the morning: the causes, in order, in sentences."""

import re
import signal

from harness import ControlledTestCase, listener, main, signal_process

LATE = {"restart_delay": {"min": "1h", "max": "1h", "jitter": 0}}


def process_child(name, script="exec sleep 1000", **keys):
    return {"id": name, "type": "process", "argv": ["/bin/sh", "-c", script], "ready": "exec", **keys}


class Explain(ControlledTestCase):
    def explain(self, daemon, path):
        """The state, and the sentences without times and pids, both forms telling the same."""
        told = daemon.control.value("explain", path)
        status, text, _ = daemon.control.run("explain", path)
        self.assertEqual((status, told["path"]), (0, path))
        for sentence in told["sentences"]:
            self.assertRegex(sentence, r"^\d\d:\d\d:\d\d\.\d{3} root\S* .+\.$")
            self.assertIn(sentence, " ".join(text.split()))
        return told["state"], [re.sub(r"pid \d+", "pid N", sentence[13:]) for sentence in told["sentences"]]

    def test_one_that_crashes_and_waits(self):
        daemon = self.supervise(process_child("job", "exit 3", **LATE), supervisor={"max_restarts": 5, "max_seconds": 60})
        daemon.events.wait(lambda events: any(one.get("delay_ms") for one in events), what="a delayed restart")
        state, sentences = self.explain(daemon, "root/job")
        self.assertEqual(state, "waiting")
        self.assertEqual(sentences, [
            "root began to start.",
            "root/job was started (pid N).",
            "root/job became ready.",
            "root/job (pid N) ended with exit status 3.",
            "root/job was to be restarted at once: restart 1 within its supervisor's max_seconds.",
            "root/job was started (pid N).",
            "root/job became ready.",
            "root/job (pid N) ended with exit status 3.",
            "root/job was to be restarted after 3600.0 s: restart 2 within its supervisor's max_seconds."])

    def test_one_that_is_not_there(self):
        daemon = self.supervise(process_child("database"), listener())
        for path, near in (("root/databse", "root/database"), ("root/ecko", "root/echo"), ("root/what", None)):
            status, _, errors = daemon.control.run("explain", path)
            told = f"bulkheadctl: there is no node {path}" + (f"; did you mean {near}?" if near else "") + "\n"
            self.assertEqual((status, errors), (1, told))

    def test_one_that_was_taken_along_by_a_sibling(self):
        web = {"id": "web", "type": "supervisor", "strategy": "rest_for_one", "children": [
            process_child("first"), process_child("second"), process_child("third")]}
        daemon = self.supervise(web, process_child("bystander"))
        mark = daemon.events.mark()
        signal_process(daemon.control.node("root/web/second")["pid"], signal.SIGSEGV)
        daemon.events.next("child_ready", "root/web/third", after=mark)
        self.assertEqual(self.explain(daemon, "root/web/third"), ("running", [
            "root began to start.",
            "root/web began to start.",
            "root/web/third was started (pid N).",
            "root/web/third became ready.",
            "root/web/second (pid N) was killed by SIGSEGV.",
            "root/web/second was to be restarted at once: restart 1 within its supervisor's max_seconds.",
            "root/web/third was asked to end with SIGTERM.",
            "root/web/third (pid N) was killed by SIGTERM, as it had been asked to end.",
            "root/web/third was started (pid N).",
            "root/web/third became ready."]))
        self.assertNotIn("SIGSEGV", " ".join(self.explain(daemon, "root/bystander")[1]))

    def test_one_whose_supervisor_gave_up_and_came_back(self):
        web = {"id": "web", "type": "supervisor", "max_restarts": 0, "max_seconds": 60, "children": [
            process_child("bad"), process_child("good")]}
        daemon = self.supervise(web)
        mark = daemon.events.mark()
        signal_process(daemon.control.node("root/web/bad")["pid"], signal.SIGKILL)
        daemon.events.next("child_ready", "root/web/good", after=mark)
        self.assertEqual(self.explain(daemon, "root/web/good")[1][4:], [
            "root/web would have had to restart root/web/bad more than max_restarts 0 times within 60 s.",
            "root/web/good was asked to end with SIGTERM.",
            "root/web/good (pid N) was killed by SIGTERM, as it had been asked to end.",
            "root/web gave up, because restarts came too fast, and ended with everything below it.",
            "root/web was to be restarted at once: restart 1 within its supervisor's max_seconds.",
            "root/web began to start.",
            "root/web/good was started (pid N).",
            "root/web/good became ready."])

    def test_one_that_will_never_work(self):
        daemon = self.supervise(process_child("job", "exit 78", permanent_failure_exit=[78]), process_child("other"))
        ended = daemon.events.next("child_exited", "root/job")
        state, sentences = self.explain(daemon, "root/job")
        self.assertEqual((state, ended["reason"]), ("failed", {"type": "exit", "status": 78}))
        self.assertIn("root/job (pid N) ended with exit status 78.", sentences)

    def test_a_listener_and_its_worker(self):
        daemon = self.supervise(listener(workers=1))
        mark = daemon.events.mark()
        signal_process(daemon.control.node("root/echo/1")["pid"], signal.SIGKILL)
        daemon.events.next("child_ready", "root/echo/1", after=mark)
        state, sentences = self.explain(daemon, "root/echo/1")
        self.assertEqual(state, "running")
        self.assertEqual(sentences[-4:], [
            "root/echo/1 (pid N) was killed by SIGKILL.",
            "root/echo/1 was to be restarted at once: restart 1 within its supervisor's max_seconds.",
            "root/echo/1 was started (pid N).",
            "root/echo/1 became ready."])
        self.assertIn("root/echo bound 127.0.0.1:", self.explain(daemon, "root/echo")[1][0])


if __name__ == "__main__":
    main()
