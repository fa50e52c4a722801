"""A real balancer in front: HAProxy sends its headers, and the program behind bulkhead knows the balancer's client."""

import os
import shutil
import ssl
import subprocess
import threading

from harness import Client, ControlledTestCase, exec_listener, free_port, listener, main, tool, wait_until
from harness.listening import listening_on
from programs_test import example, replaced

ENV = shutil.which("env")
CONFIG = """
global
  log stderr local0
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
"""


def variables(text):
    return dict(line.split("=", 1) for line in text.decode().splitlines())


@tool("haproxy")
class HAProxy(ControlledTestCase):
    def balance(self, daemon, options, bind="", more="", name=None):
        """HAProxy on a port of its own, before the listener; returns the address for its clients."""
        port = free_port()
        host, service = daemon.address(name)
        text = f"{CONFIG}listen front\n  bind 127.0.0.1:{port} {bind}\n{more}  server bulkhead {host}:{service} {options}\n"
        path = self.write(f"haproxy-{port}.cfg", text)
        with open(os.path.join(self.directory, "haproxy.log"), "ab") as log:
            balancer = subprocess.Popen(["haproxy", "-db", "-f", path], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(balancer.wait, 10)
        self.addCleanup(balancer.kill)
        wait_until(lambda: listening_on(port), 10, "haproxy listens")
        return "127.0.0.1", port

    def supervise_example(self):
        """The example with a site of one page."""
        site = os.path.join(self.directory, "www")
        os.mkdir(site)
        with open(os.path.join(site, "page"), "w") as file:
            file.write("a page\n")
        config = replaced(example("haproxy.json"), {"/srv/www": site, "127.0.0.1:8080": "127.0.0.1:0"})
        if os.geteuid() != 0:
            del config["supervisor"]["children"][0]["user"]
        return self.supervise(config=config)

    def fetch(self, address, source):
        done = subprocess.run(["curl", "-sSf", "--noproxy", "*", "--interface", source, "http://%s:%d/page" % address],
                              capture_output=True, text=True, timeout=20)
        self.assertEqual((done.stdout, done.stderr), ("a page\n", ""))

    @tool("busybox", "curl")
    def test_the_example_works(self):
        daemon = self.supervise_example()
        self.fetch(self.balance(daemon, "send-proxy-v2"), "127.0.0.7")
        self.assertRegex(daemon.wait_log("^connection .* ended")[0]["peer"], r"^127\.0\.0\.7:")

    @tool("busybox", "curl")
    def test_each_client_of_the_balancer_has_its_share_in_the_example(self):
        daemon = self.supervise_example()
        share, = (child["max_connections_per_source"] for child in example("haproxy.json")["supervisor"]["children"])
        address = self.balance(daemon, "send-proxy-v2")
        held = []
        for _ in range(share):
            held.append(Client(address, source=("127.0.0.7", 0)))
            self.addCleanup(held[-1].close)
        served = wait_until(lambda: len(found := daemon.control.value("connections")) == share and found, 10, "all its share")
        for one in served:
            with open(f"/proc/{one['pid']}/environ") as file:
                env = dict(line.split("=", 1) for line in file.read().split("\0") if line)
            self.assertEqual((env["TCPREMOTEIP"], env["REMOTE_ADDR"]), ("127.0.0.7", "127.0.0.7"))
            self.assertEqual(f"{env['TCPREMOTEIP']}:{env['TCPREMOTEPORT']}", one["peer"])
            self.assertEqual(env["BULKHEAD_REAL_PEER"], one["real_peer"])
        self.assertEqual({one["peer"] for one in served}, {client.name for client in held})
        with Client(address, source=("127.0.0.7", 0)) as late:
            self.assertEqual(late.rest(), b"")
        line = daemon.wait_log(f"^refused a connection: max_connections_per_source is {share}, source 127.0.0.7/32$")[0]
        self.assertEqual((line["peer"], line["reason"]), (late.name, "per_source"))
        self.fetch(address, "127.0.0.8")  # while the share of the other is used up
        refused = daemon.control.call("stats")["result"]["totals"]["refused"]
        self.assertEqual({reason: count for reason, count in refused.items() if count}, {"per_source": 1})
        self.assertTrue(set(one["id"] for one in served) <= {one["id"] for one in daemon.control.value("connections")})

    def test_the_client_reaches_the_program_and_the_list(self):
        daemon = self.supervise(exec_listener([ENV]  # each connection ends at once
                                              , name="env", proxy_protocol="auto"),
                                listener("echo", proxy_protocol="auto"))
        for option in ("send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c"):
            address = self.balance(daemon, option, name="env")
            with Client(address, source=("127.0.0.7", 0)) as client:
                env = variables(client.rest())
                host, port = client.name.split(":")
            self.assertEqual((env["TCPREMOTEIP"], env["TCPREMOTEPORT"], env["REMOTE_ADDR"]), (host, port, host))
            self.assertEqual((env["TCPLOCALIP"], env["TCPLOCALPORT"]), (address[0], str(address[1])))
            self.assertEqual(env["BULKHEAD_REAL_LOCAL"], "%s:%d" % daemon.address("env"))
            self.assertRegex(env["BULKHEAD_REAL_PEER"], r"^127\.0\.0\.1:\d+$")
            self.assertEqual(env["BULKHEAD_PROXY_VERSION"], "1" if option == "send-proxy" else "2")
            address = self.balance(daemon, option, name="echo")
            with Client(address, source=("127.0.0.7", 0)) as client:
                self.assertTrue(client.echo())
                one, = daemon.control.value("connections")
                self.assertEqual(one["peer"], client.name)
                self.assertRegex(one["real_peer"], r"^127\.0\.0\.1:\d+$")
            wait_until(lambda: daemon.control.value("connections") == [], 5, "the end")
        self.assertEqual(sum(daemon.control.call("stats")["result"]["totals"]["refused"].values()), 0)

    def test_many_clients_at_once_each_with_its_own_address(self):
        daemon = self.supervise(exec_listener(["/bin/sh", "-c", "read line; echo $TCPREMOTEIP:$TCPREMOTEPORT $line"],
                                              proxy_protocol="v2"))
        address = self.balance(daemon, "send-proxy-v2")
        wrong = []

        def run(number):
            for turn in range(10):
                with Client(address, source=(f"127.0.1.{number + 1}", 0), timeout=20) as client:
                    client.send(b"%d\n" % turn)
                    if client.rest() != f"{client.name} {turn}\n".encode():
                        wrong.append(client.name)
        threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        self.assertEqual(daemon.control.call("stats")["result"]["totals"]["accepted"], 80)

    def test_health_checks_are_not_counted_as_clients(self):
        daemon = self.supervise(listener(proxy_protocol="v2"))
        self.balance(daemon, "send-proxy-v2 check inter 50ms")
        count = wait_until(lambda: (n := daemon.control.call("stats")["result"]["totals"])["completed"] >= 5 and n, 10,
                           "some health checks")
        self.assertEqual(sum(count["refused"].values()), 0)
        self.assertEqual(count["crashed"], 0)

    @tool("openssl")
    def test_tls_values_of_the_client_are_passed_on(self):
        certificate = self.certificate("balancer.example")
        daemon = self.supervise(exec_listener([ENV], proxy_protocol="v2"))
        address = self.balance(daemon, "send-proxy-v2 proxy-v2-options ssl,cert-cn,ssl-cipher,authority,crc32c,unique-id",
                               bind=f"ssl crt {certificate} alpn h2,http/1.1 verify required ca-file {certificate}",
                               more="  unique-id-format %{+X}o\\ %ci:%cp-%rt\n")
        context = ssl.create_default_context(cafile=certificate)
        context.load_cert_chain(certificate)
        context.check_hostname = False
        context.set_alpn_protocols(["h2"])
        with Client(address) as client:
            with context.wrap_socket(client.socket, server_hostname="www.example.org") as wrapped:
                text, cipher = b"", wrapped.cipher()
                while part := wrapped.recv(65536):
                    text += part
        env = variables(text)
        self.assertEqual(env["TCPREMOTEIP"] + ":" + env["TCPREMOTEPORT"], client.name)
        self.assertEqual({key: text for key, text in env.items() if key.startswith(("SSL_", "BULKHEAD_PROXY_")) and
                          key != "BULKHEAD_PROXY_UNIQUE_ID"},
                         {"BULKHEAD_PROXY_VERSION": "2", "BULKHEAD_PROXY_ALPN": "h2",
                          "BULKHEAD_PROXY_AUTHORITY": "www.example.org", "SSL_TLS_SNI_SERVERNAME": "www.example.org",
                          "SSL_PROTOCOL": cipher[1], "SSL_CIPHER": cipher[0], "SSL_PEER_CERT_CN": "balancer.example"})
        self.assertTrue(env["BULKHEAD_PROXY_UNIQUE_ID"])

    def certificate(self, name):
        """Certificate and key in one file: the balancer's, and the client's too."""
        path = os.path.join(self.directory, "both.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={name}",
                        "-keyout", path + ".key", "-out", path + ".crt"], check=True, capture_output=True)
        with open(path, "w") as both:
            for part in (".crt", ".key"):
                with open(path + part) as file:
                    both.write(file.read())
        return path


if __name__ == "__main__":
    main()
