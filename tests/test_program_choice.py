"""Is the program found that a model means, among everything else that it writes?"""

# ruff: noqa: E501
import time

import pytest
from helpers import takes_at_most

from util.response import language_of, program, programs, solution_part

N = "\n"
MAIN = "import sys\n\ndef main():\n    a, b = map(int, input().split())\n    print(a + b)\n\nmain()\n"
GUARD = MAIN.replace("\nmain()\n", "\nif __name__ == '__main__':\n    main()\n")
TWO = "a, b = map(int, input().split())\nprint(a + b)\n"
READ = "import sys\nd = sys.stdin.read().split()\nprint(int(d[0]) + int(d[1]))\n"
ADD = "def total(a, b):\n    return a + b\n"
CLASS = "class Solution:\n    def total(self, a: int, b: int) -> int:\n        return a + b\n"
TESTED = CLASS + "\nprint(Solution().total(1, 2))\n"
CPP = (
    "#include <iostream>\nint main() {\n    int a, b;\n    std::cin >> a >> b;\n    std::cout << a + b;\n}\n"
)
JAVA = (
    "import java.util.*;\npublic class Main {\n    public static void main(String[] x) {\n"
    "        System.out.println(3);\n    }\n}\n"
)
JS = "const d = require('fs').readFileSync(0, 'utf8').split(' ');\nconsole.log(+d[0] + +d[1]);\n"


def fenced(code, tag="python", sign="```"):
    return f"{sign}{tag}\n{code.removesuffix(N)}\n{sign}\n"


def quoted(code):
    return "".join(f"> {line}\n" for line in code.splitlines())


def indented(code, by="    "):
    return "".join(f"{by}{line}\n" if line else "\n" for line in code.splitlines())


LONG = (
    "import sys\ndef main():\n    d = sys.stdin.read().split()\n    n = int(d[0])\n    print(n * 2)\nmain()\n"
)
DEBUG = LONG.replace("    print(n * 2)\n", "    print(n)\n    print(n * 2)\n")

PROGRAMS = [
    # excerpts, and blocks that print nothing
    (f"{fenced(LONG)}\nWe read the input:\n{fenced('d = sys.stdin.read().split()' + N + 'n = int(d[0])')}\nand print it:\n{fenced('print(n * 2)')}", LONG),
    (f"Step 1:\n{fenced('n = int(d[0])')}\nStep 2:\n{fenced('print(n * 2)')}\nTogether:\n{fenced(LONG)}", LONG),
    (f"{fenced(LONG)}\nThe key line is\n{fenced('print(n * 2)  # doubled')}", LONG),
    (f"With a line to debug:\n{fenced(DEBUG)}\nWithout:\n{fenced(LONG)}", LONG),
    (f"{fenced(LONG)}\nThe same again:\n{fenced(LONG)}", LONG),
    (f"{fenced(LONG)}\nIf it recurses deeply, add\n{fenced('import sys' + N + 'sys.setrecursionlimit(10**6)')}", LONG),
    (f"{fenced(LONG)}\nTo test it:\n{fenced('import io, sys' + N + 'sys.stdin = io.StringIO(chr(53))')}", LONG),
    (f"{fenced('def input(): return 3' + N)}\nNo:\n{fenced(TWO)}", TWO),
    *(
        (f"A draft:\n{fenced(ADD)}\nThe program:\n{fenced(code)}", code)
        for code in (
            f'"""Does more than total(a, b)."""\n{TWO}',
            "a = int(input())\nprint('total(a, b) =', a)\n",
            "def run(total):\n    print(total(1, 2))\nrun(max)\n",
            "for total in (min, max):\n    print(total(1, 2))\n",
            "import numpy as total\nprint(total(1))\n",
            "if (total := max):\n    print(total(1, 2))\n",
            "class A:\n    pass\nprint(A.total(1))\n",
        )
    ),
    (f"{fenced(TWO)}\nOn one line:\n{fenced('print(sum(map(int, input().split())))')}", "print(sum(map(int, input().split())))\n"),
    (f"{fenced('pip install numpy', '')}\n{fenced(TWO)}", TWO),
    (f"{fenced(TWO)}\n{fenced('%timeit print(1)')}", TWO),
    (f"{fenced(TWO)}\n{fenced('- print(a)' + N + '+ print(a + b)', 'diff')}", TWO),
    (f"{fenced(TWO)}\nBetter:\n{fenced('n = int(inp').rstrip('`' + N)}", TWO),
    (f"<pre><code class='language-python'>\n{TWO}</code></pre>", TWO),
    (f"\\begin{{verbatim}}\n{TWO}\\end{{verbatim}}", TWO),
    (f"<answer>\n{fenced(TWO)}</answer>", TWO),
    (f"<answer>\n{TWO}</answer>", TWO),
    (f"\\boxed{{\n{fenced(TWO)}}}", TWO),
    (f"```python\n{TWO}\nThis solution runs in O(1).", TWO),
    (f"```python\n{TWO}\n### Explanation\n\nWe read two numbers.", TWO + "\n### Explanation\n"),
    (f"```python\n{TWO}``", TWO),
    (f"```python\n{TWO}`", TWO),
    # one block, written as models write it
    (fenced(MAIN), MAIN),
    (fenced(GUARD), GUARD),
    (fenced(MAIN, "Python"), MAIN),
    (fenced(MAIN, "python3"), MAIN),
    (fenced(MAIN, "py"), MAIN),
    (fenced(MAIN, "PYTHON"), MAIN),
    (fenced(MAIN, "pypy3"), MAIN),
    (fenced(MAIN, "Python 3"), MAIN),
    (fenced(MAIN, " python"), MAIN),
    (fenced(MAIN, "python "), MAIN),
    (fenced(MAIN, "python" + " " * 5000), MAIN),
    (fenced(MAIN, "{python}"), MAIN),
    (fenced(MAIN, "{.python .numberLines}"), MAIN),
    (fenced(MAIN, 'python title="main.py"'), MAIN),
    (fenced(MAIN, "python filename=main.py"), MAIN),
    (fenced(MAIN, "python:main.py"), MAIN),
    (fenced(MAIN, "python linenums=1"), MAIN),
    (fenced(MAIN, "python showLineNumbers"), MAIN),
    (fenced(MAIN, "main.py"), MAIN),
    (fenced(MAIN, "code"), MAIN),
    (fenced(MAIN, "text"), MAIN),
    (fenced(MAIN, ""), MAIN),
    (fenced(MAIN, "", "~~~"), MAIN),
    (fenced(MAIN, "python", "````"), MAIN),
    (fenced(MAIN).rstrip() + "   \n", MAIN),
    (fenced(MAIN).replace("\n", "\r\n"), MAIN),
    (fenced(MAIN).replace("\n", "\r"), MAIN),
    (fenced("\n\n" + TWO + "\n\n").replace("\n\n```\n", "\n```\n"), "\n\n" + TWO),
    (fenced(indented(MAIN)), MAIN),
    (indented(fenced(MAIN)), MAIN),
    (quoted(fenced(MAIN)), MAIN),
    ("1. The program:\n" + indented(fenced(MAIN), "   "), MAIN),
    ("- " + indented(fenced(MAIN), "  ").lstrip(), MAIN),
    ("<details>\n\n" + fenced(MAIN) + "\n</details>", MAIN),
    # several blocks
    (f"Brute force:\n{fenced(READ)}\nThis is slow. Better:\n{fenced(MAIN)}\nIt runs in O(1).", MAIN),
    (f"{fenced(MAIN)}\nOutput:\n{fenced('YES', '')}", MAIN),
    (f"{fenced(MAIN, '')}\nOutput:\n{fenced('YES', '')}", MAIN),
    (f"{fenced(MAIN, '')}\nOutput:\n{fenced('-7', '')}", MAIN),
    (f"{fenced(MAIN, '')}\nOutput:\n{fenced('[1, 2]', '')}", MAIN),
    (f"{fenced(MAIN, '')}\nOutput:\n{fenced('abc' + N + 'def', 'text')}", MAIN),
    (f"{fenced(MAIN, '')}\nInput:\n{fenced('n = 5', '')}", MAIN),
    (f"{fenced(MAIN)}\nOutput:\n{fenced('[3, 4]')}", MAIN),
    (f"{fenced(MAIN)}\nIt gives\n{fenced('# 3 for 1 2' + N + '3')}", MAIN),
    (f"{fenced(MAIN)}\nThe first value:\n{fenced('x = 5')}", MAIN),
    (f"{fenced(MAIN)}\nRun it:\n{fenced('python3 main.py < input.txt', 'bash')}", MAIN),
    (f"{fenced(MAIN)}\n{fenced('$ python3 main.py' + N + '1 2', '')}", MAIN),
    (f"{fenced(MAIN)}\n{fenced('{' + chr(34) + 'a' + chr(34) + ': 1}', 'json')}", MAIN),
    (f"{fenced(MAIN)}\nSession:\n{fenced('>>> main()' + N + '1 2' + N + '3')}", MAIN),
    (f"{fenced(MAIN, '')}\nSession:\n{fenced('>>> main()' + N + '3')}", MAIN),
    (f"{fenced(MAIN)}\n{fenced('>>> print(main())', 'pycon')}", MAIN),
    (f"{fenced(MAIN)}\n{fenced('In [1]: print(main())')}", MAIN),
    (f"{fenced(MAIN)}\nA test:\n{fenced('main()')}", MAIN),
    (f"{fenced(ADD + MAIN)}\nA test:\n{fenced('assert total(1, 2) == 3')}", ADD + MAIN),
    (f"{fenced(ADD + MAIN)}\nUsage:\n{fenced('print(total(4, 9))  # 13')}", ADD + MAIN),
    (f"{fenced(ADD + MAIN, '')}\nUsage:\n{fenced('print(total(4, 9))  # 13')}", ADD + MAIN),
    (f"{fenced(ADD + MAIN)}\n{fenced('x = total(4, 9)' + N + 'print(x)', '')}", ADD + MAIN),
    (f"{fenced(ADD)}\n{fenced('# instead of total(a, b)' + N + MAIN)}", "# instead of total(a, b)\n" + MAIN),
    (f"{fenced(ADD)}\n{fenced('from math import total' + N + 'print(total(1, 2))')}",
     "from math import total\nprint(total(1, 2))\n"),
    (f"{fenced(ADD)}\n{fenced('total = sum' + N + 'print(total([1, 2]))')}",
     "total = sum\nprint(total([1, 2]))\n"),
    (f"{fenced(ADD)}\nAll of it:\n{fenced(ADD + 'print(total(*map(int, input().split())))')}",
     ADD + "print(total(*map(int, input().split())))\n"),
    (f"{fenced(MAIN)}\nBut I prefer:\n{fenced('print(0)')}", "print(0)\n"),
    (f"{fenced(MAIN)}\n{fenced('print(a +')}", MAIN),
    (f"{fenced('for i in range(n): ...  # pseudo' + N + 'print(...')}\n{fenced(MAIN)}", MAIN),
    (f"{fenced(MAIN)}\nNow in C++:\n{fenced(CPP, 'cpp')}", MAIN),
    (f"{fenced(CPP, 'cpp')}\nNow in Python:\n{fenced(MAIN)}", MAIN),
    (f"{fenced(MAIN)}\n{fenced(JAVA, 'java')}\n{fenced(JS, 'javascript')}", MAIN),
    (f"{fenced(MAIN, '')}\nAnd in C++:\n{fenced(CPP, '')}", MAIN),
    (f"{fenced(CPP, '')}\n{fenced(MAIN, '')}", MAIN),
    (f"{fenced(CPP, 'c++')}\n{fenced(MAIN, 'code')}", MAIN),
    (f"{fenced('sort the list' + N + 'print the sum', '')}\n{fenced(MAIN)}", MAIN),
    (f"{fenced(MAIN)}\n{fenced('function f(n) { return n; }', 'pseudocode')}", MAIN),
    # blocks that are no program by themselves, and programs in several blocks
    (f"{fenced(MAIN)}\nSlower:\n{fenced(ADD)}", MAIN),
    (f"{fenced(MAIN)}\nThe idea in short:\n{fenced('LIMIT = 5' + N + 'class Pair:' + N + '    pass')}", MAIN),
    (f"{fenced(TWO)}\nTo look at them:\n{fenced('for x in (a, b):' + N + '    print(x, a * b)')}", TWO),
    (f"{fenced(TWO)}\nNo:\n{fenced('from sys import *' + N + 'print(a)')}", "from sys import *\nprint(a)\n"),
    (f"{fenced(ADD)}\nRead and print:\n{fenced('a, b = map(int, input().split())' + N + 'print(total(a, b))')}",
     f"{ADD}\n\na, b = map(int, input().split())\nprint(total(a, b))\n"),
    (f"Read:\n{fenced('a = int(input())')}\nAdd:\n{fenced('c = a + 1')}\nPrint:\n{fenced('print(c)')}",
     "a = int(input())\n\n\nc = a + 1\n\n\nprint(c)\n"),
    (f"{fenced(ADD)}\nUsage:\n{fenced('print(total(4, 9))')}", ADD),
    # fences glued to other things, or missing
    (f"```python```\n{MAIN}```\n", MAIN),
    (f"```python```\n{MAIN}", MAIN),
    (f"```py```\n{MAIN}```", MAIN),
    (f"Here it is:```python\n{MAIN}```", MAIN),
    (f"Here it is: ```\n{MAIN}```", MAIN),
    (f"**Solution**```python\n{MAIN}```\nDone.", MAIN),
    (f"* ```python\n{indented(MAIN, '  ')}  ```\n", MAIN),
    (f"1. ```python\n{indented(MAIN, '   ')}   ```\n", MAIN),
    (f"```python\n{TWO.rstrip()}```", TWO),
    (f"```python\n{TWO.rstrip()}```\nIt adds two numbers.", TWO),
    (f"```python\n{TWO.rstrip()} ```\n\nIt adds ```two``` numbers.", TWO),
    (f"```python\n{MAIN}```It adds two numbers.", MAIN),
    (f"```python\n{MAIN}``` It adds two numbers.\nReally.", MAIN),
    (f"```python\n{MAIN}```.", MAIN),
    (f"```python\n{READ}```python\n{MAIN}```", MAIN),
    (f"```python\n{MAIN}```output\n3\n```", MAIN),
    (f"```markdown\nThe program:\n```python\n{MAIN}```\nIt adds.\n```", MAIN),
    (f"Wrap it in ```\n\n```python\n{MAIN}```", MAIN),
    ("```python print(sum(map(int, input().split())))```", "print(sum(map(int, input().split())))\n"),
    ("```print(sum(map(int, input().split())))```", "print(sum(map(int, input().split())))\n"),
    (f"```python {TWO}```", TWO),
    (f"```python {MAIN}```", MAIN),
    (f"```py {TWO}```", TWO),
    (f"```{TWO}```", TWO),
    (f"```{MAIN}```", MAIN),
    (f"```python # adds\n{MAIN}```", MAIN),
    (f"```pythonimport sys\n{TWO}```", "import sys\n" + TWO),
    ("```python def f(x):\n    return x\nprint(f(int(input())))\n```", "def f(x):\n    return x\nprint(f(int(input())))\n"),
    (f"```python\n{MAIN}", MAIN),
    (f"```python\n{MAIN}\n\n", MAIN),
    (f"{MAIN}```", MAIN),
    (f"{MAIN}```\nThis program prints the sum.", MAIN),
    (f"```python\n```\n{MAIN}```", MAIN),
    (f"````python\n{MAIN}```\n", MAIN),
    (f"``` python\n{MAIN}````", MAIN),
    # marks between turns, of byte order, of thoughts
    (f"```python\n{TWO}```<|im_end|>", TWO),
    (f"```python\n{TWO}<|im_end|>", TWO),
    (f"```python\n{TWO.rstrip()}<|eot_id|>", TWO),
    (f"```python\n{TWO}</s>", TWO),
    (f"```python\n{TWO}```</s></s>", TWO),
    (f"```python\n{TWO}```<|im_end|>\n<|im_start|>user\nThanks!", TWO),
    (f"```python\n{TWO}<|im_end|>\n<|im_start|>user\nThanks!", TWO),
    (f"```python\n{TWO}<|endoftext|>Human: and now?", TWO),
    (f"```python\n{TWO}<end_of_turn>\n", TWO),
    (f"```python\n{TWO}<｜end▁of▁sentence｜>", TWO),
    (f"{TWO}<|im_end|>", TWO),
    (f"\ufeff```python\n{TWO}```", TWO),
    (f"```python\n\ufeff{TWO}```", TWO),
    (f"\ufeff{TWO}", TWO),
    (f"\u200b```python\n{TWO}```", TWO),
    (fenced("TAG = '<think>'\n" + TWO), "TAG = '<think>'\n" + TWO),
    (fenced("TAG = '</think>'\n" + TWO), "TAG = '</think>'\n" + TWO),
    (fenced("# <think> of it\n" + TWO), "# <think> of it\n" + TWO),
    (fenced("s = '<think>x</think>'\n" + TWO), "s = '<think>x</think>'\n" + TWO),
    (fenced("END = '<|im_end|>'\n" + TWO), "END = '<|im_end|>'\n" + TWO),
    (fenced("s = '```'\n" + TWO), "s = '```'\n" + TWO),
    (f"<think>\n{fenced(READ)}</think>\n{fenced(MAIN)}", MAIN),
    (f"<think>\n```python\n{READ}</think>\n{fenced(MAIN)}", MAIN),
    # programs without fences
    (TWO, TWO),
    (MAIN, MAIN),
    (GUARD, GUARD),
    ("print(sum(map(int, input().split())))", "print(sum(map(int, input().split())))\n"),
    (f"Here is the program:\n{MAIN}", MAIN),
    (f"Here is the program:\n\n{TWO}", TWO),
    (f"First we read two numbers. Then we add them:\n\n{READ}\nThis prints the sum.", READ),
    (f"The program\n\n{indented(MAIN)}\nprints the sum.", MAIN),
    (f"Answer: see below\n\n# adds two numbers\n{TWO}", TWO),
    (f"{MAIN}\nExplanation: it adds. For 1 2 it is 3.", MAIN),
    (f"{MAIN}\nSample output:\n```\n3\n```", MAIN),
    (f"I import nothing.\n\n{TWO}\nThat is all.", TWO),
    ("Use this:\n@cache\ndef f(n):\n    return n\n\nprint(f(int(input())))\n", "@cache\ndef f(n):\n    return n\n\nprint(f(int(input())))\n"),
]  # fmt: skip

FUNCTIONS = [
    (f"{fenced('class Solution:' + N + '    def total(self, a, b):' + N + '        pass')}\n{fenced(CLASS)}", CLASS),
    (f"{fenced(ADD)}\nThe signature was\n{fenced('def total(a, b):' + N + '    pass')}", ADD),
    (f"{fenced(ADD)}\nThe signature was\n{fenced('def total(a: int, b: int) -> int: ...')}", ADD),
    (f"{fenced(ADD)}\nBetter:\n```python\ndef total(a,", ADD),
    (f"{fenced(ADD)}\n{fenced('# def total(a, b)')}", ADD),
    (fenced(ADD), ADD),
    (fenced(CLASS), CLASS),
    (fenced(TESTED), TESTED),
    (f"{fenced(ADD)}\nExample usage:\n{fenced('print(total(4, 9))')}", ADD),
    (f"{fenced(CLASS)}\nExample usage:\n{fenced('s = Solution()' + N + 'print(s.total(4, 9))')}", CLASS),
    (f"{fenced(ADD)}\nA driver:\n{fenced('if __name__ == ' + chr(39) + '__main__' + chr(39) + ':' + N + '    print(total(1, 2))')}", ADD),
    (f"{fenced(ADD)}\nTests:\n{fenced('import unittest' + N + 'class T(unittest.TestCase):' + N + '    def test(self): assert total(1, 2) == 3')}", ADD),
    (f"{fenced(ADD)}\nA helper:\n{fenced('def show(x):' + N + '    print(x)')}", ADD),
    (f"{fenced(ADD, '')}\nA helper:\n{fenced('def show(x):' + N + '    print(x)')}", ADD),
    (f"{fenced(ADD)}\nShorter:\n{fenced('total = lambda a, b: a + b')}", "total = lambda a, b: a + b\n"),
    (f"{fenced(ADD)}\nShorter:\n{fenced('from operator import add as total')}", "from operator import add as total\n"),
    (f"{fenced(ADD)}\nOr as a class:\n{fenced(CLASS)}", CLASS),
    (f"{fenced(CLASS)}\n{fenced('def total(a, b)' + N + '    return')}", CLASS),
    (f"{fenced(ADD)}\n{fenced('total == 3')}", ADD),
    (f"{fenced(ADD)}\n{fenced('result = total(1, 2)' + N + 'print(result)', '')}", ADD),
    (f"{fenced(ADD)}\n{fenced('def totals(a): return a')}", ADD),
    (f"{fenced(ADD)}\nIn Java:\n{fenced(JAVA, 'java')}", ADD),
    (f"{fenced(ADD)}\nReturns:\n{fenced('3')}", ADD),
    (f"{fenced('def plus(a, b):' + N + '    return a + b')}\n{fenced('n = int(input())')}\n{fenced('def total(a, b):' + N + '    return plus(a, b)')}",
     "def plus(a, b):\n    return a + b\n\n\ndef total(a, b):\n    return plus(a, b)\n"),
    (ADD, ADD),
    (CLASS, CLASS),
    (f"Here is the function.\n\n{ADD}", ADD),
    (f"{ADD}\nUsage:\n{fenced('print(total(4, 9))')}", ADD),
]  # fmt: skip

FOREIGN = [
    ("```\nclass Solution {\n    public int total(int a, int b) {\n        return a + b;\n    }\n}\n```", "Java or C++"),
    ("```\nclass Solution {\npublic:\n    int total(int a, int b) { return a + b; }\n};\n```", "C++"),
    ("```\n#include <stdio.h>\nint main(void) { printf(\"3\"); }\n```", "C"),
    (f"{fenced(CPP, 'cpp')}\n{fenced('g++ a.cpp && ./a.out', 'bash')}", "C++"),
    ("package main\n\nimport \"fmt\"\n\nfunc main() {\n\tfmt.Println(3)\n}\n", "Go"),
    ("main :: IO ()\nmain = interact $ \\s -> s\n", "Haskell"),
    (fenced("function total(a: number): number {\n  return a;\n}", "typescript"), "TypeScript"),
    (fenced("const f = (a, b) => a + b;\nprocess.stdout.write(f(1, 2));", ""), "JavaScript"),
    (fenced(CPP, "cpp"), "C++"),
    (fenced(CPP, "c++"), "C++"),
    (fenced(CPP, "C++17"), "C++"),
    (fenced(CPP, ""), "C++"),
    (CPP, "C++"),
    (f"Here it is:\n\n{CPP}\nIt adds.", "C++"),
    (f"{fenced(CPP, 'cpp')}\nOutput:\n{fenced('YES', '')}", "C++"),
    (f"{fenced(CPP, 'cpp')}\nOutput:\n{fenced('3', '')}", "C++"),
    (f"{fenced(CPP, '')}\nOutput:\n{fenced('YES', '')}", "C++"),
    (f"{fenced('read a, b' + N + 'print the sum', '')}\n{fenced(CPP, 'cpp')}", "C++"),
    (fenced(JAVA, "java"), "Java"),
    (fenced(JAVA, ""), "Java"),
    (JAVA, "Java"),
    (fenced(JS, "js"), "JavaScript"),
    (fenced(JS, ""), "JavaScript"),
    (fenced("package main\n\nimport \"fmt\"\n\nfunc main() {\n    fmt.Println(3)\n}\n", ""), "Go"),
    (fenced("fn main() {\n    println!(\"3\");\n}\n", ""), "Rust"),
    (fenced("fn main() {\n    println!(\"3\");\n}\n", "rust"), "Rust"),
    (fenced("puts gets.split.map(&:to_i).sum\n", "ruby"), "Ruby"),
    (fenced("fun main() {\n    println(3)\n}\n", ""), "Kotlin"),
    (fenced("using System;\nclass P { static void Main() { Console.WriteLine(3); } }\n", ""), "C#"),
    (fenced("program s;\nbegin\n  writeln(3);\nend.\n", ""), "Pascal"),
    (fenced("main :: IO ()\nmain = interact id\n", ""), "Haskell"),
    (fenced("<?php\necho 3;\n", ""), "PHP"),
    (fenced("read a b\necho $((a + b))\n", "bash"), "Shell"),
]  # fmt: skip

NONE = [
    "First we do this;\nthen that;\nand std::sort is used.\nfinally;",
    "In JavaScript use console.log(x);\nOr this;\n",
    "We print the result.\nThe sum is 5; class of 3;\n",
    "$$x = 5$$\n\\begin{cases} a \\\\ b \\end{cases}\n",
    "The answer is 5.",
    "Yes",
    "x = 5",
    "I would import the module and print the result.",
    "from 3 to 5 we print nothing",
    "def is a keyword, class another",
    "Here:\n```python\n```\n",
    "Use `print(x)` here.",
    "",
]


@pytest.mark.parametrize(("response", "expected"), PROGRAMS)
def test_the_program_that_is_meant_is_found(response, expected):
    found = program(solution_part(response))
    assert found is not None and found.code == expected


@pytest.mark.parametrize(("response", "expected"), FUNCTIONS)
def test_the_program_that_defines_the_function_is_found(response, expected):
    found = program(solution_part(response), "total")
    assert (found and found.code) == (expected or response)


@pytest.mark.parametrize(("response", "language"), FOREIGN)
def test_a_program_in_another_language_is_recognised(response, language):
    names = [language_of(block) for block in programs(solution_part(response))]
    assert next(filter(None, names)) == language


@pytest.mark.parametrize(
    "code",
    [
        "def f(x):\n    # it gets the end of it\n    return x +",
        "main = 5\nfmt.format(main",
        "print('module x', lambda",
        "public = [1,\nclass A:\n    pass",
        "val = read(\nprint val",
    ],
)
def test_broken_python_without_a_tag_is_no_other_language(code):
    assert [language_of(block) for block in programs(fenced(code, ""))] == [""]


@pytest.mark.parametrize("response", NONE)
def test_prose_is_no_program(response):
    assert programs(solution_part(response)) == []


@pytest.mark.parametrize(
    "unit",
    [
        "```python" + " " * 40, " ", "\t", "import ", "from ", "def total", "def total:#", "class A", "x = ", "x, ", "f(",
        "for x ", "if x:", "while ", "print ", "# ", ": ", "lambda ", "```x\n", "```python\n", "```python\nprint(1)\n",
        "```python\nprint(1)\n```\n", "x```\n", "```python```\n", "~~~\nprint\n~~~\n", "`", "``` ", "print(1)\n",
        "print(1)\n\nSo it is.\n\n", "def f():\n    pass\n", "</s>\n", "<|im_end|> ", "\ufeff", "> ```\n", ">>> ", "'''",
        '"""', "function ", "func ", "fn ", "let ", "public ", "package a ", "{", "};\n", ")  ", "#include <", "[0]", "a.b",
    ],
)  # fmt: skip
def test_choosing_takes_time_in_proportion_to_the_response(unit):
    def seconds(length):
        texts = [
            before + unit * (length // len(unit)) + "\nprint(" for before in ("", "```\nprint(\n", "print")
        ]
        began = time.process_time()
        for text in texts:
            found = programs(text, "total")
            program(text)
            for block in found:
                language_of(block)
        return time.process_time() - began

    # 16 times as long; were it quadratic, it would take 256 times
    assert takes_at_most(48, seconds, 2_000, 32_000, least_s=0.002)


FENCE = "```"
ADD = f"{FENCE}python\ndef add(a, b):\n    return a + b\n{FENCE}\n"


@pytest.mark.parametrize(
    "behind",
    [
        "from solution import add\nprint(add(1, 2))",
        "from my_module import add\nassert add(1, 2) == 3",
        'def add(a, b):\n    """Adds."""',
        'def add(a, b):\n    """Adds."""\n    pass',
        "def add(a, b):\n    raise NotImplementedError",
        "def add(a, b):\n    raise NotImplementedError()",
    ],
)
def test_what_imports_a_function_or_leaves_its_body_open_does_not_define_it(behind):
    assert "return a + b" in program(f"{ADD}{FENCE}python\n{behind}\n{FENCE}", "add").code


def test_an_example_of_a_class_does_not_define_the_function_that_it_names():
    right = f"{FENCE}python\nclass Solution:\n    def add(self, a, b):\n        return a + b\n{FENCE}\n"
    used = f"{FENCE}python\nadd = Solution().add\nprint(add(1, 2))\n{FENCE}"
    assert "return a + b" in program(right + used, "add").code
    assert "math" in program(f"{FENCE}python\nfrom math import gcd\n{FENCE}", "gcd").code


@pytest.mark.parametrize("indent", ["", "    "])
@pytest.mark.parametrize(
    "inner", [f"{FENCE}\n1 2\n{FENCE}", f"{FENCE}text\n1 2\n{FENCE}\nand\n{FENCE}\n3\n{FENCE}"]
)
def test_a_fence_in_a_docstring_does_not_end_the_program(indent, inner):
    lines = "".join(f"{indent}{line}\n" for line in inner.split("\n"))
    code = f'def total():\n    """\n{lines}    """\n    return sum(map(int, input().split()))\n\nprint(total())\n'
    assert program(f"Here:\n{FENCE}python\n{code}{FENCE}\nIt adds.").code.strip() == code.strip()
    assert (
        "print(2)" in program(f"{FENCE}python\nx = '''open\n{FENCE}\n\n{FENCE}python\nprint(2)\n{FENCE}").code
    )
