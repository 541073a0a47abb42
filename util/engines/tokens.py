"""How many tokens does a text have for a model, and how sure is that?

Call `open_counter` where a tokenizer may be had, `estimate_tokens` where a guess will do, `tokens_by_signs`
where too low a guess would cost money.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from util.engines.options import EMBEDDED
from util.response import wide_characters

FILE = "tokenizer.json"
PROBE_S = 10.0
_SIGNS = re.compile(r"\d|[A-Za-z]{1,6}|[^\sA-Za-z\d]|\s{2,}")
TOKENS_PER_CHAR = 1 / 4  # where nothing was counted: English text and LaTeX, roughly


@dataclass(frozen=True)
class TokenCounter:
    """Counts by a tokenizer, or from how many tokens a run counted for how many characters."""

    by: str  # what a reader of the counts is told
    encode: Callable[[str], int] | None = None
    ends: Callable[[str], list[int]] | None = None  # where each token ends

    def count(self, text: str, tokens_per_char: float = TOKENS_PER_CHAR) -> int:
        """Tokens of `text`; `tokens_per_char` is what the run counted for the sample it is from."""
        return estimate_tokens(text, tokens_per_char) if self.encode is None else self.encode(text)

    def beginnings(
        self, text: str, lengths: Sequence[int], tokens_per_char: float = TOKENS_PER_CHAR
    ) -> list[str]:
        """The beginnings of `text` that have so many tokens; all of it where it has no more."""
        if self.ends is None:
            return [text[: int(tokens / tokens_per_char)] for tokens in lengths]
        ends = self.ends(text)
        return [text if len(ends) <= tokens else text[: ends[tokens - 1]] for tokens in lengths]


def estimate_tokens(text: str, tokens_per_char: float | None = None) -> int:
    """About how many tokens a text has; where nothing was counted, each character of Chinese, Japanese and
    Korean is one."""
    if tokens_per_char is not None:
        return max(1, round(len(text) * tokens_per_char))
    wide = wide_characters(text)
    return max(1, round((len(text) - wide) * TOKENS_PER_CHAR) + wide)


def tokens_by_signs(text: str) -> int:
    """About how many tokens a text has, by its words, digits and signs.

    By a tokenizer (SmolLM2) it is 1.04 times too much for code, 1.1 for LaTeX and 1.4 for prose, where a
    quarter of the characters is 0.4 times what LaTeX has.
    """
    return len(_SIGNS.findall(text))


def open_counter(model: str) -> TokenCounter:
    """The tokenizer of `model` (hub name or folder) if it can be had, else the run's own counts."""
    if model == "none":
        return TokenCounter("the run's own counts, scaled by characters")
    if importlib.util.find_spec("tokenizers") is None:
        path, why_not = None, "the package tokenizers is not installed"
    else:
        path, why_not = _tokenizer_file(model)
    if path is None:
        return TokenCounter(
            f"the run's own counts, scaled by characters (the tokenizer of {model} cannot be had: {why_not})"
        )
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()

    def ends(text: str) -> list[int]:
        return [end for _, end in tokenizer.encode(text, add_special_tokens=False).offsets]

    return TokenCounter(f"the tokenizer of {model}", lambda text: len(ends(text)), ends)


def tokens_per_char(tokens: int, chars: int) -> float:
    return tokens / chars if tokens > 0 and chars > 0 else TOKENS_PER_CHAR


def _tokenizer_file(model: str) -> tuple[Path | None, str]:
    """Where the tokenizer's file lies, or why it cannot be had."""
    if model == EMBEDDED:
        from util.engines.embedded import embedded_model

        model = str(embedded_model())
    if Path(model).is_dir():
        path = Path(model) / FILE
        return (path, "") if path.is_file() else (None, f"no {FILE} in the folder")
    return _of_hub(model.removeprefix("openai/"))


def _of_hub(name: str) -> tuple[Path | None, str]:
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import HTTPError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(name, FILE, local_files_only=True)), ""
    except LocalEntryNotFoundError:
        pass
    except ValueError as error:
        return None, str(error)
    if constants.HF_HUB_OFFLINE:
        return None, "it is not in the cache, and HF_HUB_OFFLINE is set"
    if why_not := refusal_of_hub(name, FILE):
        return None, why_not
    try:
        return Path(hf_hub_download(name, FILE)), ""
    except (HTTPError, OSError) as error:
        return None, _in_short(error)


def refusal_of_hub(name: str, file: str, *, may_lack_it: bool = False) -> str:
    """Why the hub does not give a model's file; asked once: the client's own retries may take minutes.

    `may_lack_it`: that there is such a model is enough.
    """
    from huggingface_hub import get_session, get_token, hf_hub_url
    from huggingface_hub.errors import HTTPError

    token = get_token()
    try:
        answer = get_session().head(
            hf_hub_url(name, file),
            headers={"authorization": f"Bearer {token}"} if token else {},
            timeout=PROBE_S,
            follow_redirects=True,
        )
    except (HTTPError, OSError) as error:
        return _in_short(error)
    if answer.status_code < 400 or may_lack_it and answer.headers.get("x-error-code") == "EntryNotFound":
        return ""
    return f"the hub answers {answer.status_code}"


def _in_short(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
