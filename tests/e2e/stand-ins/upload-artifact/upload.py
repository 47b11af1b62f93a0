"""Copies files to `$E2E_ARTIFACTS/<run>/<id>/files`, with the original's rules on what belongs to an artifact."""

import hashlib
import io
import json
import os
import shutil
import sys
import zipfile
from pathlib import Path


def found_files(hidden: bool) -> tuple[Path, list[Path]]:
    """Return the folder that the names in the artifact are relative to, and the files.

    One folder is its own root; several paths share their lowest common folder. Without `hidden`, whatever is found below or
    as a name that starts with a dot is left out, the searched folder included.
    """
    workspace = Path(os.environ["GITHUB_WORKSPACE"])
    files: list[Path] = []
    roots: list[Path] = []
    for pattern in filter(None, (line.strip() for line in os.environ["FILES"].splitlines())):
        plain = Path(os.path.normpath(workspace / pattern))
        matches = [plain] if plain.exists() else sorted(workspace.glob(pattern))
        for match in matches:
            roots.append(match if match.is_dir() else match.parent)
            inside = [match] if match.is_file() else sorted(path for path in match.rglob("*") if path.is_file())
            for path in inside:
                below = (match.name, *path.relative_to(match).parts)
                if hidden or not any(part.startswith(".") for part in below):
                    files.append(path)
    if not roots:
        return workspace, []
    return Path(os.path.commonpath(roots)), files


def main() -> None:
    """Store the artifact and set the outputs."""
    whole = os.environ["ARCHIVE"] != "false"
    root, files = found_files(os.environ["HIDDEN"] == "true")
    if not files:
        message = f"No files were found with the provided path: {os.environ['FILES']}. No artifacts will be uploaded."
        print({"error": "::error::", "ignore": ""}.get(os.environ["NONE_FOUND"], "::warning::") + message)
        sys.exit(1 if os.environ["NONE_FOUND"] == "error" else 0)
    if not whole and len(files) != 1:
        sys.exit(f"::error::archive: false takes one file, and {len(files)} were found")
    name = os.environ["NAME"] if whole else files[0].name
    store = Path(os.environ["E2E_ARTIFACTS"]) / os.environ["GITHUB_RUN_ID"]
    store.mkdir(parents=True, exist_ok=True)
    others = {path.parent: json.loads(path.read_text(encoding="utf-8")) for path in store.glob("*/artifact.json")}
    for folder, other in others.items():
        if other["name"] == name:
            if os.environ["OVERWRITE"] != "true":
                sys.exit(f"::error::Failed to CreateArtifact: (409) an artifact with the name {name} already exists on the run")
            shutil.rmtree(folder)
    number = int(os.environ["GITHUB_RUN_ID"]) * 100 + len(others) + 1
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in files:
            inside = path.relative_to(root)
            target = store / str(number) / "files" / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            archive.writestr(zipfile.ZipInfo(inside.as_posix()), path.read_bytes())
    digest = hashlib.sha256(packed.getvalue() if whole else files[0].read_bytes()).hexdigest()
    page = f"{os.environ['GITHUB_SERVER_URL']}/{os.environ['GITHUB_REPOSITORY']}/actions/runs/{os.environ['GITHUB_RUN_ID']}"
    entry = {"id": number, "name": name, "digest": digest, "url": f"{page}/artifacts/{number}"}
    (store / str(number) / "artifact.json").write_text(json.dumps(entry), encoding="utf-8")
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as output:
        output.write("".join(f"artifact-{key}={entry[key]}\n" for key in ("id", "url", "digest")))
    print(f"Artifact {name}: {len(files)} files, sha256:{digest}")


main()
