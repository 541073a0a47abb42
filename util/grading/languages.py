"""How do other languages say "the answer is"?

A table of words that `choice` and `maths` make their patterns of: to add a language, add its line to `SPACED`
or, for a script of its own, to `SCRIPTS`.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Words(NamedTuple):
    """What a language says round a letter: alternatives, as in a pattern."""

    answer: str
    option: str  # "option", "letter": what a choice is called as well
    right: str  # "correct"
    be: str  # "is"
    choose: str  # "I choose"
    deny: str  # takes the choice away before the letter, in its clause
    denied: str  # does so right behind the letter
    if_: str = "$^"
    would: str = "$^"  # "would be": behind an "if" nothing is chosen
    but: str = "$^"  # "not A but B"
    so: str = "$^"  # stands between "is" and the letter


# fmt: off
SPACED = {
    "es": Words("respuestas?|solución|soluciones", "opción|opcion|alternativa|inciso|letra",
                "correcta|correcto", "es|son|será|debe ser|sería", "elijo|elegimos|escojo|selecciono|marco",
                "no es|no creo|no puede|dudo|duda|fals[ao]|incorrect[ao]",
                "no (?:es|puede)|es (?:incorrecta|falsa)",
                "si|aunque", "sería|fuera", "sino", "entonces|pues"),
    "pt": Words("respostas?|solução|soluções|solucao|gabarito", "opção|opcao|alternativa|letra",
                "correta|correto|certa|certo",
                "é|são|será|seria|deve ser", "escolho|escolhemos|assinalo",
                "não|duvido|dúvida|errad[ao]", "não (?:é|pode)|é (?:incorreta|falsa|errada)",
                "se|embora", "seria|fosse", "mas|e sim", "portanto|então"),
    "fr": Words("réponses?|reponses?", "choix|l['’]option|option|lettre|proposition",
                "correcte|juste|exacte|bonne réponse|bonne|correct", "est|sont|serait|sera",
                "choisis|choisissons", "pas|doute|fausse|incorrecte",
                "n['’]est pas|ne peut|est (?:fausse|incorrecte)",
                "si", "serait", "mais", "donc"),
    "it": Words("risposta|risposte|soluzione|soluzioni", "opzione|scelta|lettera|alternativa",
                "corretta|corretto|giusta|esatta",
                "è|sono|sarà|sarebbe", "scelgo|scegliamo", "non|dubito|errata|sbagliata",
                "non (?:è|può)|è (?:sbagliata|errata|falsa)", "se|sebbene", "sarebbe|fosse", "ma|bensì",
                "quindi|dunque"),
    "de": Words("antwort|lösung|lösungen|loesung", "option|möglichkeit|buchstabe",
                "richtige?|korrekte?|zutreffend", "ist|sind|lautet|lauten|wäre", "wähle|wählen|nehme",
                "nicht|keine?|falsche?[nrs]?|bezweifle|zweifle|zweifelhaft",
                "(?:ist|kann) nicht|ist falsch|nicht",
                "wenn|falls|als|obwohl", "wäre", "sondern", "also|demnach|daher|somit"),
    "nl": Words("antwoord", "optie|keuze|letter", "juiste?|goede?|correct", "is|luidt|zou", "kies|kiezen",
                "niet|geen|onjuist|betwijfel|twijfel", "(?:is|kan) niet|is (?:onjuist|fout)|niet",
                "als|hoewel", "zou", "maar", "dus"),
    "ru": Words("ответ(?:ом)?|решение", "вариант(?:ом)?|буквой|буква|пункт",
                "правильный|правильным|правильно|верный|верно|верным", "это|является|под|был бы|будет",
                "выбираю|выбираем", "не|нет|неверный|неправильный|сомневаюсь|сомнительно|вряд ли",
                "(?:[-–—] ?)?(?:не|неверн\\w+|неправильн\\w+)", "если|хотя", "бы", "а", "таким образом"),
    "vi": Words("đáp án|câu trả lời", "phương án|lựa chọn|câu", "đúng|chính xác", "là", "chọn",
                "không|sai|chưa|nghi ngờ", "không|là sai|sai", "nếu", "sẽ là|là", "mà là"),
}
SCRIPTS = {
    "zh": Words("答案|结论", "选项|選項|正确的|正確的|本题", "正确|正確", "[应該该当當就]*[是为為]|而是",
                "选择|選擇|选|選", "不|排除|错误|虽然|怀疑|懷疑|难以|很难", "[项項]?是?[错錯误誤不]|吗",
                "如果|假设|假如"),
    "ja": Words("正解|答え|解答|正答|回答", "正しい(?:もの|選択肢)", "正解|正しい|正答|答え", "は|が",
                "選ぶのは",
                "間違|誤|疑",
                "(?:では|じゃ)(?:な|あり)|は(?:間違|正しくな|不正解|誤|正解で(?:は|な))|だとは|だと思え"
                "|(?:だ|である)?かどうか|とは限",
                "もし"),
    "ko": Words("정답|답안|답|해답", "옳은 것|올바른 것|선택지", "정답|맞|옳|올바", "은|는|이", "고르는 것은",
                "틀린|오답|아닌",
                "번?(?:이|가|은|는)? ?(?:아[니닙]|정답이 아)|번?(?:인지|일 수 없|일 리|라고 보기)", "만약"),
    "th": Words("คำตอบ|เฉลย", "ข้อ|ตัวเลือก", "ถูก|คำตอบที่ถูก", "คือ|เป็น|ได้แก่", "เลือก|ตอบ",
                "ไม่|ผิด|สงสัย", "ไม่|ผิด|หรือไม่|หรือเปล่า", "ถ้า|หาก"),
    "ar": Words("الإجابة|الاجابة|الجواب|الحل", "الخيار|الإختيار|الاختيار",
                "الصحيحة?|الأصح|الأنسب|الإجابة|الجواب|الخيار",
                "هي|هو|تكون", "أختار|نختار|اختار", "ليس|ليست|غير|الخاطئ|لا أظن|لا يمكن|لا أعتقد|أشك",
                "ليس|ليست|خاطئة?", "إذا|لو"),
}
# fmt: on
SCRIPT = re.compile("[\u0600-\u06ff\u0e00-\u0e7f\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]")


_ENGLISH = re.compile(r"\b(?:the|and|are|we|answer|therefore|thus|hence)\b", re.IGNORECASE)


def writes_decimal_comma(text: str) -> bool:
    """Whether 3,5 may be one number in a text: it has no English words and no script that writes points."""
    return not _ENGLISH.search(text) and not (not text.isascii() and SCRIPT.search(text))


def any_of(table: dict[str, Words], field: str) -> str:
    """All that a table says in one of its columns."""
    return "|".join(getattr(words, field) for words in table.values())
