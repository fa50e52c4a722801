"""Services as a user would run them, by the configurations in etc/examples: long-lived programs, and set-ups of inetd, supervisord
and systemd converted. Only users' directories and ports are changed."""

import ftplib
import glob
import os
import pwd
import signal
import socket
import subprocess
import unittest
import urllib.request

from harness import Client, ControlledTestCase, free_port, main, needs_root, signal_process, tool, wait_until
from harness.examples import example, replaced


def is_free(port):
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_pair():
    """A number whose ports with the digits 1 and 2 appended are free, below those that the kernel gives to clients."""
    first = 1000 + os.getpid() % 1000
    return next(base for base in range(first, first + 1000) if is_free(base * 10 + 1) and is_free(base * 10 + 2))


@needs_root
class Services(ControlledTestCase):
    def setUp(self):
        super().setUp()
        os.chmod(self.directory, 0o755)

    def serve(self, name, changes, edit=None):
        config = replaced(example(name), changes)
        for child in config["supervisor"]["children"]:
            if edit:
                edit(child)
        return self.supervise(config=config)

    def give(self, path, user):
        account = pwd.getpwnam(user)
        os.chown(path, account.pw_uid, account.pw_gid)
        return path

    def folder(self, name, user="root", **files):
        path = os.path.join(self.directory, name)
        os.mkdir(path)
        for file, text in files.items():
            with open(os.path.join(path, file), "w") as out:
                out.write(text)
        return self.give(path, user)

    def run_client(self, *command, **options):
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, **options)
        self.assertEqual(done.returncode, 0, f"{command}: {done.stdout} {done.stderr}")
        return done.stdout.strip()

    def fetch(self, port, name):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{port}/{name}", timeout=20) as answer:
            return answer.read().decode()

    def redis(self, port, *command):
        return self.run_client("redis-cli", "-p", str(port), *command)

    @tool("vsftpd")
    def test_vsftpd(self):
        os.makedirs("/run/vsftpd/empty", exist_ok=True)
        public = self.folder("public", greeting="hello\n")
        conf = self.write("vsftpd.conf", f"listen=NO\nlisten_ipv6=YES\nanonymous_enable=YES\nanon_root={public}\n"
                          "pasv_address=127.0.0.1\nconnect_from_port_20=NO\n")
        daemon = self.serve("vsftpd.json", {"/etc/vsftpd.conf": conf}, lambda child: child.update(listen="127.0.0.1:0"))
        with ftplib.FTP() as client:
            client.connect(*daemon.address(), timeout=20)
            client.login()
            lines = []
            client.retrlines("RETR greeting", lines.append)
        self.assertEqual(lines, ["hello"])
        daemon.wait_log(r"^connection \S+ ended", 1)

    @tool("nginx")
    def test_nginx(self):
        port = free_port()
        root = self.folder("www", greeting="hello\n")
        conf = self.write("nginx.conf", f"pid {self.directory}/nginx.pid;\nerror_log stderr;\nworker_processes 2;\nevents {{}}\n"
                          f"http {{ access_log off; server {{ listen 127.0.0.1:{port}; root {root}; }} }}\n")
        daemon = self.serve("nginx.json", {"/etc/nginx/nginx.conf": conf})
        wait_until(lambda: self.answers(port), 10, "nginx to answer")
        self.assertEqual(self.fetch(port, "greeting"), "hello\n")
        daemon.control.run("stop", "root/nginx")
        self.assertTrue(daemon.log("exited with status 0", path="root/nginx"))
        self.assertFalse(self.answers(port))

    def answers(self, port):
        try:
            Client(("127.0.0.1", port)).close()
        except OSError:
            return False
        return True

    @unittest.skipUnless(glob.glob("/usr/lib/postgresql/*/bin/postgres"), "not installed: postgresql")
    def test_postgresql(self):
        programs = os.path.dirname(max(glob.glob("/usr/lib/postgresql/*/bin/postgres")))
        port = free_port()
        data = os.path.join(self.folder("cluster", "postgres"), "main")
        self.run_client("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", f"{programs}/initdb", "-A", "trust",
                        "--no-sync", "-D", data, cwd="/")
        with open(f"{data}/postgresql.conf", "a") as file:
            file.write(f"port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = off\n")
        daemon = self.serve("postgresql.json", {
            "/usr/lib/postgresql/15/bin": programs, "/usr/lib/postgresql/15/bin/postgres": f"{programs}/postgres",
            "/var/lib/postgresql/15/main": data, "/etc/postgresql/15/main/postgresql.conf": f"{data}/postgresql.conf"})
        sql = ("psql", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-Atc")
        self.assertEqual(self.run_client(*sql, "select 6 * 7"), "42")
        session = subprocess.Popen([*sql, "select pg_sleep(100)"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        wait_until(lambda: "1" == self.run_client(*sql, "select count(*) from pg_stat_activity where query like 'select pg_sleep%'"),
                   10, "a session")
        daemon.control.run("stop", "root/postgresql")
        self.assertIn("terminating connection", session.communicate(timeout=20)[1])
        self.assertTrue(daemon.log("exited with status 0", path="root/postgresql"))

    @tool("redis-server", "redis-cli")
    def test_a_queue_and_a_pool_of_workers(self):
        port = free_port()
        state = self.folder("state", "redis")
        conf = self.write("redis.conf", f"port {port}\nbind 127.0.0.1\ndir {state}\nsave \"\"\n")
        worker = self.write("worker", "#!/bin/sh\ntrap 'over=1' TERM\nwhile [ -z \"$over\" ]; do\n"
                            f"  job=$(redis-cli -p {port} BRPOP jobs 0.2 | tail -1)\n"
                            f"  [ -z \"$job\" ] || redis-cli -p {port} RPUSH done \"$job by $1\" >/dev/null\ndone\n")
        os.chmod(worker, 0o755)

        def own_worker(child):
            pool = child["children"][1]
            pool.update(argv=[worker, "%i"], chdir="/")

        daemon = self.serve("jobs.json", {"/etc/redis/redis.conf": conf}, own_worker)
        first = self.pool(daemon)
        self.assertEqual(sorted(first), ["queue", "worker-1", "worker-2", "worker-3", "worker-4"])
        self.work(port, 20)
        # The pool starts anew with its queue, and not before it is ready.
        signal_process(first["queue"], signal.SIGKILL)
        wait_until(lambda: not set(first.values()) & set(self.pool(daemon).values()) and len(self.pool(daemon)) == 5, 20,
                   "a new queue and a new pool")
        self.work(port, 20)

    def pool(self, daemon):
        children = daemon.control.node("root/jobs")["children"]
        return {child["path"].rpartition("/")[2]: child["pid"] for child in children if child.get("pid")}

    def work(self, port, jobs):
        wait_until(lambda: self.answers(port), 10, "the queue")
        self.redis(port, "DEL", "done")
        for number in range(jobs):
            self.redis(port, "LPUSH", "jobs", str(number))
        wait_until(lambda: self.redis(port, "LLEN", "done") == str(jobs), 20, "all jobs done")
        done = self.redis(port, "LRANGE", "done", "0", "-1").splitlines()
        self.assertEqual(sorted(int(line.split()[0]) for line in done), list(range(jobs)))

    @tool("rsync", "busybox")
    def test_converted_from_inetd(self):
        files = self.folder("files", greeting="hello\n")
        conf = self.write("rsyncd.conf", f"[files]\npath = {files}\n")
        daemon = self.serve("from-inetd.json", {"/etc/rsyncd.conf": conf, "/srv/www": files},
                            lambda child: child.update(listen="127.0.0.1:0"))
        with Client(daemon.address("echo")) as client:
            client.send(b"hello\n")
            self.assertEqual(client.receive(6), b"hello\n")
        target = os.path.join(self.directory, "copy")
        self.run_client("rsync", "-a", f"rsync://127.0.0.1:{daemon.address('rsync')[1]}/files/", target)
        with open(os.path.join(target, "greeting")) as file:
            self.assertEqual(file.read(), "hello\n")
        self.assertEqual(self.fetch(daemon.address("http")[1], "greeting"), "hello\n")

    @tool("redis-server", "busybox")
    def test_converted_from_supervisord(self):
        port, base = free_port(), free_pair()
        files = self.folder("files", greeting="hello\n")
        daemon = self.serve("from-supervisord.json", {"6379": str(port), "127.0.0.1:800%i": f"127.0.0.1:{base}%i", "/srv/www": files},
                            lambda child: child.setdefault("chdir", "/tmp"))
        for one in (base * 10 + 1, base * 10 + 2):
            wait_until(lambda: self.answers(one), 10, "the web server")
            self.assertEqual(self.fetch(one, "greeting"), "hello\n")
        wait_until(lambda: self.answers(port), 10, "redis")
        self.assertEqual(self.redis(port, "PING"), "PONG")
        daemon.control.run("stop", "root/web-1")
        self.assertFalse(self.answers(base * 10 + 1))
        self.assertTrue(self.answers(base * 10 + 2))

    @tool("redis-server")
    def test_converted_from_systemd(self):
        port = free_port()

        def edit(child):
            if child["id"] == "echo":
                child["listen"] = "127.0.0.1:0"
            else:
                child["chdir"] = "/tmp"

        daemon = self.serve("from-systemd.json", {"6379": str(port)}, edit)
        self.assertEqual(self.redis(port, "PING"), "PONG")  # it was ready before the daemon was
        with Client(daemon.address("echo")) as client:
            client.send(b"hello\n")
            self.assertEqual(client.receive(6), b"hello\n")
        daemon.control.run("stop", "root/redis")
        self.assertTrue(daemon.log("exited with status 0", path="root/redis"))


if __name__ == "__main__":
    main()
