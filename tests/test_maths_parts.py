"""Do the parts of the maths grader keep their word when nothing else runs?"""

from decimal import Decimal
from fractions import Fraction

import pytest

from util.errors import UserError
from util.grading.maths import grade_maths
from util.grading.maths.digits import precise
from util.grading.maths.exact import Gauss, Inexact, Point, Unknown, exact
from util.grading.maths.judge import Judge
from util.grading.maths.numbers import number, unending, with_period
from util.grading.maths.quantities import Quantity, quantity
from util.grading.maths.reader import read, table
from util.grading.maths.regions import intersect, region
from util.grading.maths.scalars import Said, every, same_equation, same_values
from util.grading.maths.tolerance import significant_digits, tolerance_of
from util.grading.maths.tree import Node, Opaque, Unreadable, replaced
from util.grading.maths.units import Unit, unit_of, units_agree


def tree(text):
    return read(text).tree


def numeral(value):
    return Node("num", (), Fraction(value))


@pytest.mark.parametrize(
    "text, value", [("12", 12), ("1,234", 1234), ("2.50", Fraction(5, 2)), ("3.", 3), ("1e3", 1000)]
)
def test_a_numeral_has_its_value(text, value):
    assert number(text) == value


def test_a_numeral_of_as_many_digits_as_may_be_is_read():
    assert number("9" * 4000) == 10**4000 - 1


@pytest.mark.parametrize("text", ["9" * 4001, "1e99999"])
def test_a_numeral_that_is_too_long_is_not_read(text):
    with pytest.raises(Unreadable):
        number(text)


def test_a_recurring_decimal_is_a_fraction():
    assert with_period("0.1", "6") == Fraction(1, 6)
    assert unending("0.142142142") == Fraction(142, 999)
    with pytest.raises(Unreadable):
        unending("0.1234")


def test_rows_are_a_matrix_a_system_or_a_distinction_of_cases():
    row, equation = (numeral(1), numeral(2)), tree("x = 1")
    assert table("pmatrix", [row, row]) == Node("matrix", (row, row), "pmatrix")
    assert table("aligned", [(equation,), (equation,)]) == Node("list", (equation, equation), "and")
    assert table("array", [(equation,)]).kind == "list"
    assert table("array", [(numeral(1),)]).kind == "matrix"
    assert table("cases", [row]).kind == "cases"
    with pytest.raises(Opaque):
        table("cases", [row, (equation,)])
    with pytest.raises(Unreadable):
        table("pmatrix", [row, (numeral(1),)])
    with pytest.raises(Unreadable):
        table("pmatrix", [])


def test_symbols_and_constants_are_replaced_at_any_depth_at_once():
    x, y = Node("sym", (), "x"), Node("sym", (), "y")
    assert replaced(tree(r"\frac{x+1.5}{y}"), {x: y, y: x}) == tree(r"\frac{y+1.5}{x}")
    assert replaced(
        tree(r"\begin{pmatrix} i & x \\ 0 & 1 \end{pmatrix}"), {Node("const", (), "i"): x}
    ) == tree(r"\begin{pmatrix} x & x \\ 0 & 1 \end{pmatrix}")


def test_a_point_moves_without_forgetting_how_signs_are_read():
    moved = Point({"x": Fraction(1)}, turned=True, percent=Fraction(1, 100)).moved({"x": Fraction(2)})
    assert (moved["x"], moved.turned, moved.percent, moved.log10) == (2, True, Fraction(1, 100), False)
    assert exact(tree(r"50 \%"), moved) == Fraction(1, 2)


def test_exact_values_are_fractions_or_complex_fractions():
    assert exact(tree(r"(1+2i)(3-i)"), Point()) == Gauss(Fraction(5), Fraction(5))
    assert exact(tree(r"\sum_{k=1}^{4} k^2"), Point()) == 30
    with pytest.raises(Unknown):
        exact(tree(r"\frac{1}{0}"), Point())


def test_a_binomial_is_exact_from_either_end():
    for lower in (2, 99998):
        assert exact(tree(rf"\binom{{100000}}{{{lower}}}"), Point()) == 4999950000


@pytest.mark.parametrize(
    ("text", "value"), [(r"\sqrt{\frac{9}{4}}", Fraction(3, 2)), (r"\sqrt[3]{-8}", -2), (r"\sqrt[4]{16}", 2)]
)
def test_a_rational_root_is_exact(text, value):
    assert exact(tree(text), Point()) == value


@pytest.mark.parametrize("degree", ["i", "1/2", "0", "-2"])
def test_a_root_of_an_unusual_degree_is_not_taken_for_a_whole_one(degree):
    with pytest.raises(Inexact):
        exact(tree(rf"\sqrt[{degree}]{{4}}"), Point())


def test_the_sine_of_a_large_angle_has_all_its_digits():
    sine = precise(tree(r"\sin(1000)"), Point(), 40)
    assert abs(sine - Decimal("0.826879540532002560255887429109218141212725")) < Decimal("1e-39")


def test_hours_and_minutes_add_up():
    found = quantity("2 hours 30 minutes")
    assert found and (found.number, found.unit) == ("5/2", Unit(Fraction(3600), (("s", 1),)))


def test_values_agree_at_points_or_under_another_name_of_a_parameter():
    assert same_values(tree("(x+1)^2"), tree("x^2+2x+1"), Said())
    assert not same_values(tree("(x+1)^2"), tree("x^2+1"), Said())
    assert not same_values(tree("2k+1"), tree("2n+1"), Said())
    assert same_values(tree("2k+1"), tree("2n+1"), Said(free=frozenset("n")))
    assert same_values(tree(r"90^\circ"), tree(r"\frac{\pi}{2}"), Said(angles=True))
    assert not same_values(tree(r"90^\circ"), tree("90"), Said(angles=True))


def test_equations_agree_up_to_a_factor_and_inequalities_up_to_a_positive_one():
    assert same_equation(tree("2x+2y=4"), tree("x+y=2"))
    assert not same_equation(tree("x+y=2"), tree("x+y=3"))
    assert same_equation(tree("x+y<2"), tree("4>2x+2y"))
    assert same_equation(tree("x-y<2"), tree("y-x>-2"))
    assert not same_equation(tree("x-y<2"), tree("y-x<-2"))
    assert same_equation(tree("x \\to y"), tree("x \\to y")) is None


def test_and_is_unknown_unless_something_is_false():
    assert every([True, True]) is True
    assert every([True, None]) is None
    assert every([None, False]) is False


def test_regions_have_in_common_what_both_hold():
    half_open = intersect(region(tree("x > 0")), region(tree(r"x \le 3")))
    assert half_open == region(tree("0 < x \\le 3"))
    assert intersect(region(tree("x > 0")), region(tree("y > 0"))) is None
    assert intersect(None, region(tree("x > 0"))) is None
    assert region(tree("x = 1")) is None


def test_the_judge_compares_trees_alone():
    judge = Judge(Said())
    assert judge.same(tree("1, 2"), tree("2, 1"))
    assert not judge.same(tree("(1, 2)"), tree("(2, 1)"))
    assert judge.same(tree(r"\{1, 2\}"), tree(r"\{2, 1\}"))
    assert judge.same(tree("12:00"), tree("12:00:00"))


def test_units_are_told_from_products_and_compared_by_name():
    assert quantity("9.8 m/s^2") == Quantity("9.8", unit_of("m/s^2"))
    assert quantity("5m") is None and quantity("5 apples") == Quantity("5", None, "apple")
    assert units_agree(("meters per second squared",), ("m/s^2",))
    assert not units_agree(("m",), ("cm",)) and units_agree(("m",), ("apples",))


@pytest.mark.parametrize(
    "gold, answer, setting, right",
    [
        ("3.14", "3.1416", "digits", True),
        ("3.14", "3.2", "digits", False),
        ("0.1127", "0.113", "digits", True),
        (r"6.3 \times 10^{-7}", r"6.27 \times 10^{-7}", "digits", True),
        ("8", "8.3", "digits", False),
        ("450", "448", "digits", False),
        ("-1.5", "1.5", "digits", False),
        (r"\pi", "3.14", "digits", True),
        (r"\pi", "3.14", "exact", False),
        ("100", "101", "relative:0.01", True),
        ("100", "102", "relative:0.01", False),
        ("100", "100.5", "absolute:0.5", True),
        ("100", "100.6", "absolute:0.5", False),
        ("2", "x", "digits", False),
        ("2", "2, 2.001", "digits", False),
        ("1/3", "0.33", "relative:1/50", True),
        ("(1.2, 3.4)", "(1.21, 3.41)", "digits", True),
        ("(1.2, 3.4)", "[1.21, 3.41]", "digits", False),
        ("1.2, 3.4", "1.21", "digits", False),
        ("1,234.5", "1234.4", "relative:0.01", True),
        ("9.81 m/s^2", "9.8", "digits", True),
        (r"6.3 \times 10^{-7} \text{ m}", r"627 \text{ nm}", "digits", True),
        (r"12.3 \text{ cm}", r"12.3 \text{ m}", "digits", False),
    ],
)
def test_a_number_may_be_off_as_far_as_the_tolerance_says(gold, answer, setting, right):
    verdict = grade_maths(gold, f"\\boxed{{{answer}}}", tolerance=setting, symbolic=False)
    assert verdict.correct == right
    assert ("within" in verdict.detail) == (right and setting != "exact")


def test_significant_digits_are_those_that_are_written():
    texts = ("3.14", "0.0450", "1,234", "6.30e-7", "450", "x", "")
    assert [significant_digits(text) for text in texts] == [3, 3, 4, 3, 3, 0, 0]


@pytest.mark.parametrize(
    "setting", ["2", "digits:3", "relative:", "relative:0", "absolute:x", "relative:1/0", ""]
)
def test_a_tolerance_that_is_none_is_refused(setting):
    with pytest.raises(UserError, match="give exact, digits"):
        tolerance_of(setting)
