"""Real programs, unmodified, each run by the configuration in etc/examples and asked by its own client, many at once.
Only addresses and paths are changed: the test has directories and ports of its own."""

import hashlib
import os
import pwd
import shutil
import smtplib
import subprocess
import unittest
from concurrent.futures import ThreadPoolExecutor

from harness import TestCase, main, tool
from harness.examples import DIRECTORY, example, example_names, programs_of, replaced

ROOT = os.geteuid() == 0
CLIENTS = 8


def digest(directory):
    """{relative name: hash} of all regular files below."""
    out = {}
    for top, _, files in os.walk(directory):
        for name in files:
            path = os.path.join(top, name)
            with open(path, "rb") as file:
                out[os.path.relpath(path, directory)] = hashlib.sha256(file.read()).hexdigest()
    return out


class Examples(TestCase):
    @unittest.skipUnless(ROOT, "the examples name users")
    def test_every_example_is_valid(self):
        for name in example_names():
            if missing := [one for one in programs_of(example(name)) if not os.path.exists(one)]:
                print(f"{name}: not installed: {' '.join(missing)}")
                continue
            with self.subTest(name):
                self.assertEqual(self.run_program("-c", os.path.join(DIRECTORY, name), "--check")[0::2], (0, ""))


class Programs(TestCase):
    def serve(self, name, changes=None, user=None):
        """The daemon with the example's one listener, and (host, port)."""
        config = replaced(example(name), changes or {})
        listener = config["supervisor"]["children"][0]
        listener["listen"] = "127.0.0.1:0"
        if not ROOT:
            del listener["user"]
        elif user:
            listener["user"] = user
        daemon = self.start(config=config)
        return daemon, *daemon.address()

    def content(self, name):
        """A directory with files that a short read, a wrong byte or a text conversion would betray."""
        directory = os.path.join(self.directory, name)
        os.mkdir(directory)
        for file, size in (("empty", 0), ("small", 100), ("large", 3_000_000)):
            with open(os.path.join(directory, file), "wb") as out:
                out.write(os.urandom(size))
        return directory

    def give_to_nobody(self, directory):
        if ROOT:
            nobody = pwd.getpwnam("nobody")
            for top, directories, files in os.walk(directory):
                for name in [".", *directories, *files]:
                    os.chown(os.path.join(top, name), nobody.pw_uid, nobody.pw_gid)

    def run_client(self, *command, **options):
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=60, **options)
        self.assertEqual(done.returncode, 0, f"{command}: {done.stderr.decode(errors='replace')[-1000:]}")
        return done.stdout

    def together(self, function):
        with ThreadPoolExecutor(CLIENTS) as pool:
            return list(pool.map(function, range(CLIENTS)))

    def counted(self, daemon, at_least):
        ended = daemon.wait_log(r"^connection \S+ ended", at_least)
        self.assertFalse([line for line in ended if line["level"] not in ("info", "debug")], ended)

    @tool("git")
    def test_git_clone(self):
        source = self.content("source")
        env = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1", "HOME": self.directory,
               "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@localhost", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@localhost"}
        for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
            self.run_client("git", "-C", source, *words, env=env)
        served = os.path.join(self.directory, "served")
        self.run_client("git", "clone", "-q", "--bare", source, os.path.join(served, "it.git"), env=env)
        # The repository stays root's: the handler's user may read it, and git would refuse it for that.
        os.chmod(self.directory, 0o755)
        daemon, host, port = self.serve("git.json", {"/srv/git": served})

        def clone(number):
            target = os.path.join(self.directory, f"clone{number}")
            self.run_client("git", "clone", "-q", f"git://{host}:{port}/it.git", target, env=env)
            shutil.rmtree(os.path.join(target, ".git"))
            return digest(target)

        shutil.rmtree(os.path.join(source, ".git"))
        self.assertEqual(self.together(clone), [digest(source)] * CLIENTS)
        self.counted(daemon, CLIENTS)
        lost = subprocess.run(["git", "clone", "-q", f"git://{host}:{port}/lost.git", os.path.join(self.directory, "lost")],
                              capture_output=True, text=True, env=env)
        self.assertIn("no such repository", lost.stderr)
        daemon.wait_log("does not appear to be a git repository", 1)

    @tool("rsync")
    def test_rsync(self):
        source = self.content("module")
        conf = self.write("rsyncd.conf", f"[files]\npath = {source}\nread only = yes\n")
        daemon, host, port = self.serve("rsync.json", {"/etc/rsyncd.conf": conf})

        def fetch(number):
            target = os.path.join(self.directory, f"copy{number}")
            self.run_client("rsync", "-a", f"rsync://{host}:{port}/files/", target + "/")
            return digest(target)

        self.assertEqual(self.together(fetch), [digest(source)] * CLIENTS)
        self.counted(daemon, CLIENTS)

    @tool("busybox", "curl")
    def test_busybox_httpd(self):
        source = self.content("www")
        daemon, host, port = self.serve("web.json", {"/srv/www": source})

        def fetch(number):
            out = {}
            for name in ("small", "large"):
                body = self.run_client("curl", "-sSf", "--noproxy", "*", f"http://{host}:{port}/{name}")
                out[name] = hashlib.sha256(body).hexdigest()
            return out

        wanted = {name: value for name, value in digest(source).items() if name != "empty"}
        self.assertEqual(self.together(fetch), [wanted] * CLIENTS)
        self.counted(daemon, 2 * CLIENTS)

    @tool("/usr/sbin/mailfront")
    def test_mailfront(self):
        queue = os.path.join(self.directory, "queue")
        for name in ("tmp", "new"):
            os.makedirs(os.path.join(queue, name))
        os.chmod(self.directory, 0o755)
        self.give_to_nobody(queue)
        daemon, host, port = self.serve("mail.json", {"/var/spool/mailfront/": queue + "/"})
        texts = [f"Subject: {number}\n\n{'x' * 100_000}\n" for number in range(4)]  # as many as a source may have

        def send(number):
            with smtplib.SMTP(host, port, timeout=20) as server:
                server.sendmail("a@example.org", ["b@example.org"], texts[number])
        with ThreadPoolExecutor(len(texts)) as pool:
            list(pool.map(send, range(len(texts))))
        kept = []
        for name in os.listdir(os.path.join(queue, "new")):
            with open(os.path.join(queue, "new", name), newline="") as file:
                kept.append("Subject: " + file.read().replace("\r\n", "\n").split("Subject: ", 1)[1])
        self.assertEqual(sorted(kept), texts)
        self.counted(daemon, len(texts))

    @unittest.skipUnless(ROOT, "sshd needs root to become its user")
    @tool("sshd", "ssh", "ssh-keygen", "sudo")
    def test_ssh(self):
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        host_key, key = (os.path.join(self.directory, name) for name in ("host_key", "key"))
        for path in (host_key, key):
            self.run_client("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path)
        conf = self.write("sshd_config", f"HostKey {host_key}\nAuthorizedKeysFile {key}.pub\nStrictModes no\nUsePAM no\n"
                          "PermitRootLogin prohibit-password\nPasswordAuthentication no\nPidFile none\n")
        daemon, host, port = self.serve("ssh.json", {"/etc/ssh/sshd_config": conf})
        data = os.path.join(self.content("data"), "large")

        def session(command, number=0):
            return self.run_client(
                "ssh", "-F", "none", "-i", key, "-p", str(port), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
                "-o", f"UserKnownHostsFile={os.path.join(self.directory, 'known')}{number}", f"root@{host}", command)

        def talk(number):
            return hashlib.sha256(session(f"cat {data}", number)).hexdigest()

        self.assertEqual(self.together(talk), [digest(os.path.dirname(data))["large"]] * CLIENTS)
        self.counted(daemon, CLIENTS)
        self.check_sudo(session)

    def check_sudo(self, session):
        """A session's user can become another one, for which the system has set-user-ID programs."""
        self.assertEqual(session("sudo -n -u nobody id -u"), b"65534\n")
        own_id = os.path.join(self.directory, "own_id")
        shutil.copy("/usr/bin/id", own_id)
        os.chmod(own_id, 0o4755)
        os.chmod(self.directory, 0o755)
        nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups"
        self.assertEqual(session(f"{nobody} {own_id} -u"), b"0\n")
        self.assertIn(b"password is required", session(f"{nobody} sudo -n true 2>&1 || true"))


if __name__ == "__main__":
    main()
