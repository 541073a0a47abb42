"""What are the 25 rules of IFEval? `RULES` has them by their ids: each is asked of a text with its arguments.

Words of a row are taken as they are: the official grader takes them as patterns, and none of its 541 rows
holds a sign that makes a difference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

from util.grading.instructions import language as packages

RELATIONS = ("less than", "at least")
Relation = str  # one of RELATIONS
Letter = str  # one character
Position = int  # from 1
YES_NO_MAYBE = tuple(f"My answer is {word}." for word in ("yes", "no", "maybe"))
POSTSCRIPTS = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}


def compares(count: int, relation: Relation, limit: int) -> bool:
    return count < limit if relation == "less than" else count >= limit


def count_words(text: str) -> int:
    return len(re.findall(r"\w+", text))


def keywords_exist(text: str, keywords: Sequence[str]) -> bool:
    """Parts of words count: "mom" is there in "moment"."""
    return all(re.search(re.escape(word), text, re.IGNORECASE) for word in keywords)


def keyword_frequency(text: str, keyword: str, frequency: int, relation: Relation) -> bool:
    """Parts of words count here, too."""
    return compares(len(re.findall(re.escape(keyword.strip()), text, re.IGNORECASE)), relation, frequency)


def forbidden_words(text: str, forbidden_words: Sequence[str]) -> bool:
    """Whole words alone: "rocks" is no "rock"."""
    return not any(re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE) for word in forbidden_words)


def letter_frequency(text: str, letter: Letter, let_frequency: int, let_relation: Relation) -> bool:
    return compares(text.lower().count(letter.lower()), let_relation, let_frequency)


def response_language(text: str, language: str) -> bool:
    """A text without letters follows the rule."""
    return packages.language(text) in (language, None)


def number_sentences(text: str, num_sentences: int, relation: Relation) -> bool:
    return compares(len(packages.sentences(text)), relation, num_sentences)


def number_paragraphs(text: str, num_paragraphs: int) -> bool:
    """Between dividers `***`; an empty one is forgiven at either end alone. Blank lines divide nothing."""
    first, *middle, last = text.split("***") if "***" in text else (text, "")
    filled = [bool(paragraph.strip()) for paragraph in (first, *middle, last)]
    return all(filled[1:-1]) and sum(filled) == num_paragraphs


def number_words(text: str, num_words: int, relation: Relation) -> bool:
    """Runs of letters and digits: "don't" is two words."""
    return compares(count_words(text), relation, num_words)


def nth_paragraph_first_word(
    text: str, num_paragraphs: int, nth_paragraph: Position, first_word: str
) -> bool:
    """Blank paragraphs, of three line ends in a row, are not counted, and yet take a place in the order."""
    paragraphs = text.split("\n\n")
    count = sum(1 for paragraph in paragraphs if paragraph.strip())
    if nth_paragraph > count or not (words := paragraphs[nth_paragraph - 1].split()):
        return False
    word = re.split(r"[.,?!'\"]", words[0].lstrip("'").lstrip('"'), maxsplit=1)[0]
    return count == num_paragraphs and word.lower() == first_word.lower()


def number_placeholders(text: str, num_placeholders: int) -> bool:
    """Square brackets within a line, whatever they hold: the links of markdown count."""
    found = 0
    for line in text.split("\n"):
        begin = line.find("[")
        while begin >= 0 and (end := line.find("]", begin)) >= 0:
            found += 1
            begin = line.find("[", end)
    return found >= num_placeholders


def postscript(text: str, postscript_marker: str) -> bool:
    """Anywhere in the text and in any case; "P.P.S" does without its last full stop."""
    marker = postscript_marker.strip()
    pattern = POSTSCRIPTS.get(marker, re.escape(marker.lower()))
    return re.search(pattern, text.lower()) is not None


def number_bullet_lists(text: str, num_bullets: int) -> bool:
    """Lines that begin with - or with one *, so that "---" and "-5" are bullets; what follows the * belongs
    to it, even if that is the next line."""
    stars = re.findall(r"^[^\S\n]*\*[^*].*$", text, re.MULTILINE)
    dashes = re.findall(r"^[^\S\n]*-", text, re.MULTILINE)
    return len(stars) + len(dashes) == num_bullets


def constrained_response(text: str) -> bool:
    """One of three sentences, with whatever else round it."""
    return any(sentence in text for sentence in YES_NO_MAYBE)


def number_highlighted_sections(text: str, num_highlights: int) -> bool:
    """*Within* a line, where **bold** counts as well and ***both at once*** counts twice."""
    single = re.findall(r"\*[^\n*]*\*", text)
    double = re.findall(r"\*\*[^\n*]*\*\*", text)
    return sum(1 for one in (*single, *double) if one.strip("*").strip()) >= num_highlights


def multiple_sections(text: str, section_spliter: str, num_sections: int) -> bool:
    """At least so many: "Section 1" counts wherever it is said, and however often."""
    return len(re.findall(rf"{re.escape(section_spliter.strip())}\s?\d+", text)) >= num_sections


def json_format(text: str) -> bool:
    """The whole text, but for a fence round it; a bare number or word in quotation marks is JSON."""
    text = text.strip()
    for fence in ("```json", "```Json", "```JSON", "```"):
        text = text.removeprefix(fence)
    try:
        json.loads(text.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


def title(text: str) -> bool:
    """Something between << and >> within a line, wherever it stands."""
    for line in text.split("\n"):
        begin, end = line.find("<<"), line.rfind(">>")
        if 0 <= begin < end - 2 and line[begin : end + 2].lstrip("<").rstrip(">").strip():
            return True
    return False


def two_responses(text: str) -> bool:
    """Between `******`; an empty one is forgiven at either end."""
    responses = [response.strip() for response in text.split("******")]
    filled = [response for response in responses if response]
    return all(responses[1:-1]) and len(filled) == 2 and filled[0] != filled[1]


def repeat_prompt(text: str, prompt_to_repeat: str) -> bool:
    return text.strip().lower().startswith(prompt_to_repeat.strip().lower())


def end_checker(text: str, end_phrase: str) -> bool:
    """Quotation marks round the text are forgiven, a full stop behind the phrase is not."""
    return text.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def capital_word_frequency(text: str, capital_frequency: int, capital_relation: Relation) -> bool:
    """ "I" and "A" are words with all capital letters."""
    return compares(
        sum(1 for word in packages.words(text) if word.isupper()), capital_relation, capital_frequency
    )


def english_capital(text: str) -> bool:
    return text.isupper() and packages.language(text) in ("en", None)


def english_lowercase(text: str) -> bool:
    return text.islower() and packages.language(text) in ("en", None)


def no_comma(text: str) -> bool:
    """The comma of ASCII alone."""
    return "," not in text


def quotation(text: str) -> bool:
    """Straight quotation marks alone."""
    text = text.strip()
    return len(text) > 1 and text[0] == text[-1] == '"'


RULES: dict[str, Callable[..., bool]] = {
    "keywords:existence": keywords_exist,
    "keywords:frequency": keyword_frequency,
    "keywords:forbidden_words": forbidden_words,
    "keywords:letter_frequency": letter_frequency,
    "language:response_language": response_language,
    "length_constraints:number_sentences": number_sentences,
    "length_constraints:number_paragraphs": number_paragraphs,
    "length_constraints:number_words": number_words,
    "length_constraints:nth_paragraph_first_word": nth_paragraph_first_word,
    "detectable_content:number_placeholders": number_placeholders,
    "detectable_content:postscript": postscript,
    "detectable_format:number_bullet_lists": number_bullet_lists,
    "detectable_format:constrained_response": constrained_response,
    "detectable_format:number_highlighted_sections": number_highlighted_sections,
    "detectable_format:multiple_sections": multiple_sections,
    "detectable_format:json_format": json_format,
    "detectable_format:title": title,
    "combination:two_responses": two_responses,
    "combination:repeat_prompt": repeat_prompt,
    "startend:end_checker": end_checker,
    "startend:quotation": quotation,
    "change_case:capital_word_frequency": capital_word_frequency,
    "change_case:english_capital": english_capital,
    "change_case:english_lowercase": english_lowercase,
    "punctuation:no_comma": no_comma,
}
