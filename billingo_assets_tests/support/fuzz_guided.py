"""Bodies that are guided by what they reach in the code, with atheris, which is not among the dependencies.

`python -m billingo_assets_tests.support.fuzz_guided -max_total_time=300` where it is installed. No tests here.
"""

from __future__ import annotations

import sys

import atheris

ROOMS = ["billingo_assets.billingo", "billingo_assets.sync", "billingo_assets.normalize"]

with atheris.instrument_imports(include=ROOMS):
    from billingo_assets_tests.support.fuzz_properties import check_body, check_document

if __name__ == "__main__":

    def check(data: bytes) -> None:
        check_body(data)
        check_document(data)

    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
