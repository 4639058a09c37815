"""The errors that Harken raises, and the helper that suggests what was meant.

Every message says what was received, what was expected, and the cure, in this order and in plain words: the command prints
it as it stands, on one line, and ends with a non-zero code.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

_MOST_MISTAKES, _MOST_NAMES, _LONGEST_WORD = 100, 200, 200
"""What a message shows at most: a file from elsewhere can hold a million mistakes."""

TERMINAL = "harken-terminal"
"""Name of the log's handler that prints warnings for whoever sits before the command."""


class HarkenError(Exception):
    """Whatever Harken refuses to do, with the reason and the cure in its message."""


class AudioError(HarkenError):
    """A file cannot be read as audio."""


class DataError(HarkenError):
    """The given DATA (folder, table, arrays) cannot be learnt from or judged."""


class NetError(HarkenError):
    """A network cannot be built: its message shows the layer table up to the fault."""


class ModelError(HarkenError):
    """A ``.harken`` file is damaged, foreign, newer than this Harken, or does not suit the request."""


class RunError(HarkenError):
    """A run's folder cannot be written, or cannot be continued."""


class MissingExtraError(HarkenError):
    """An optional package is not installed; the message holds the command that installs it."""


class RecipeError(HarkenError):
    """A recipe holds mistakes: all of them, not only the first.

    Parameters
    ----------
    where : str
        The recipe's name or path.
    mistakes : iterable of str
        One sentence each.
    """

    what = "recipe"

    def __init__(self, where: str, mistakes: Iterable[str]) -> None:
        self.where = where
        self.mistakes = tuple(mistakes)
        count = len(self.mistakes)
        told = [_ends(mistake) for mistake in self.mistakes[:_MOST_MISTAKES]]
        if count > len(told):
            told.append(f"and {count - len(told)} more")
        head = f"{self.what} {where}: {count} mistake{'s' if count > 1 else ''}"
        super().__init__("\n  - ".join([head, *told]) if count > 1 else f"{self.what} {where}: {told[0]}")


class DeclarationError(RecipeError):
    """The declaration of a backbone holds mistakes, or is that of another network: all of them."""

    what = "declaration"


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be used, and why. The others go on without it.

    Attributes
    ----------
    path : str
        The file, as it was given.
    reason : str
        One sentence.
    """

    path: str
    reason: str


def brief(value: object, most: int = 80) -> str:
    r"""Return what was received as a message may show it: on one line, printable, and cut where it is long.

    Examples
    --------
    >>> brief("label\x1b[31m"), brief("abcdef", most=3)
    ('label?[31m', 'abc …')
    """
    text = str(value)
    shown = "".join(char if char.isprintable() else " " if char.isspace() else "?" for char in text[:most])
    return " ".join(shown.split()) + (" …" if len(text) > most else "")


def printable(text: str, keep: str = "") -> str:
    r"""Return a message with what is no text escaped, as the names of files in it may hold anything.

    Parameters
    ----------
    text : str
    keep : str
        Signs that stay, though they are no text: ``"\n"`` in a message of several lines.

    Examples
    --------
    >>> printable("a\n\x1b[2Jb.wav: is empty")
    'a\\n\\x1b[2Jb.wav: is empty'
    """
    return "".join(sign if sign.isprintable() or sign in keep else repr(sign)[1:-1] for sign in text)


def _ends(mistake: str) -> str:
    """Return a mistake for a message: of a long one its beginning, which names the key, and its end, which gives the reason."""
    return brief(mistake, 500) if len(mistake) <= 500 else f"{brief(mistake[:300], 300)} … {brief(mistake[-200:], 200)}"


def suggest(word: str, known: Iterable[str]) -> str:
    """Return the question that helps whoever mistyped a name.

    Parameters
    ----------
    word : str
        What was received.
    known : iterable of str
        The names that would have been understood.

    Returns
    -------
    str
        ``"did you mean 'x'?"`` where one is near, else ``"known: a, b, c"``.

    Examples
    --------
    >>> suggest("strid", ["stride", "filters"])
    "did you mean 'stride'?"
    >>> suggest("colour", ["stride", "filters"])
    'known: filters, stride'
    """
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1) if len(word) <= _LONGEST_WORD else []
    more = ", …" if len(names) > _MOST_NAMES else ""
    return f"did you mean '{brief(near[0])}'?" if near else f"known: {', '.join(map(brief, names[:_MOST_NAMES]))}{more}"
