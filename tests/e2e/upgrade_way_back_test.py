"""New programs that pass their dry run and do not survive taking over: the previous program is executed again, once, and
everything is as it was."""

import signal

from harness import Hold, Storm, UpgradeTestCase, main, process, signal_process, wait_until


def sleeper(name, **keys):
    return {"id": name, "type": "process", "argv": ["/bin/sleep", "1000"], "ready": "exec", "restart_delay": "none", **keys}


class WayBack(UpgradeTestCase):
    def broken(self, when, how):
        self.install(self.helper("bulkheadd-breaks"))
        self.write("bin/breaks", f"{when} {how}\n")

    def consistent(self, daemon, active):
        counts = wait_until(lambda: (c := daemon.control.node("root/echo")["connections"])["active"] == active and c, 5, "the rest")
        self.assertEqual(counts["accepted"], counts["active"] + counts["completed"])
        return counts

    def numbered(self, daemon):
        seqs = [one["seq"] for one in self.history(daemon)]
        self.assertEqual(seqs, list(range(1, len(seqs) + 1)))

    def test_a_fatal_signal_brings_the_previous_program_back(self):
        daemon = self.supervised(sleeper("sleeper"))
        child = daemon.control.node("root/sleeper")["pid"]
        workers = [one.pid for one in daemon.workers()]
        kinds, signals = self.kinds(daemon), self.signals(daemon)
        cases = (("main", "SEGV"), ("begin", "overflow"), ("end", "ABRT"), ("begin", "SEGV"), ("begin", "ABRT"), ("end", "SEGV"))
        cases = cases[:3] if self.sanitized else cases
        with Hold(daemon.address(), 50) as hold, Storm(daemon.address(), threads=2, pause=0.005) as storm:
            self.assertEqual(hold.echo_all(), 50)
            for when, how in cases:
                with self.subTest(when=when, how=how):
                    self.broken(when, how)
                    name = "SIGSEGV" if how == "overflow" else f"SIG{how}"
                    self.assertEqual(self.rolled_back(daemon, hold, name), f"the new program got {name} while it took over")
            storm.stop()
            self.assertEqual(storm.failed, {})
            counts = self.consistent(daemon, 50)
            self.assertEqual((counts["completed"], counts["crashed"]), (storm.counts["ok"] + len(cases), 0))
        self.assertEqual([one.pid for one in daemon.workers()], workers)
        self.assertEqual(daemon.control.node("root/sleeper")["pid"], child)
        self.assertEqual(self.signals(daemon), signals)
        wait_until(lambda: self.kinds(daemon) == kinds, 5, "the descriptors from before")
        self.numbered(daemon)
        self.assertEqual(self.upgraded(daemon, self.next), "next")
        self.assertEqual(self.signals(daemon), signals)
        self.measured(ways_back=len(cases), ok=storm.counts["ok"], failed=sum(storm.failed.values()))

    def signals(self, daemon):
        status = process(daemon.pid).status()
        return {key: status[key] for key in ("SigBlk", "SigIgn", "SigCgt")}

    def test_a_hanging_program_is_replaced_while_children_die(self):
        daemon = self.supervised(sleeper("dies"), sleeper("lives"))
        pids = {name: daemon.control.node(f"root/{name}")["pid"] for name in ("dies", "lives")}
        workers = daemon.workers()
        self.broken("end", "hang")
        with Hold(daemon.address(), 20) as hold:
            self.assertEqual(hold.echo_all(), 20)
            upgrade = self.begin_upgrade(daemon)
            wait_until(lambda: "SigCgt" in (s := process(daemon.pid).status()) and int(s["SigCgt"], 16) & 1 << signal.SIGALRM - 1
                       and process(daemon.pid).state == "S", 5, "the new program")
            for pid in (pids["dies"], workers[0].pid):
                self.assertTrue(signal_process(pid, signal.SIGKILL))
            daemon.send_signal(signal.SIGUSR1)
            self.assertEqual(hold.echo_all(), 20)
            out, err = upgrade.communicate(timeout=20)
            self.assertEqual((upgrade.returncode, out), (2, ""), err)
            self.assertIn("the new program did not take over within 5 s", err)
            last = [one for one in self.history(daemon) if one["event"].startswith("upgrade_")][-1]
            self.assertEqual((last["event"], last["reason"]), ("upgrade_rolled_back", "the new program did not take over within 5 s"))
            daemon.wait_workers(2, without=workers[:1])
            node = wait_until(lambda: (n := daemon.control.node("root/dies"))["state"] == "running" and n["pid"] != pids["dies"] and n, 5, "another")
            self.assertEqual(node["restarts"], 1)
            self.assertEqual(daemon.control.node("root/lives")["pid"], pids["lives"])
            self.assertEqual(hold.echo_all(), 20)
            self.consistent(daemon, 20)
            self.assertEqual(self.upgraded(daemon, self.next), "next")
            self.assertEqual(hold.echo_all(), 20)
        self.numbered(daemon)

    def test_a_problem_found_by_the_new_program_brings_the_previous_one_back(self):
        daemon = self.supervised(sleeper("sleeper"))
        kinds = self.kinds(daemon)
        self.broken("begin", "fails")
        with Hold(daemon.address(), 20) as hold:
            self.assertIn("child subreaper", self.rolled_back(daemon, hold, "cannot become"))
        wait_until(lambda: self.kinds(daemon) == kinds, 5, "the descriptors from before")
        self.assertEqual(self.upgraded(daemon, self.next), "next")


if __name__ == "__main__":
    main()
