#!/usr/bin/env python3
"""Checks messages that the tests received against the files in schemas/, with Python's jsonschema.

validate.py FOLDER   the folder that FFN_BRIDGE_MESSAGES named: files of lines, each a message as a JSON string
"""

import collections
import json
import pathlib
import sys

import jsonschema

schemas = {}
for path in (pathlib.Path(__file__).parent.parent / "schemas").glob("*/*.json"):
    schema = json.loads(path.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    schemas[path.stem] = jsonschema.Draft202012Validator(schema, format_checker=checker)

messages, faults = collections.Counter(), []
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.jsonl")):
    for line in path.open(encoding="utf-8"):
        event = json.loads(json.loads(line))
        name = event["type"]
        # A status that nobody has a name for is described by the generic schema.
        validator = schemas.get(name) or schemas.get(".".join(name.split(".")[:2]) + ".status.v1")
        messages[name] += 1
        if validator is None:
            faults.append(f"{name}: there is no schema of it")
            continue
        for fault in validator.iter_errors(event):
            faults.append(f"{name} {event['id']} at {fault.json_path}: {fault.message[:300]}")

print(f"validate: {messages.total()} messages of {len(messages)} types, {len(faults)} faults")
for fault in faults[:20]:
    print(f"  {fault}")
never = [name for name in schemas if name.startswith("ffn.") and name not in messages]
never = [name for name in never if ".status." not in name and ".command." not in name]
if never:
    print(f"validate: no message of {', '.join(sorted(never))}")
sys.exit(1 if faults or not messages else 0)
