"""Sign or verify as the question on standard input says. For Modelship itself only."""

import sys
import tempfile
from pathlib import Path
from typing import Any

if not __package__:
    # Started as a folder: Python then puts this folder itself first on the path.
    sys.path[0] = str(Path(__file__).resolve().parents[3])

from modelship.core.elsewhere import answer
from modelship.core.errors import bad_input
from modelship.core.words import clean
from modelship.registry.signing.signatures import Question


def reply(question: Question) -> None:
    """Sign or verify. Raises BadInput as `signatures` says."""
    # The library takes keys as files. This one is for us alone, and goes at the end.
    with tempfile.TemporaryDirectory(prefix="modelship-") as folder:
        key = Path(folder) / "key.pem"
        key.touch(mode=0o600)
        key.write_text(question.private_key or question.public_key, encoding="utf-8")
        if question.private_key:
            _sign(question, key)
        else:
            _verify(question, key)


def _all_files() -> Any:
    """Left to itself the library does not look at `.gitignore` and the like."""
    from model_signing import hashing

    return hashing.Config().set_ignored_paths(paths=[], ignore_git_paths=False)


def _sign(question: Question, key: Path) -> None:
    from model_signing import signing

    try:
        signer = signing.Config().set_hashing_config(_all_files()).use_elliptic_key_signer(private_key=key)
    except Exception:
        # What the library says of a key may show a part of it.
        remedy = "Give the PEM text of a private key on P-256, P-384 or P-521, without a password."
        raise bad_input("the signing key cannot be used.", remedy) from None
    signer.sign(question.model, question.signature)


def _verify(question: Question, key: Path) -> None:
    from model_signing import verifying

    try:
        verifier = verifying.Config().set_hashing_config(_all_files()).use_elliptic_key_verifier(public_key=key)
    except Exception:
        remedy = "It takes the PEM file of a public key on P-256, P-384 or P-521."
        raise bad_input("`registry.signing.public-key` is no such key.", remedy) from None
    try:
        verifier.verify(Path(question.model), Path(question.signature))
    except Exception as error:
        reason = clean(str(error), 300) or type(error).__name__
        raise bad_input(
            f"the model's signature does not hold: {reason}", "Do not deploy it: it was signed with another key, or changed since."
        ) from None


if __name__ == "__main__":
    answer(Question, reply)
