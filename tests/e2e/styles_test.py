"""The styles of exec handlers, each with programs that were written for it."""

import json
import os
import poplib
import re
import shutil
import smtplib
import subprocess
import threading

from harness import Client, TestCase, exec_listener, main, tool, wait_until

ENV = shutil.which("env")
MAILFRONT = "/usr/sbin/mailfront"
TEXT = {"target": "stderr", "format": "text"}  # programs write there what they like


class ListenFds(TestCase):
    """As systemd would start it with Accept=yes."""

    def ask(self, daemon, words=b"hello\n"):
        with Client(daemon.address(), 20) as client:
            client.send(words)
            return json.loads(client.rest()), client.name

    def test_the_connection_is_where_sd_listen_fds_looks(self):
        daemon = self.start(exec_listener([self.helper("sd_listens")], style="listen_fds"), log=TEXT)
        told, name = self.ask(daemon)
        self.assertEqual((told["found"], told["names"], told["input"]), ([3], ["connection"], "hello\n"))
        self.assertTrue(told["blocking"])
        self.assertEqual(told["environment"]["LISTEN_PID"], str(told["pid"]))
        self.assertEqual(told["environment"]["TCPREMOTEPORT"], name.split(":")[1])
        wait_until(lambda: re.search(f" ended .*peer={name} pid={told['pid']} ", daemon.stderr_text()), 5, "its end in the log")

    def test_no_other_descriptor_is_open(self):
        daemon = self.start(exec_listener([self.helper("sd_listens")], style="listen_fds"), log=TEXT)
        descriptors = self.ask(daemon)[0]["descriptors"]
        self.assertEqual(sorted(descriptors), ["0", "1", "2", "3"])
        self.assertEqual(descriptors["0"], "/dev/null")
        self.assertEqual(descriptors["1"], descriptors["2"])
        self.assertRegex(descriptors["3"], "^socket:")
        self.assertNotEqual(descriptors["2"], descriptors["3"])

    def test_standard_output_is_the_log(self):
        daemon = self.start(exec_listener([self.helper("sd_listens")], style="listen_fds"), log=TEXT)
        self.ask(daemon)
        wait_until(lambda: re.search("to the log\\b", daemon.stderr_text(), re.M), 3, "the program's words in the log")

    def test_listen_pid_is_the_pid_of_each_program(self):
        """LISTEN_PID is written between clone and exec; a mistake shows as a program that finds nothing."""
        program = self.write("pids", '#!/bin/sh\necho "$LISTEN_PID $$" >&3\n', 0o755)
        daemon = self.start(exec_listener([program], style="listen_fds", workers=4))
        answers, lock = [], threading.Lock()

        def run():
            for _ in range(25):
                with Client(daemon.address(), 20) as client:
                    answer = client.rest()
                with lock:
                    answers.append(answer.decode().split())
        threads = [threading.Thread(target=run, daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(len(answers), 200)
        self.assertEqual([pair for pair in answers if len(pair) != 2 or pair[0] != pair[1]], [])
        self.assertGreater(len({pid for pid, _ in answers}), 150)

    def test_other_styles_have_no_such_variables(self):
        daemon = self.start(exec_listener([ENV], style="ucspi"), environment={**os.environ, "LISTEN_FDS": "1", "LISTEN_PID": "1"})
        with Client(daemon.address()) as client:
            self.assertNotIn(b"LISTEN_", client.rest())

    def test_a_missing_program_is_refused(self):
        program = self.write("handler", "#!/bin/sh\nexit 0\n", 0o755)
        daemon = self.start(exec_listener([program], style="listen_fds"))
        os.unlink(program)
        with Client(daemon.address()) as client:
            self.assertEqual(client.rest(), b"")
        self.assertEqual(daemon.wait_log("^refused a connection: .* failed: ")[0]["errno"], "ENOENT")


class Ucspi(TestCase):
    """mailfront, a mail server that knows nothing of sockets, with the mail clients of curl and Python."""

    def smtp(self, **keys):
        self.queue = os.path.join(self.directory, "queue")
        for name in ("tmp", "new"):
            os.makedirs(os.path.join(self.queue, name))
        argv = [ENV, f"QUEUEDIR={self.queue}/", MAILFRONT, "smtp", "queuedir", "accept", "add-received"]
        return self.start(exec_listener(argv, **keys), log=TEXT)

    def queued(self):
        """Each message in the queue: (sender, recipients, text)."""
        out = []
        for name in os.listdir(os.path.join(self.queue, "new")):
            with open(os.path.join(self.queue, "new", name), "rb") as file:
                sender, rest = file.read().split(b"\0", 1)
            recipients, text = rest.split(b"\0\0", 1)
            out.append((sender.decode(), recipients.decode().split("\0"), text.decode().replace("\r\n", "\n")))
        return out

    @tool(MAILFRONT)
    def test_20_mails_at_once(self):
        daemon = self.smtp()
        host, port = daemon.address()
        body = "From: a@example.org\nSubject: {0}\n\nMail number {0}\n.with a dot\n" + "x" * 60 + "\n"

        def send(number):
            with smtplib.SMTP(host, port, timeout=20) as server:
                server.sendmail(f"a{number}@example.org", ["b@example.org", "c@example.org"], body.format(number))
        threads = [threading.Thread(target=send, args=(number,), daemon=True) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        mails = self.queued()
        self.assertEqual(len(mails), 20)
        for sender, recipients, text in mails:
            number = sender[1:].split("@")[0]
            self.assertEqual(recipients, ["b@example.org", "c@example.org"])
            received, rest = text.split("\nFrom: ", 1)
            self.assertEqual("From: " + rest, body.format(number))
            # mailfront knows its client from TCPREMOTEIP and TCPLOCALIP.
            self.assertRegex(received.replace("\n", " "), r"Received: from .*127\.0\.0\.1.* by .*127\.0\.0\.1.* with E?SMTP via TCP")
        wait_until(lambda: len(re.findall("mailfront.* MAIL FROM:<a", daemon.stderr_text())) == 20, 5, "all lines of mailfront")

    @tool(MAILFRONT, "curl")
    def test_curl_over_ipv6(self):
        if not os.path.exists("/proc/net/if_inet6"):
            self.skipTest("no IPv6 here")
        daemon = self.smtp(listen="[::1]:0")
        mail = self.write("mail", "Subject: six\n\nhello\n")
        done = subprocess.run(["curl", "-sS", "-m", "20", f"smtp://[::1]:{daemon.address()[1]}/client.example", "--crlf",
                               "--mail-from", "a@example.org", "--mail-rcpt", "b@example.org", "-T", mail],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30)
        self.assertEqual((done.returncode, done.stdout), (0, b""))
        (_, _, text), = self.queued()
        self.assertIn("::1", text)
        self.assertTrue(text.endswith("Subject: six\n\nhello\n"), text)

    @tool("/usr/sbin/pop3front-maildir")
    def test_pop3_with_a_client_that_reads_and_deletes(self):
        maildir = os.path.join(self.directory, "Maildir")
        for name in ("tmp", "new", "cur"):
            os.makedirs(os.path.join(maildir, name))
        for number in range(3):
            self.write(f"Maildir/new/{number}.1.host", f"Subject: {number}\n\nnumber {number}\n")
        daemon = self.start(exec_listener(["/usr/sbin/pop3front-maildir", maildir]), log=TEXT)
        host, port = daemon.address()
        server = poplib.POP3(host, port, timeout=20)
        self.assertEqual(server.stat()[0], 3)
        self.assertEqual(server.retr(2)[1], [b"Subject: 1", b"", b"number 1", b""])
        server.dele(2)
        server.quit()
        left = sorted(name for part in ("new", "cur") for name in os.listdir(os.path.join(maildir, part)))
        self.assertEqual([name.split(".")[0] for name in left], ["0", "2"])

    @tool("unixclient", "cat")
    def test_a_client_of_ucspi_unix(self):
        path = os.path.join(self.directory, "s")
        self.start(exec_listener([ENV], listen=f"unix:{path}"))
        done = subprocess.run(["unixclient", path, "sh", "-c", "cat <&6; echo UNIXREMOTEPATH=$UNIXREMOTEPATH PROTO=$PROTO"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=20)
        self.assertEqual(done.returncode, 0)
        self.assertIn(f"UNIXLOCALPATH={path}\n".encode(), done.stdout)

    @tool("recordio")
    def test_recordio_writes_to_the_log(self):
        """A filter of ucspi-tcp: descriptor 2 is the log, 0 and 1 are the connection."""
        daemon = self.start(exec_listener([shutil.which("recordio"), os.path.realpath("/bin/cat")]), log=TEXT)
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo(b"on the record\n"))
        wait_until(lambda: re.search("> on the record", daemon.stderr_text()), 5, "the record in the log")


if __name__ == "__main__":
    main()
