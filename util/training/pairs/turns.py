"""Where does a thought turn to a re-check, to another way, or to its answer again? In English and Chinese.

A turn begins a sentence. Models that think in Chinese, or fall into it now and then, put no space behind a
full stop and join clauses with commas; their turns have patterns of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple


class Turn(NamedTuple):
    """Where a sentence begins that turns to something new, and how."""

    at: int
    kind: str  # "restated": the answer is only said again; "firm": a re-check or another way; "loose": wait


def turns(text: str) -> Iterator[Turn]:
    """The turns of a text, in their order."""
    for start in _START.finditer(text):
        found = (_TURN if text[start.end()].isascii() else _TURN_ZH).match(text, start.end())
        if found is not None:
            begin = start.start() if start["space"] is None else start.start() + 1
            yield Turn(begin, _kind(found))


def _kind(found: re.Match[str]) -> str:
    if found["restated"]:
        return "restated"
    return "firm" if found["firm"] and not takes_back(found.group()) else "loose"


def takes_back(text: str) -> bool:
    """Whether a text says that something before it was wrong."""
    return _TAKEN_BACK.search(text) is not None


# Where a line or a sentence begins, perhaps with a bullet, a heading's sign or bold print.
_START = re.compile(
    r"(?:(?:\A|(?<=\n))|(?<=[.!?:)\]$}\"'”’…。])(?P<space>[ \t])|(?<=[。！？；…”）]))[ \t*_#>-]*"
    r"(?=[A-Za-z\u4e00-\u9fff])"
)
_TAKEN_BACK = re.compile(
    r"\b(?:no|not|wrong|incorrect|mistake|error|oops|isn't|doesn't)\b|不对|不是|不正确|错|有误", re.IGNORECASE
)

# --- English ---

_AS_I = (  # "let me", "I should", "we can"
    r"(?:let me|let's|let us|we (?:should|can|could|need to)"
    r"|i(?:'ll| will| should| need to| must| want to| can| could| might| would like to))"
    r"(?: just| also| quickly| now| first| at least| maybe)?"
)
_AGAIN = r"[^.!?\n]{0,60}?\b(?:again|another|different(?:ly)?|alternative(?:ly)?|instead|once more|over)"
_LOOSE = r"wait|hold on|hmm+|actually|on second thought"  # may begin a re-check, or correct a step on the way
_RECHECK = (
    r"(?:just )?as a (?:sanity |quick |final |double[- ])?check|sanity check"
    r"|(?:double|cross)[- ]check(?:ing)?|checking|for (?:verification|confirmation)"
    r"|verif(?:ying|ication)|is (?:this|that|it) (?:really )?(?:right|correct)"
    r"|does (?:this|that|it) make sense"
    r"|(?:just )?to (?:(?:(?:double|cross)[- ]|re-?)?(?:check|verify)|confirm|make sure"
    r"|be (?:more |extra |absolutely |completely )?(?:sure|safe|certain|thorough|careful))"
    rf"|(?:{_AS_I} )?(?:plug|substitut)(?:e|ing|ging)?\b[^.!?\n]{{0,30}}? back\b"
    rf"|{_AS_I} (?:(?:(?:double|cross)[- ]|re-?)?(?:check|verify)|confirm|make sure|test|validate"
    r"|see (?:if|whether) (?:this|that|it|there)"
    r"|re-?(?:examine|consider|calculate|compute|do|count|visit|think|read))"
)
_OTHER_WAY = (
    r"alternatively|another (?:way|approach|method|idea|thought|possibility|solution|check)"
    r"|an? (?:different|second|alternative|other|simpler|quicker) (?:way|approach|method|idea|solution|check)"
    r"|(?:is|are) there (?:another|other|an? (?:other|different|simpler|easier|quicker|alternative))"
    r" (?:way|approach|method|solution)s?"
    r"|(?:maybe|perhaps) (?:there(?:'s| is)|i (?:can|should|could)|we (?:can|should|could)|another)"
    r"|one more (?:way|check|time|thing)|using (?:another|a different)|(?:method|approach|way) (?:2|two|ii|b)"
    rf"|{_AS_I} (?:try|use|approach|solve|look|see|go|start|think|consider|calculate|compute|count|do|work)\b"
    rf"{_AGAIN}"
)
_RESTATED = (
    r"(?:so|thus|therefore|hence),? (?:the|my|our) (?:final )?answer|the final answer|final answer"
    r"|the answer (?:is|remains|stays)|in (?:conclusion|summary)|to (?:sum up|recap|summari[sz]e|conclude)"
)
_LEAD = r"(?:(?:but|so|and|okay|ok|now|well|hmm|still|however|yes|good|great|oh|no)[,.]? )?"
_TURN = re.compile(
    rf"{_LEAD}(?:(?P<restated>{_RESTATED})"
    rf"|(?P<firm>(?:(?:{_LOOSE})[,.…]* )?(?:{_RECHECK}|{_OTHER_WAY}))|{_LOOSE})\b",
    re.IGNORECASE,
)

# --- Chinese ---

_ZH_AS_I = (
    r"(?:让我们?|我们?|咱们|请|不妨|还是|最好|需要|应该|可以|想|得|要|也|先|再|来|去|快速|仔细|简单|一起)"
    r"{0,6}"
)
_ZH_LOOSE = r"等等|等一等|等一下|等下|且慢|慢着|稍等|嗯|呃|不对|其实|实际上|事实上"
_ZH_WAYS = r"(?:方法|办法|方式|思路|想法|角度|解法|做法|途径|可能)"
_ZH_OTHER = r"(?:另外?一?|别的?|其[他它]的?|不同的?|第二)(?:[种个条])?"
_ZH_RECHECK = (
    rf"{_ZH_AS_I}(?:反过来|最后|重新|代入){{0,2}}(?:检查|检验|验证|验算|核对|核实|复查|复核|确认|双重检查)"
    rf"|{_ZH_AS_I}(?:重新|再一?次?|从头|回过?头)(?:来)?(?:仔细|认真|好好)?"
    r"(?:算|计算|推导|推算|考虑|审视|审题|思考|想|看|数|读|梳理|分析|理解|做|来一[遍次])"
    rf"|{_ZH_AS_I}(?:回顾|审视)一[下遍]"
    r"|为了?(?:确保|确认|保险|验证|检验|安全|稳妥|谨慎|更?准确)"
    r"|(?:这|那|这样|这个|结果|答案|这个结果|这个答案)(?:真的|是否)?(?:对|正确|合理)(?:吗|么)"
    rf"|{_ZH_AS_I}(?:代|带)回"
)
_ZH_OTHER_WAY = (
    rf"(?:还有|也有|有没有|是否有|是不是还有)?{_ZH_OTHER}(?:更?简单的)?{_ZH_WAYS}"
    rf"|{_ZH_AS_I}(?:换|改用|改)(?:一?[种个条])?(?:别的|其他|不同的)?{_ZH_WAYS}"
    rf"|{_ZH_AS_I}(?:用|从|试试?|试着用|尝试|尝试用|采用|使用|考虑|看看)(?:用|从)?{_ZH_OTHER}(?:更?简单的)?{_ZH_WAYS}"
    r"|(?:方法|解法|思路|法)(?:二|三|2|3)|或者[，,]?(?:说[，,])?我们?(?:也|还)?可以|也可以(?:这样|用|从)"
)
_ZH_RESTATED = (
    r"(?:所以|因此|故|那么|由此可[见知])[，,]?(?:本题|此题|原题|这道题|问题)?的?(?:最终|最后|正确)?的?答案"
    r"|(?:最终|最后)的?答案|答案(?:就?是|为|应该|应为|仍然?是|还是)|综上|总之|总结|总的来说"
)
_ZH_LEAD = (
    r"(?:(?:但是?|不过|可是|然而|所以|那么?|好的?|嗯|现在|然后|接下来|当然|哦|是的|对的?|很好|另外|此外)"
    r"[，,、。！…\s]*){0,2}?"
)
_TURN_ZH = re.compile(
    rf"{_ZH_LEAD}(?:(?P<restated>{_ZH_RESTATED})"
    rf"|(?P<firm>(?:(?:{_ZH_LOOSE})[，,。、…\s]*){{0,3}}?(?:{_ZH_RECHECK}|{_ZH_OTHER_WAY}))|(?:{_ZH_LOOSE}))"
)
