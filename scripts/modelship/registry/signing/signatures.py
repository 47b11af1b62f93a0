"""Sign a model folder, and verify a signature. The library is in the environment `signing`; here it is only asked."""

from __future__ import annotations

from pathlib import Path

import msgspec

from modelship.core.elsewhere import ask
from modelship.core.errors import bad_input

_TIMEOUT_MINUTES = 15


class Question(msgspec.Struct, frozen=True):
    """What is asked: with a private key to sign, with a public one to verify. Both are PEM text."""

    model: str
    signature: str
    """The path of the signature."""
    private_key: str = ""
    public_key: str = ""


def sign(model: Path, signature: Path, private_key: str) -> None:
    """Write the signature of a model folder. Raises BadInput for a key that cannot sign."""
    _ask(Question(str(model), str(signature), private_key=private_key))


def verify(model: Path, signature: Path, public_key: Path) -> None:
    """Raise BadInput unless every file of the folder, and no other, was signed with the key that belongs to `public_key`."""
    try:
        key = public_key.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise bad_input(
            f"the public key cannot be read: {reason}.", "Mend `registry.signing.public-key`.", path=str(public_key)
        ) from None
    _ask(Question(str(model), str(signature), public_key=key))


def _ask(question: Question) -> None:
    ask("signing", Path(__file__).resolve().parent, question, type(None), who="model-signing", minutes=_TIMEOUT_MINUTES)
