"""Does all that a person reads go through util/terminal.py, as text only, and leave a progress bar whole?"""

import argparse
import ast
import errno
import importlib
import json
import os
import pty
import re
import subprocess
import sys
import termios
from types import ModuleType, SimpleNamespace

import pytest
from helpers import ROOT, here, wide_lines

from util import terminal
from util.errors import DO_ABOUT

FILES = sorted(
    path for path in [*ROOT.glob("util/**/*.py"), *ROOT.glob("tasks/*.py"), *ROOT.glob("*.py")]
    if path != ROOT / "util" / "terminal.py"
)  # fmt: skip
# These run inside the sandbox, where nobody reads: they speak to the suite over pipes.
IN_SANDBOX = {ROOT / "util" / "grading" / "sandbox" / name for name in ("driver.py", "zygote.py")}
SPEAKS = re.compile(
    r"print|pprint(\.\w+)?|sys\.\w*(stdout|stderr)\w*(\.buffer)?\.write(lines)?|warnings\.warn\w*"
    r"|traceback\.print_\w+|os\.write\([12], .*|.*\btqdm\b.*"
    # What other packages log may be silenced.
    r"|logging\.(?!(disable|getLogger(\(.*\)\.setLevel)?)$).*"
)
# Loaded into a trainer, which may have another package called util: it speaks through the trainer's log.
IN_TRAINER = {ROOT / "rewards.py"}
MESSAGES, STEPS = 60, 240
HOSTILE = "\x1b]0;mine\x07 \x1b[2J\r\x9b31m \u202egnp.exe \ud800 \x7f"
SEEN = "\\u001b]0;mine\\u0007 \\u001b[2J\\u000d\\u009b31m \\u202egnp.exe \\ud800 \\u007f"


def spoken(source):
    """The calls and imports in a program by which a person would read something."""
    for node in ast.walk(ast.parse(source)):
        said = ""
        if isinstance(node, ast.Call):
            said = ast.unparse(node.func)
            if said == "os.write":
                said = ast.unparse(node)
            elif any(keyword.arg == "file" for keyword in node.keywords) and said == "print":
                said = "print"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
            said = next((name for name in names if name.split(".")[0] == "tqdm"), "")
        elif isinstance(node, ast.Assign) and "logging.getLogger(" in ast.unparse(node.value):
            said = "print"  # a logger that is kept is one that speaks
        if SPEAKS.fullmatch(said):
            yield node.lineno


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_terminal_speaks(path):
    if path not in IN_SANDBOX | IN_TRAINER:
        assert not list(spoken(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "source",
    [
        "print('a')",
        "def f():\n    print('a', file=sys.stderr)",
        "sys.stderr.write('a')",
        "sys.stdout.buffer.write(b'a')",
        "sys.__stderr__.writelines(['a'])",
        "os.write(2, b'a')",
        "warnings.warn('a')",
        "logging.warning('a')",
        "logging.getLogger('x').info('a')",
        "logger = logging.getLogger('x')",
        "traceback.print_exc()",
        "from tqdm import tqdm",
        "import tqdm.auto",
        "tqdm.write('a')",
    ],
)
def test_speaking_is_seen(source):
    assert list(spoken(source))


@pytest.mark.parametrize(
    "source",
    ["say('print')", "logging.getLogger('x').setLevel(9)", "logging.disable(9)", "os.write(pipe, b'a')"],
)
def test_being_silent_is_no_speaking(source):
    assert not list(spoken(source))


def test_a_message_leaves_the_bar_whole():
    """On a real terminal, said by the main thread and by another while the bar moves."""
    program = f"""
import threading
from util.terminal import Progress, say

def talk(who):
    for number in range({MESSAGES}):
        say(f"message {{number}} of {{who}}")

with Progress({STEPS}, "asking") as bar:
    bar._bar.mininterval = 0
    thread = threading.Thread(target=talk, args=("the thread",))
    thread.start()
    for number in range({STEPS}):
        bar.step(7)
        if number % 4 == 0:
            say(f"message {{number // 4}} of main")
    thread.join()
"""
    lines = [line for line in screen_of(program) if line]
    said = [line for line in lines if line.startswith("message")]
    whole = {f"message {number} of {who}" for number in range(MESSAGES) for who in ("main", "the thread")}
    assert len(said) == 2 * MESSAGES and set(said) == whole
    (bar,) = (line for line in lines if line not in whole)
    assert bar.startswith("asking: 100%") and f"{STEPS}/{STEPS}" in bar


def screen_of(program, columns=100):
    """The lines that a terminal shows at the end of what a program writes to standard error."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stderr=theirs) as child:
        os.close(theirs)
        written = b""
        while True:
            try:
                written += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
    os.close(ours)
    assert child.returncode == 0, written.decode()
    screen, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[\d*[A-Z]|[\r\n]|[^\x1b\r\n]+", written.decode()):
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
            screen += [""] * (row == len(screen))
        elif part == "\x1b[A":
            row -= 1
        else:
            assert "\x1b" not in part, part
            line = screen[row].ljust(column)
            screen[row] = line[:column] + part + line[column + len(part) :]
            column += len(part)
    return [line.rstrip() for line in screen]


WAITING = """
from threading import Event
from util import terminal

terminal.TELL_S = terminal.TELL_LOG_S = 0.01
told, words = Event(), iter(["reading", "half 漢" + "-" * 200, "three", "four"])

def latest():
    said = next(words, "five")
    if said == "five":
        told.set()
    return said

with terminal.Waiting("loading a model", latest):
    told.wait()
    terminal.say("by the way")
terminal.say("there")
"""


def test_a_signal_is_told_of_while_the_bar_is_being_loaded(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", ModuleType("tqdm"))  # as it is while its first lines are run
    terminal.say("stopped: the time of this job ends")
    assert capsys.readouterr().err == "stopped: the time of this job ends\n"


def test_while_something_is_waited_for_a_terminal_shows_the_latest_word_and_then_nothing_of_it():
    assert [line for line in screen_of(WAITING) if line] == ["loading a model", "by the way", "there"]
    hanging = WAITING.replace('terminal.say("there")', "").replace(
        'terminal.say("by the way")', "os._exit(0)"
    )
    first, last = (line for line in screen_of(f"import os\n{hanging}") if line)
    assert first == "loading a model" and re.fullmatch(r"  \d+ s  (five|four)", last)


def test_a_log_file_gets_each_word_on_a_line_of_its_own(tmp_path):
    done = subprocess.run([sys.executable, "-c", WAITING], cwd=ROOT, capture_output=True, text=True)
    first, *words, last = done.stderr.splitlines()
    assert (first, words[0], last) == ("loading a model", "  reading", "there")
    assert "\r" not in done.stderr and terminal.TELL_LOG_S >= 60


@pytest.mark.parametrize("columns", [100, 80])
def test_a_bar_says_what_it_is_about_and_what_came_of_it_so_far_and_fits_its_terminal(columns):
    program = """
from util.terminal import Progress

with Progress(340, "AIME") as bar:
    for number in range(340):
        bar.about("MATH500", lambda: "62.1 % of 340 judged")
        bar.step(7)
"""
    (bar,) = (line for line in screen_of(program, columns) if line)
    assert bar.startswith("MATH500: 100%") and len(bar) <= columns
    assert re.search(r"340/340 \[\d\d:\d\d<00:00, 62.1 % of 340 judged, \d+ tokens/s,", bar)


def test_a_bar_in_a_log_file_fits_80_columns_and_says_its_most_important_numbers_first(capsys):
    with terminal.Progress(880, "LiveCodeBench at temperature 0.7") as bar:
        bar.about("LiveCodeBench at temperature 0.7", lambda: "61.3 % of 340 judged")
        bar.reach(880, 999_999)
    *_, last = (line for line in re.split("[\r\n]", capsys.readouterr().err) if line)
    assert len(last) <= 80 and "100%" in last and "880/880" in last


@pytest.mark.parametrize("tell", [terminal.say, terminal.print_text])
def test_control_characters_are_shown_and_not_obeyed(tell, capsys):
    tell(f"a\tline\n{HOSTILE} é 漢")
    assert "".join(capsys.readouterr()) == f"a\tline\n{SEEN} é 漢\n"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("short enough", ["short enough"]),
        ("one two three four five", ["one two three", "  four five"]),
        ("a  second cell goes on here", ["a  second cell", "   goes on here"]),
        ("  set in as it was before", ["  set in as it", "    was before"]),
        (
            "first line\n  python command --that is copied",
            ["first line", "  python command --that is copied"],
        ),
        ("see `make this and that` there", ["see", "  `make this and that`", "  there"]),
        ("a number 4.5 [1.25, 9.75] it is", ["a number 4.5", "  [1.25, 9.75] it", "  is"]),
        ("/a/path/that/is/longer/than/that is", ["/a/path/that/is/longer/than/that", "  is"]),
        ("求所有满足条件的整数之和", ["求所有满足条件的", "  整数之和"]),
        ("", [""]),
    ],
)
def test_what_is_wider_than_the_terminal_goes_on_below(monkeypatch, text, lines):
    monkeypatch.setenv("COLUMNS", "17")
    assert terminal.wrapped(text).split("\n") == lines


@pytest.mark.parametrize(("said", "wide"), [("100", 100), ("0", 80), ("many", 80), ("", 80)])
def test_a_line_is_as_wide_as_the_terminal_is_said_to_be(monkeypatch, said, wide):
    monkeypatch.setenv("COLUMNS", said)
    monkeypatch.setattr(os, "get_terminal_size", lambda number: os.terminal_size((200, 50)))
    assert terminal.columns() == wide
    monkeypatch.setattr(os, "get_terminal_size", lambda number: os.terminal_size((60, 50)))
    assert terminal.columns() == (wide if said == "100" else 60)


@pytest.mark.parametrize(
    "command", [*sorted(path.stem for path in ROOT.glob("*.py")), "runs", "grading", "machines"]
)
def test_the_help_of_every_command_fits_a_narrow_terminal(monkeypatch, capsys, command):
    monkeypatch.setenv("COLUMNS", "80")
    name = command if (ROOT / f"{command}.py").exists() else f"util.{command}.__main__"
    modes = importlib.import_module("report").MODES if command == "report" else ()
    for words in ([], *([mode] for mode in modes)):
        with pytest.raises(SystemExit):
            importlib.import_module(name).parse([*words, "--help"])
        assert wide_lines(capsys.readouterr().out) == []


@pytest.mark.parametrize(
    "words",
    ["A", "results", "compare A B", "compare A B C", "gate A --at-least 50 --over B", "explain A",
     "reproduce C --claim 90", "compare A results", "gate A --over NOWHERE"],
)  # fmt: skip
def test_every_line_for_people_fits_a_narrow_terminal(tmp_path, monkeypatch, capsys, words):
    from made_runs import make_run

    import report
    from util.errors import UserError

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    problems = [
        {"id": f"test/intermediate_algebra/{place}", "question": text * 9, "answer": "x + " * 30 + "1"}
        for place, text in enumerate(["Find all of these. ", "求所有满足条件的整数之和", "x" * 30])
    ]
    for number, name in enumerate("ABC"):
        samples = [
            {"problem_id": problem["id"], "index": index, "correct": (place + index) % 3 < number,
             "extracted": "y + " * 40, "detail": "compared as text and as numbers: " * 3,
             **({"reason": "undecided", "cause": "several candidates " * 5} if index == 1 else {})}
            for place, problem in enumerate(problems) for index in range(number + 2)
        ]  # fmt: skip
        for folder in (tmp_path / name, tmp_path / "results" / name):
            run = make_run(
                folder,
                samples,
                problems=problems,
                settings={"model": "organisation/a-model-with-a-long-name"},
            )
        verdicts = run / "verdicts.jsonl"
        again = verdicts.read_text().replace("maths-1", "maths-2").replace('"index": 0', '"index": 0', 1)
        verdicts.write_text(verdicts.read_text() + again.replace("undecided", "wrong_answer"))
    (tmp_path / "results" / "B" / "run.json").write_text("{")
    try:
        report.run(report.parse(words.split()))
    except UserError as error:
        terminal.say(f"error: {error}")
    told = "".join(capsys.readouterr())
    assert told and wide_lines(told) == []


def test_a_result_keeps_its_value_without_control_characters(capsys):
    terminal.print_result({"detail": HOSTILE + "é"})
    line = capsys.readouterr().out
    assert json.loads(line) == {"detail": HOSTILE + "é"} and "é" in line
    assert line[:-1].isprintable()


@pytest.mark.parametrize(
    "command", ["eval.py", *(f"-m util.{name}" for name in ("grading", "machines", "runs"))]
)
def test_every_command_says_its_version_its_name_and_what_is_wrong_in_one_line(command):
    typed = [sys.executable, *command.split()]
    version = subprocess.run([*typed, "--version"], cwd=ROOT, capture_output=True, text=True)
    assert version.stdout.startswith("distillery ") and version.returncode == 0
    wrong = subprocess.run([*typed, "--no-such-flag"], cwd=ROOT, capture_output=True, text=True)
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1
    name = f"python {command}" if command.startswith("-m") else command
    assert wrong.stderr.startswith(f"{name}: ")


SPEAKING = """
import sys
from util import cli, terminal

def run(args):
    with terminal.Progress(5, "bar") as bar, open(sys.argv[1], "w") as file:
        for _ in range(5):
            bar.step(3)
        terminal.say("message \u2603")
        file.write("done")
    terminal.print_result({"answer": "\u2603"})
    return 0

cli.main(lambda argv: argv, run)
"""


def speaking(tmp_path, shell, **environment):
    """What a command does whose streams the shell treats so: it, and the file that it wrote."""
    command = f"{sys.executable} -c '{SPEAKING}' {tmp_path / 'file'} {shell}"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environment}
    )
    return done, (tmp_path / "file").read_text()


@pytest.mark.parametrize("shell", ["2>&-", "2>/dev/full", "<&- 2>&-"])
def test_a_bar_and_messages_that_cannot_be_written_stop_nothing(tmp_path, shell):
    done, file = speaking(tmp_path, shell)
    assert (done.returncode, json.loads(done.stdout), file) == (0, {"answer": "\u2603"}, "done")


def test_a_result_that_cannot_be_written_is_one_sentence(tmp_path):
    done, file = speaking(tmp_path, ">/dev/full")
    said = done.stderr.split("message")[1]
    assert done.returncode == 2 and file == "done"
    assert "error: " in said and "No space left" in said
    assert "Traceback" not in said and "Exception" not in said


def test_a_result_that_nobody_wants_is_not_written(tmp_path):
    done, file = speaking(tmp_path, ">&-")
    assert (done.returncode, file) == (0, "done") and "Traceback" not in done.stderr


def test_an_output_that_knows_ascii_only_shows_other_characters_as_numbers(tmp_path):
    done, _ = speaking(tmp_path, "", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (0, '{"answer": "\\u2603"}\n')
    assert "message \\u2603" in done.stderr


def test_a_reader_that_went_away_ends_the_command_without_a_word(tmp_path):
    done, _ = speaking(tmp_path, "| true; exit ${PIPESTATUS[0]}")
    assert done.returncode in (0, 1) and "Traceback" not in done.stderr and "Exception" not in done.stderr


def test_one_thing_has_no_plural():
    assert [terminal.number_of(number, "sample") for number in (0, 1, 1200)] == [
        "0 samples",
        "1 sample",
        "1,200 samples",
    ]
    assert terminal.number_of(1, "batch", "batches") + terminal.number_of(2, "batch", "batches") == (
        "1 batch2 batches"
    )


@pytest.mark.parametrize(
    ("limit", "words"), [("-n 18", "may have 18 here"), ("-S -n 18", "no run at nowhere")]
)
def test_too_few_open_files_are_said_at_the_start_and_more_are_taken_where_they_may_be(limit, words):
    shell = f"ulimit {limit}; exec {sys.executable} report.py nowhere"
    done = subprocess.run(["sh", "-c", shell], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr


def test_the_doctor_says_what_is_wrong_with_few_open_files_instead_of_refusing(tmp_path):
    doctor = [sys.executable, str(ROOT / "doctor.py")]
    shell = ["sh", "-c", 'ulimit -n 40; exec "$@"', "sh", *doctor]
    done = subprocess.run([*shell, "--offline"], cwd=tmp_path, capture_output=True, text=True)
    assert json.loads(done.stdout)["open files"] == {"enough": False} and "ok  disk" in done.stderr
    assert done.returncode == 1 and "NO  open files: a command needs 64 open files and may" in done.stderr
    tune = subprocess.run([*shell, "tune", "--model", "m"], cwd=tmp_path, capture_output=True, text=True)
    assert tune.returncode == 2 and "error: a command needs 64 open files" in tune.stderr


@pytest.mark.parametrize("number", sorted(DO_ABOUT))
def test_what_the_machine_refuses_is_one_sentence_wherever_it_does(number):
    def run(args):
        raise OSError(number, os.strerror(number), "some/file")

    done = here(SimpleNamespace(__name__="a", parse=lambda argv: argparse.Namespace(), run=run))
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    assert said.startswith(f"error: {os.strerror(number)} (some/file); what is finished is kept: ")


def test_a_mistake_of_ours_is_no_refusal_of_the_machine():
    def run(args):
        raise OSError(errno.EBADF, "Bad file descriptor")

    with pytest.raises(OSError, match="Bad file"):
        here(SimpleNamespace(__name__="a", parse=lambda argv: argparse.Namespace(), run=run))
