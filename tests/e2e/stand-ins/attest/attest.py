"""Adds a statement, as in-toto writes them, to `$E2E_ATTESTATIONS/<run>.jsonl`, by the original's rules on what may be attested."""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any


def predicate() -> tuple[str, Any]:
    """Return the type and the content: of a bill of materials what the file holds, of provenance what ran."""
    if not os.environ["SBOM"]:
        run = {"repository": os.environ["GITHUB_REPOSITORY"], "commit": os.environ["GITHUB_SHA"], "run": os.environ["GITHUB_RUN_ID"]}
        return "https://slsa.dev/provenance/v1", run
    bill = json.loads(Path(os.environ["SBOM"]).read_bytes())
    if not all(bill.get(key) for key in ("bomFormat", "serialNumber", "specVersion")):
        sys.exit("::error::Unsupported SBOM format")
    return "https://cyclonedx.org/bom", bill


def matching(pattern: str) -> list[Path]:
    """Return the files that a pattern names, in order."""
    root = Path(Path(pattern).anchor)
    return sorted(file for file in root.glob(str(Path(pattern).relative_to(root))) if file.is_file())


def main() -> None:
    """Write the statement and set the output."""
    files = [file for pattern in os.environ["SUBJECT"].splitlines() for file in matching(pattern)]
    if not files:
        sys.exit(f"::error::Could not find subject at path {os.environ['SUBJECT']}")
    subjects = [{"name": file.name, "digest": {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()}} for file in files]
    kind, content = predicate()
    statement = {"subject": subjects, "predicateType": kind, "predicate": content}
    store = Path(os.environ["E2E_ATTESTATIONS"])
    store.mkdir(parents=True, exist_ok=True)
    with (store / f"{os.environ['GITHUB_RUN_ID']}.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(statement) + "\n")
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as output:
        output.write(f"attestation-url=https://github.com/{os.environ['GITHUB_REPOSITORY']}/attestations/1\n")


main()
