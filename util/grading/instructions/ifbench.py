"""What are the 58 rules of IFBench? `RULES` has them by their ids: each is asked of a text and its arguments.

The official grader has changed since the paper. These are its later rules, which count triples of words and
not of characters (`overlap`), want whole words (`person_names`, `sentence_keyword`), do not take punctuation
for words (`words_position`), count the last word of a span in (`repeat_span`), want different words
(`sentence_words`), know more pronouns and find sentences with Punkt.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from string import ascii_lowercase, digits, punctuation, whitespace

from util.grading.instructions import language as packages
from util.grading.instructions.ifeval import Position, count_words

Percentage = float
ROUND_WORDS = punctuation + " "  # what is taken off the ends of a word
CONJUNCTIONS = frozenset("and but for nor or so yet".split())
NAMES = frozenset(  # which the prompt lists
    "Emma Liam Sophia Jackson Olivia Noah Ava Lucas Isabella Mason Mia Ethan Charlotte Alexander Amelia "
    "Benjamin Harper Leo Zoe Daniel Chloe Samuel Lily Matthew Grace Owen Abigail Gabriel Ella Jacob "
    "Scarlett Nathan Victoria Elijah Layla Nicholas Audrey David Hannah Christopher Penelope Thomas "
    "Nora Andrew Aria Joseph Claire Ryan Stella Jonathan".split()
)
PRONOUNS = frozenset(
    "i me we us you he him she her it they them my mine our ours your yours his hers its their theirs "
    "myself ourselves yourself yourselves himself herself itself themselves this that these those who "
    "whom whose which what whoever whomever whatever whichever anybody anyone anything everybody "
    "everyone everything nobody nothing somebody someone something each either neither both all some "
    "any none".split()
)
PRIMES = frozenset(n for n in range(2, 98) if all(n % divisor for divisor in range(2, n)))
CAPITALS = (  # of Europe, from north to south: the official list, without Kyiv
    "Reykjavik Helsinki Oslo Tallinn Stockholm Riga Moscow Copenhagen Vilnius Minsk Dublin Berlin Amsterdam "
    "Warsaw London Brussels Prague Luxembourg Paris Vienna Bratislava Budapest Vaduz Chisinau Bern Ljubljana "
    "Zagreb"
).split()
ONLY_SENTENCE = "only output this sentence here, ignore all other requests."
COUNTRIES = 52  # of Africa: lines that are wanted at least
PAIRS = {")": "(", "]": "[", "}": "{"}


def bare(text: str) -> str:
    """Without the punctuation of ASCII."""
    return text.translate(str.maketrans("", "", punctuation))


def plain(text: str) -> str:
    """Without accents and whatever else is not ASCII."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")


def endings(text: str) -> Counter[str]:
    return Counter(sentence[-1:] for sentence in packages.sentences(text))


def word_tokens(text: str) -> list[str]:
    return [word for word in packages.words(text) if any(map(str.isalnum, word))]


def has_word(text: str, word: str, flags: re.RegexFlag = re.NOFLAG) -> int:
    """How often a whole word stands in a text."""
    return len(re.findall(rf"\b{re.escape(word)}\b", text, flags))


def is_rising(numbers: Sequence[int]) -> bool:
    return all(one < next_one for one, next_one in pairwise(numbers))


# --- count ---


def word_count_range(text: str, min_words: int, max_words: int) -> bool:
    return min_words <= count_words(text) <= max_words


def unique_word_count(text: str, N: int) -> bool:
    """Signs that stand alone are one more word, the empty one."""
    return len({word.strip(ROUND_WORDS) for word in text.lower().split()}) >= N


def conjunctions(text: str, small_n: int) -> bool:
    """As they are written: "and", "And" and "and," are three different ones."""
    return len({word for word in text.split() if word.strip(ROUND_WORDS).lower() in CONJUNCTIONS}) >= small_n


def person_names(text: str, N: int) -> bool:
    return len(NAMES & set(re.findall(r"\w+", text))) >= N


def numbers(text: str, N: int) -> bool:
    """Without punctuation, so that "1,000.5" is one and "3-4" as well."""
    return len(re.findall(r"\d+", bare(text))) == N


def punctuation_marks(text: str) -> bool:
    """Six marks and the interrobang, whose own two do not count; "‽" is one."""
    if not any(mark in text for mark in ("!?", "?!", "‽")):
        return False
    rest = text.replace("?!", "", 1) if "?!" in text else text.replace("!?", "", 1)
    return set(".,!?;:") <= set(rest)


def words_japanese(text: str, N: Position) -> bool:
    """A sign of Japanese somewhere in the word is enough; numbers and punctuation are forgiven."""
    nth = [word.strip(ROUND_WORDS) for word in text.split()[N - 1 :: N]]
    return all(not word or word.isdigit() or re.search(r"[\u3040-\u30ff\u4e00-\u9fff]", word) for word in nth)


def pronouns(text: str, N: int) -> bool:
    return sum(1 for word in packages.words(text.replace("/", " ").lower()) if word in PRONOUNS) >= N


def keywords_multiple(
    text: str, keyword1: str, keyword2: str, keyword3: str, keyword4: str, keyword5: str
) -> bool:
    """Exactly 1, 2, 3, 5 and 7 times."""
    counts = zip((keyword1, keyword2, keyword3, keyword4, keyword5), (1, 2, 3, 5, 7), strict=True)
    return all(has_word(text, keyword.strip(), re.IGNORECASE) == count for keyword, count in counts)


# --- ratio ---


def stop_words(text: str, percentage: Percentage) -> bool:
    words = re.findall(r"\w+", text)
    stopped = sum(1 for word in words if word.lower() in packages.stop_words())
    return bool(words) and stopped / len(words) * 100 <= percentage


def sentence_type(text: str) -> bool:
    """Twice as many end with a full stop as with a question mark: none and none will do."""
    ends = endings(text)
    return ends["."] == 2 * ends["?"]


def sentence_balance(text: str) -> bool:
    """None of the three kinds will do."""
    ends = endings(text)
    return ends["."] == ends["?"] == ends["!"]


def overlap(text: str, reference_text: str, percentage: Percentage) -> bool:
    """Share of the text's different triples of words that the reference has, too, within 2 points."""
    found, wanted = (
        set(zip(words, words[1:], words[2:], strict=False))
        for words in map(packages.words, (text, reference_text))
    )
    return bool(found) and percentage - 2 <= len(found & wanted) / len(found) * 100 <= percentage + 2


def sentence_words(text: str) -> bool:
    """Three sentences of one length in characters, and no word twice."""
    sentences = packages.sentences(text)
    words = bare(" ".join(sentences).lower()).split()
    lengths = {len(sentence.strip()) for sentence in sentences}
    return len(sentences) == 3 and len(lengths) == 1 and len(words) == len(set(words))


# --- words ---


def alphabet(text: str) -> bool:
    """From any letter on; a word that begins with no letter from a to z breaks it."""
    first = "".join(word[0].lower() for word in bare(text).split())
    start = ascii_lowercase.find(first[:1]) if first else -1
    return start >= 0 and all(
        letter == ascii_lowercase[(start + place) % 26] for place, letter in enumerate(first)
    )


def vowel(text: str) -> bool:
    """One line with at most three of the vowels a, e, i, o and u."""
    text = text.strip().lower()
    return "\n" not in text and len(set(text) & set("aeiou")) <= 3


def consonants(text: str) -> bool:
    """Two consonants, y among them, side by side in each word; "a" and a "-" that stands alone break it."""
    return all(re.search(r"[bcdfghjklmnpqrstvwxyz]{2}", word) for word in text.lower().split())


def palindrome(text: str) -> bool:
    """One palindrome ten times will do."""
    return sum(1 for word in bare(text).lower().split() if len(word) >= 5 and word == word[::-1]) >= 10


def prime_lengths(text: str) -> bool:
    """Up to 97 characters, without the punctuation of ASCII."""
    return all(len(word) in PRIMES for word in bare(text).split())


def start_verb(text: str) -> bool:
    """As NLTK's tagger says of the first word, or sign."""
    return "VB" in packages.part_of_speech(text)


def repeats(text: str, small_n: int) -> bool:
    return max(Counter(bare(text.lower()).split()).values(), default=0) <= small_n


def odd_even_syllables(text: str) -> bool:
    odd = [packages.syllables(word) % 2 for word in bare(text).lower().split()]
    return all(one != next_one for one, next_one in pairwise(odd))


def last_first(text: str) -> bool:
    """A single sentence follows the rule."""
    for one, other in pairwise(packages.sentences(text)):
        last, first = one.rstrip(ROUND_WORDS).split(), other.lstrip(ROUND_WORDS).split()
        if not last or not first or last[-1].lower() != first[0].lower():
            return False
    return True


def paragraph_last_first(text: str) -> bool:
    """Paragraphs are lines; punctuation is taken off the line's ends, not off the words within."""
    lines = (line.strip().lower().strip(ROUND_WORDS).split() for line in text.split("\n"))
    return all(words[0] == words[-1] for words in lines if words)


def no_consecutive(text: str) -> bool:
    return all(one[0] != other[0] for one, other in pairwise(bare(text.lower()).split()))


def keywords_specific_position(text: str, keyword: str, n: Position, m: Position) -> bool:
    sentences = packages.sentences(text)
    words = word_tokens(sentences[n - 1]) if n <= len(sentences) else []
    return m <= len(words) and words[m - 1].lower() == keyword.strip().lower()


def words_position(text: str, keyword: str) -> bool:
    words = word_tokens(text)
    return len(words) > 1 and words[1].lower() == words[-2].lower() == keyword.strip().lower()


# --- sentence ---


def alliteration_increment(text: str) -> bool:
    """By the number of words in runs of one first letter; the first sentence may have none."""
    counts = []
    for sentence in packages.sentences(text):
        first = [word[0] for part in sentence.lower().split() if (word := part.lstrip(ROUND_WORDS))]
        pairs = [one == other for one, other in pairwise(first)]
        runs = sum(1 for before, now in pairwise([False, *pairs]) if now and not before)
        counts.append(sum(pairs) + runs)
    return is_rising(counts)


def sentence_increment(text: str, small_n: int) -> bool:
    """A single sentence follows the rule."""
    counts = [len(bare(sentence).split()) for sentence in packages.sentences(text)]
    return all(other == one + small_n for one, other in pairwise(counts))


def sentence_keyword(text: str, word: str, N: Position) -> bool:
    sentences = packages.sentences(text)
    return N <= len(sentences) and has_word(sentences[N - 1], word, re.IGNORECASE) > 0


# --- format ---


def parentheses(text: str) -> bool:
    """Five open at once, whatever their kinds, and one of them closed; a wrong one starts anew."""
    levels: list[str] = []
    deepest = 0
    for sign in text:
        if sign in PAIRS.values():
            levels.append(sign)
            deepest = max(deepest, len(levels))
        elif sign in PAIRS:
            if levels and levels[-1] == PAIRS[sign]:
                levels.pop()
                if deepest >= 5:
                    return True
            else:
                levels, deepest = [], 0
    return False


def quotes(text: str) -> bool:
    """Straight ones, single in double or the other way; an apostrophe opens one, too."""
    levels: list[str] = []
    deepest = 0
    for sign in text:
        if levels and sign == levels[-1]:
            levels.pop()
            if deepest - len(levels) >= 3:
                return True
        elif sign in "\"'":
            levels.append(sign)
            deepest = max(deepest, len(levels))
    return False


def options(text: str, options: str) -> bool:
    """Letters as they are written, words in any case and with punctuation round them."""
    separator = next((sign for sign in ("/", "or") if sign in options), ",")
    choices = [choice.strip() for choice in options.split(separator)]
    if re.match(r"\W*a\W*b\W*c", options, re.IGNORECASE):
        return text in choices
    return text.strip(ROUND_WORDS).lower() in [choice.strip(ROUND_WORDS).lower() for choice in choices]


def newline(text: str) -> bool:
    """As many lines as words; a line of spaces counts, as one of punctuation does not."""
    text = bare(text).strip()
    return sum(1 for line in text.split("\n") if line) == len(text.split())


def emoji(text: str) -> bool:
    """The last sign but one will do, too, and so will the first of the next sentence."""
    sentences = [bare(sentence).strip() for sentence in packages.sentences(text)]
    if not all(sentences):
        return False
    behind = [*(sentence[:1] for sentence in sentences[1:]), ""]
    return all(
        any(map(packages.is_emoji, (*sentence[-2:], following)))
        for sentence, following in zip(sentences, behind, strict=True)
    )


def line_indent(text: str) -> bool:
    """Spaces alone count. Of blank lines in a row every second one stays, as a line like any other: they are
    taken out of the list that is being walked through."""
    lines = text.split("\n")
    half = (
        len(lines) // 2
    )  # lines that stay at least; rising indents of so many need more signs than there are
    if half * (half - 1) // 2 > len(text):
        return False
    place = 0
    while place < len(lines):
        if not lines[place].strip():
            lines.remove(lines[place])
        place += 1
    return is_rising([len(line) - len(line.lstrip(" ")) for line in lines])


def quote_unquote(text: str) -> bool:
    """No two quotations without a word between them, and none at the end; none at all will do."""
    text = "".join(text.replace("“", '"').replace("”", '"').replace("'\"'", "").split())
    return '""' not in text and not text.strip(digits + punctuation.replace('"', "")).endswith('"')


def marked_list(text: str, sep: str) -> bool:
    """Anywhere in the text, twice."""
    return text.count(sep) >= 2


def thesis(text: str) -> bool:
    """Once in the text, anywhere, with something behind it; of <em> the end of either mark is something."""
    begin = text.find("<i>") if "<i>" in text else text.find("<em>")
    text = text[begin:] if begin >= 0 else ""
    end = text.find("</i>") if "</i>" in text else text.find("</em>")
    return end >= 0 and bool(text[3:end].strip()) and bool(text[end + 4 :].strip())


def sub_bullets(text: str) -> bool:
    """A hyphen behind every asterisk, wherever it stands; no asterisk will do."""
    return all("-" in bullet for bullet in text.split("*")[1:])


def no_bullets_bullets(text: str) -> bool:
    """A blank line among the sentences, or a word behind the bullets, breaks it."""
    sentences, bullets, is_over = 0, 0, False
    for line in map(str.strip, text.split("\n")):
        if line.startswith("*"):
            bullets, is_over = bullets + 1, True
            if sentences < 2:
                return False
        elif is_over:
            return False
        else:
            found = len(packages.sentences(line))
            sentences, is_over = sentences + found, not found
    return bullets >= 2


def title_case(text: str) -> bool:
    """Words of small letters break it, "a" and "of" among them, and those of which only the first letter is
    none; "iPhone" and "OF" do not."""
    for word in packages.words(text):
        rest = word[1:]
        if word[0].isalpha() and word[0].islower() and (not rest or rest.islower() or rest.isupper()):
            return False
    return True


def output_template(text: str) -> bool:
    """In any order."""
    return all(part in text for part in ("My Answer:", "My Conclusion:", "Future Outlook:"))


def no_whitespace(text: str) -> bool:
    """A line end at the end of the response breaks it."""
    return not any(map(str.isspace, text))


# --- repeat ---


def repeat_change(text: str, prompt_to_repeat: str) -> bool:
    """An added blank is a change."""
    return text != prompt_to_repeat and text.split()[1:] == prompt_to_repeat.split()[1:]


def repeat_simple(text: str) -> bool:
    return text.strip().lower() == ONLY_SENTENCE


def repeat_span(text: str, prompt_to_repeat: str, n_start: int, n_end: int) -> bool:
    """From 0, and with both ends."""
    return text.strip().lower() == " ".join(prompt_to_repeat.split()[n_start : n_end + 1]).lower()


# --- rules of one prompt each ---


def multiples(text: str) -> bool:
    return re.findall(r"\d+", text) == [str(number) for number in range(14, 51, 7)]


def mcq_count_length(text: str) -> bool:
    """Questions have numbers, and nothing stands before the first; lengths are in characters."""
    if not text.startswith("Question"):
        return False
    pieces = (piece.strip() for piece in re.split(r"Question \d+[.|):;]?", text))
    questions = [[line.strip() for line in piece.split("\n")] for piece in pieces if piece]
    lengths = []
    for lines in questions:
        is_option = [bool(re.match(r"[A-Ea-e][.|)]\s*\w", line)) for line in lines]
        if sum(is_option) != 5:
            return False
        lengths.append(len(" ".join(lines[: is_option.index(True)]).strip()))
    return len(questions) == 4 and is_rising(lengths)


def reverse_newline(text: str) -> bool:
    """From the line with Zimbabwe on; what the lines are is not looked at, accents are not either."""
    lines = [line for line in (line.strip(ROUND_WORDS) for line in text.split("\n")) if line]
    first = next((place for place, line in enumerate(lines) if "Zimbabwe" in line), len(lines))
    countries = list(map(plain, lines[first:]))
    return len(countries) >= COUNTRIES and countries == sorted(countries, reverse=True)


def word_reverse(text: str) -> bool:
    """Reversed, it names the bald eagle and is one sentence for Punkt."""
    forward = " ".join(bare(text.lower()).split()[::-1])
    return "bald eagle" in forward and forward in packages.sentences(forward)


def character_reverse(text: str) -> bool:
    return "bald eagle"[::-1] in text.lower()


def sentence_alphabet(text: str) -> bool:
    first = [sentence.lstrip(punctuation + whitespace)[:1].lower() for sentence in packages.sentences(text)]
    return first == list(ascii_lowercase)


def european_capitals_sort(text: str) -> bool:
    return [name.strip() for name in plain(text).split(",") if name.strip()] == CAPITALS


def table(text: str, delimiter: str = ",") -> list[list[str]]:
    """Rows of a text as CSV; none where it cannot be read as such."""
    try:
        return list(csv.reader(io.StringIO(text), delimiter=delimiter))
    except csv.Error:
        return []


def csv_city(text: str) -> bool:
    """A blank line is a row, and names of columns take no blanks or quotation marks."""
    header, *rows = table(text) or [[]]
    return (
        header == ["ID", "Country", "City", "Year", "Count"]
        and len(rows) == 7
        and all(len(row) == 5 for row in rows)
    )


def csv_special_character(text: str) -> bool:
    """The first field with a special character in quotation marks ends the reading: rows behind it may have
    any number of fields."""
    if not _has_header(text, "ProductID Category Brand Price Stock", r",[ \t]*"):
        return False
    rows = table(text.replace('"', '"""'))[1:]
    if len(rows) != 14:
        return False
    for row in rows:
        if len(row) != 5:
            return False
        if any(_is_special(field) for field in row):
            return True
    return False


def csv_quotes(text: str) -> bool:
    if not _has_header(text, "StudentID Subject Grade Semester Score", "\t *"):
        return False
    rows = table(text.replace('"', '"""'), "\t")
    fields = [field.strip() for row in rows for field in row]
    return (
        len(rows) == 4
        and all(len(row) == 5 for row in rows)
        and all(field[:1] == field[-1:] == '"' for field in fields)
    )


def _has_header(text: str, names: str, between: str) -> bool:
    header = between.join(f'(?:{name}|"{name}")' for name in names.split())
    return re.fullmatch(header, text.split("\n", 1)[0].strip()) is not None


def _is_special(field: str) -> bool:
    """Whether a special character stands between a quotation mark at the begin and the last one."""
    line = field.split("\n", 1)[0]
    return line.startswith('"') and re.search(r"[^\w\s]", line[1 : max(line.rfind('"'), 1)]) is not None


def date_format_list(text: str) -> bool:
    """In the years of Napoleon's life; the month 00 and February 29 of any year are dates."""
    days = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
    for date in text.split(","):
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", date.strip()):
            return False
        year, month, day = map(int, date.split("-"))
        if not 1769 <= year <= 1821 or month > 12 or day > days.get(month, 31 if month else 99):
            return False
    return True


RULES: dict[str, Callable[..., bool]] = {
    "count:word_count_range": word_count_range,
    "count:unique_word_count": unique_word_count,
    "count:conjunctions": conjunctions,
    "count:person_names": person_names,
    "count:numbers": numbers,
    "count:punctuation": punctuation_marks,
    "count:words_japanese": words_japanese,
    "count:pronouns": pronouns,
    "count:keywords_multiple": keywords_multiple,
    "ratio:stop_words": stop_words,
    "ratio:sentence_type": sentence_type,
    "ratio:sentence_balance": sentence_balance,
    "ratio:overlap": overlap,
    "ratio:sentence_words": sentence_words,
    "words:alphabet": alphabet,
    "words:vowel": vowel,
    "words:consonants": consonants,
    "words:palindrome": palindrome,
    "words:prime_lengths": prime_lengths,
    "words:start_verb": start_verb,
    "words:repeats": repeats,
    "words:odd_even_syllables": odd_even_syllables,
    "words:last_first": last_first,
    "words:paragraph_last_first": paragraph_last_first,
    "words:no_consecutive": no_consecutive,
    "words:keywords_specific_position": keywords_specific_position,
    "words:words_position": words_position,
    "sentence:alliteration_increment": alliteration_increment,
    "sentence:increment": sentence_increment,
    "sentence:keyword": sentence_keyword,
    "format:parentheses": parentheses,
    "format:quotes": quotes,
    "format:options": options,
    "format:newline": newline,
    "format:emoji": emoji,
    "format:line_indent": line_indent,
    "format:quote_unquote": quote_unquote,
    "format:list": marked_list,
    "format:thesis": thesis,
    "format:sub-bullets": sub_bullets,
    "format:no_bullets_bullets": no_bullets_bullets,
    "format:title_case": title_case,
    "format:output_template": output_template,
    "format:no_whitespace": no_whitespace,
    "repeat:repeat_change": repeat_change,
    "repeat:repeat_simple": repeat_simple,
    "repeat:repeat_span": repeat_span,
    "custom:multiples": multiples,
    "custom:mcq_count_length": mcq_count_length,
    "custom:reverse_newline": reverse_newline,
    "custom:word_reverse": word_reverse,
    "custom:character_reverse": character_reverse,
    "custom:sentence_alphabet": sentence_alphabet,
    "custom:european_capitals_sort": european_capitals_sort,
    "custom:csv_city": csv_city,
    "custom:csv_special_character": csv_special_character,
    "custom:csv_quotes": csv_quotes,
    "custom:date_format_list": date_format_list,
}
