"""Every header compiles alone: a file that includes it needs no other header before it."""

import argparse
import concurrent.futures
import os
import subprocess
import sys
import unittest

from layering_test import ROOT, sources

COMPILER = ["g++", "-std=c++20", "-fsyntax-only", "-D_GNU_SOURCE", "-I", ROOT, "-I", os.path.join(ROOT, "worker/modules/include")]


def complaint(header, generated):
    """The errors of the compiler for a file that includes only this header."""
    result = subprocess.run([*COMPILER, "-I", generated, "-x", "c++", "-"], input=f'#include "{header}"\n', text=True,
                            capture_output=True)
    return f"{header}: {result.stderr[:500]}" if result.returncode else ""


class Headers(unittest.TestCase):
    def test_each_header_compiles_alone(self):
        headers = [*sources("master", ".h"), *sources("worker", ".h")]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            complaints = list(filter(None, pool.map(lambda header: complaint(header, GENERATED), headers)))
        self.assertEqual(complaints, [])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--bindir", required=True)
    GENERATED = os.path.join(os.path.dirname(parser.parse_args().bindir), "generated")
    unittest.main(argv=sys.argv[:1])
