"""The cost of a process: of the worker, because every fork pays for it; of the master, because it stays for years."""

import os
import re
import struct
import subprocess
import tempfile

from harness import Hold, Storm, TestCase, exec_listener, listener, main, needs_root, process, tool, wait_until


def rollup(pid):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return {line.split(":")[0]: int(line.split()[1]) for line in file if line.rstrip().endswith("kB")}


class Program(TestCase):
    def test_the_worker_is_a_static_pie(self):
        if self.sanitized:
            self.skipTest("a sanitizer's runtime cannot be linked statically")
        with open(os.path.join(self.bindir, "bulkhead-worker"), "rb") as file:
            elf = file.read()
        kind, = struct.unpack_from("<H", elf, 16)
        table, = struct.unpack_from("<Q", elf, 32)
        size, count = struct.unpack_from("<HH", elf, 54)
        segments = {struct.unpack_from("<I", elf, table + n * size)[0] for n in range(count)}
        self.assertEqual(kind, 3, "ET_DYN: position independent")
        self.assertNotIn(3, segments, "PT_INTERP: needs a dynamic linker")
        self.measured(bytes=len(elf))


@needs_root
class Memory(TestCase):
    def setUp(self):
        super().setUp()
        if self.sanitized:
            self.skipTest("says nothing under a sanitizer")

    def test_memory_of_a_child_and_its_worker(self):
        daemon = self.start()
        with Hold(daemon.address(), 20) as held:
            self.assertEqual(held.echo_all(), 20)
            child = daemon.child_of(held.clients[0])
            with open(f"/proc/{child.pid}/maps") as file:
                mappings = len(file.readlines())
            worker = max((rollup(one.pid) for one in daemon.workers()), key=lambda sizes: sizes["Private_Dirty"])
            private = worker["Private_Dirty"] + worker["Private_Clean"]
            own = rollup(child.pid)
        self.measured(child_mappings=mappings, worker_private_kb=private, worker_rss_kb=worker["Rss"],
                      child_private_kb=own["Private_Dirty"] + own["Private_Clean"])
        self.assertLess(mappings, 40)
        self.assertLess(private, 2048)

    def test_memory_of_a_worker_of_a_very_large_listener(self):
        user = {"user": "root"} if os.geteuid() == 0 else {}  # RLIMIT_NPROC does not apply to root
        daemon = self.start(listener(max_connections=1000000, **user))
        with Hold(daemon.address(), 20) as held:
            self.assertEqual(held.echo_all(), 20)
            sizes = max((rollup(one.pid) for one in daemon.workers()), key=lambda one: one["Private_Dirty"])
            private = sizes["Private_Dirty"] + sizes["Private_Clean"]
        self.measured(max_connections=1000000, worker_private_kb=private)
        self.assertLess(private, 2048)

    def test_the_master_is_flat_over_20000_connections(self):
        daemon = self.start()

        def load(count):
            storm = Storm(daemon.address(), count=count, threads=6).wait(120)
            self.assertEqual(storm.failed, {})
            wait_until(lambda: not daemon.connections(), 10, "every child's end")

        def look():
            one = process(daemon.pid)
            return one.kilobytes(), len(one.fds()), [len(worker.fds()) for worker in daemon.workers()]
        load(2000)
        memory, own, workers = look()
        worker_memory = [worker.kilobytes() for worker in daemon.workers()]
        load(20000)
        memory_after, own_after, workers_after = look()
        grown = [after.kilobytes() - before for after, before in zip(daemon.workers(), worker_memory)]
        self.measured(connections=20000, master_grown_kb=memory_after - memory, worker_grown_kb=grown, master_fds=own_after)
        self.assertLessEqual(memory_after - memory, 1024)
        self.assertLessEqual(max(grown), 256)
        self.assertEqual((own, workers), (own_after, workers_after))
        self.assertEqual([process(pid).threads for pid in [daemon.pid, *(one.pid for one in daemon.workers())]], [1, 1, 1])

    def test_an_idle_daemon_sleeps(self):
        daemon = self.start(listener(workers=4), exec_listener(["/bin/cat"]))
        with Hold(daemon.address("echo"), 50) as held:
            self.assertEqual(held.echo_all(), 50)
            watched = [daemon.pid, *(one.pid for one in daemon.tree())]
            before = sum(process(pid).cpu_ticks for pid in watched)
            self.assertTrue(held.clients[0].silent(3.0))
            ticks = sum(process(pid).cpu_ticks for pid in watched) - before
        self.measured(processes=len(watched), cpu_ticks_in_3_s=ticks)
        self.assertLessEqual(ticks, 3)


@needs_root
@tool("strace")
class WastedAccepts(TestCase):
    def test_at_most_one_for_two_connections(self):
        daemon = self.start()
        descriptor, path = tempfile.mkstemp(dir=self.directory)
        os.close(descriptor)
        workers = daemon.workers()
        command = ["strace", "-qq", "-c", "-U", "name,calls,errors", "-e", "trace=accept4", "-o", path]
        for worker in workers:
            command += ["-p", str(worker.pid)]
        tracer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for worker in workers:
            wait_until(lambda: worker.status()["TracerPid"] == str(tracer.pid), 5, "strace attached")
        storm = Storm(daemon.address(), count=2000, threads=8).wait()
        tracer.send_signal(2)
        tracer.wait(10)
        self.assertEqual(storm.failed, {})
        with open(path) as file:
            row = re.search(r"^\s*accept4\s+(\d+)(?:\s+(\d+))?\s*$", file.read(), re.M)
        calls, errors = int(row[1]), int(row[2] or 0)
        self.measured(connections=2000, accepts=calls, wasted=errors, per_connection=errors / 2000)
        self.assertEqual(calls - errors, 2000)
        self.assertLessEqual(errors / 2000, 0.5)


if __name__ == "__main__":
    main()
