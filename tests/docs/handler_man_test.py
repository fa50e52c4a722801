"""bulkhead_handler(3) against bulkhead/handler.h: every member and every constant is in the page, and no other member."""
import os
import re
import unittest

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def read(*path):
    with open(os.path.join(SOURCE, *path)) as file:
        return file.read()


class HandlerManual(unittest.TestCase):
    def setUp(self):
        header = re.sub(r"/\*.*?\*/", "", read("worker", "modules", "include", "bulkhead", "handler.h"), flags=re.S)
        self.page = read("man", "bulkhead_handler.3")
        self.members = {name: set(re.findall(r"(?:\(\*)?(\w+)\)?(?:\([^()]*\))?;", body))
                        for name, body in re.findall(r"^struct (\w+) \{(.*?)^\};", header, re.M | re.S)}
        self.constants = set(re.findall(r"\b(BULKHEAD_(?:HANDLER_ABI|DEBUG|INFO|WARNING|ERROR))\b", header))

    def section(self, title):
        return re.search(rf"^\.Ss {re.escape(title)}$(.*?)^\.S[sh] ", self.page, re.M | re.S).group(1)

    def documented(self, text):
        out = set()
        for line in re.findall(r"^\.It (F[an] .*)$", text, re.M):
            macro, *words = line.split()
            names = [word for word in words if re.fullmatch(r"\w+", word) and word not in ("Fa", "Fn")]
            out |= set(names if macro == "Fa" else names[:1])
        return out

    def test_the_manual_has_the_members_of_each_structure(self):
        self.assertEqual(self.documented(self.section("Data passed to init()")), self.members["bulkhead_host"])
        self.assertEqual(self.documented(self.section("Data passed to serve()")), self.members["bulkhead_connection"])
        description = self.page.split(".Sh DESCRIPTION")[1].split(".Ss ")[0]
        self.assertEqual(self.documented(description), self.members["bulkhead_handler"] - {"abi", "size"})

    def test_the_synopsis_is_the_header(self):
        def plain(text):
            return re.sub(r"\s+", "", text)
        header = re.sub(r"/\*.*?\*/", "", read("worker", "modules", "include", "bulkhead", "handler.h"), flags=re.S)
        declared = re.search(r"^struct bulkhead_handler \{.*?^\};", header, re.M | re.S).group(0)
        shown = re.search(r"^struct bulkhead_handler \{.*?^\};", self.page, re.M | re.S).group(0)
        self.assertEqual(plain(shown), plain(declared))

    def test_the_manual_has_the_constants(self):
        self.assertEqual(len(self.constants), 5)
        for name in self.constants:
            self.assertRegex(self.page, rf"\.Dv {name}\b")


if __name__ == "__main__":
    unittest.main()
