"""Does what hostile programs and models wrote reach the terminal as text only?"""

import json

import pytest

from util import terminal

HOSTILE = "\x1b]0;mine\x07 \x1b[2J\r\x9b31m \u202egnp.exe \ud800 \x7f"
SEEN = "\\u001b]0;mine\\u0007 \\u001b[2J\\u000d\\u009b31m \\u202egnp.exe \\ud800 \\u007f"


@pytest.mark.parametrize("tell", [terminal.say, terminal.print_text])
def test_control_characters_are_shown_and_not_obeyed(tell, capsys):
    tell(f"a\tline\n{HOSTILE} é 漢")
    assert "".join(capsys.readouterr()) == f"a\tline\n{SEEN} é 漢\n"


def test_a_result_keeps_its_value_without_control_characters(capsys):
    terminal.print_result({"detail": HOSTILE + "é"})
    line = capsys.readouterr().out
    assert json.loads(line) == {"detail": HOSTILE + "é"} and "é" in line
    assert line[:-1].isprintable()
