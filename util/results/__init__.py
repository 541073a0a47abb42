"""What do graded runs say: counts, estimates, paired tests, pages?

Call `headline.summarise`; `compare_runs` pairs two runs, `page` writes HTML.
"""
