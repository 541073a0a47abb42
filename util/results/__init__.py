"""What do graded runs say: counts, estimates, paired tests, pages?

Call `headline.summarise`; `compare_runs` pairs two runs, `page` writes HTML.
"""

RELATIONSHIPS = (
    "first_party",
    "third_party",
    "collaborative",
    "other",
)  # of an evaluator to a model's makers
