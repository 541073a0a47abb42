"""What do graded runs say: counts, estimates, paired tests, pages?"""
