"""skops files: which types they would bring to life. skops reads that without making any of them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Collection, Mapping

from modelship.registry.admission import numpy_files, pickles
from modelship.registry.admission.archives import entries

REVIEWED = frozenset(
    {
        "functools.partial",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.tree._tree.Tree",
        "sklearn.utils.validation.check_array",
    }
)
"""Types that skops does not trust by itself, and that run nothing when they are read.

A partial is made, not called, and what it would call is judged by itself; `check_array` only looks at arrays. Trees keep
indices that scikit-learn follows without looking: a forged one can make the process that predicts read where it should not, and crash.
"""


def is_skops(files: Mapping[str, bytes]) -> bool:
    """Whether an archive's files are those of a skops file."""
    return "schema.json" in files


def why_not(content: bytes, files: Mapping[str, bytes], trusted: Collection[str], max_bytes: int) -> str:
    """What keeps a skops file from being read safely, as the rest of a sentence about it; empty if nothing."""
    for name, inside in files.items():
        if name != "schema.json" and not _is_plain(name, inside, max_bytes):
            return f"holds `{name[:80]}`, which is no array of numbers"
    try:
        unknown = sorted(set(_untrusted(content, files)) - REVIEWED - set(trusted))
    except Exception as error:  # skops states no errors of its own for a file that is not what it should be.
        return f"cannot be read by skops ({type(error).__name__})"
    if not unknown:
        return ""
    shown = ", ".join(f"`{name[:120]}`" for name in unknown[:5])
    return f"asks for types that nobody has reviewed: {shown}{', …' if len(unknown) > 5 else ''}"


def _untrusted(content: bytes, files: Mapping[str, bytes]) -> list[str]:
    json.loads(files["schema.json"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from skops.io import get_untrusted_types

        return list(get_untrusted_types(data=content))


def _is_plain(name: str, content: bytes, max_bytes: int) -> bool:
    if name.endswith(".npy"):
        return content.startswith(numpy_files.MAGIC) and numpy_files.holds_only_numbers(content)
    if name.endswith(".npz"):
        found = entries(content, max_bytes)
        return not isinstance(found, str) and all(one.endswith(".npy") and _is_plain(one, array, 0) for one, array in found.items())
    # Raw bytes, which skops hands over as they are.
    return name.endswith(".bin") and not pickles.is_pickle(content) and pickles.compression(content) is None and content[:2] != b"PK"
