# SPDX-License-Identifier: Apache-2.0
"""Answer for python-dotenv: one JSON line with a file in, one with its reading out."""
import base64
import io
import json
import logging
import os
import re
import sys

import dotenv.main

os.environ.clear()


class Count(logging.Handler):
    warnings = 0

    def emit(self, record):
        if "could not parse" in record.getMessage():
            Count.warnings += 1


class KeyRule(dotenv.main.DotEnv):
    """python-dotenv, and the rule that it does not have: a key is a variable's name, or one with dots and dashes and a value."""

    refused = 0

    def parse(self):
        for key, value in super().parse():
            if re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", key) or (
                re.fullmatch("[A-Za-z_.-][A-Za-z0-9_.-]*", key) and (value or "").strip("=")
            ):
                yield key, value
            else:
                self.refused += 1


logger = logging.getLogger("dotenv.main")
logger.addHandler(Count())
logger.propagate = False

for line in sys.stdin:
    Count.warnings = 0
    # What open() does with a file, newlines included. The byte order mark is
    # the one difference: dotenv opens as plain utf-8 and makes it part of the
    # first key.
    stream = io.TextIOWrapper(io.BytesIO(base64.b64decode(json.loads(line))), encoding="utf-8-sig")
    reading = KeyRule(dotenv_path=None, stream=stream)
    values = reading.dict()
    print(json.dumps({
        "pairs": [k + "=" + (v or "") for k, v in values.items()],
        "warnings": Count.warnings,
        "refused": reading.refused,
    }), flush=True)
